"""Run the learning loop of selection in a real stack, against a lab whose endpoints drift."""

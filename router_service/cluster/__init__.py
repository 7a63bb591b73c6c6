"""Share health, conversations and outcomes between workers and machines."""

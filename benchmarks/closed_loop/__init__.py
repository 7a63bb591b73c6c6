"""The loop that selection is learned by, turned in a real stack before a lab that drifts."""

"""The loop that selection is learned by, turned in a real house before a lab that drifts."""

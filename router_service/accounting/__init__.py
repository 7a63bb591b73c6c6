"""What a request cost."""

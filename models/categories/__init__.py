"""What a prompt is about: the twelve market categories."""

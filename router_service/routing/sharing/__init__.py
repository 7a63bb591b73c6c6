"""What workers tell each other: health and conversations, on one machine by files, between machines by Valkey."""

"""Call providers: attempts, deadlines, retries and hedged requests."""

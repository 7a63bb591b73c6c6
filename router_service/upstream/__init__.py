"""Call providers over HTTP: connections, deadlines and server-sent events."""

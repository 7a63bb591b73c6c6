"""Import the usage history of other routers into the lake, marked by its source."""

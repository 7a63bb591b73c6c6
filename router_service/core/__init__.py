"""Define the types that all packages of the router share."""

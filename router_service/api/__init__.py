"""Serve the HTTP API, one file for each family of routes: decode the request, call the router, render the response."""

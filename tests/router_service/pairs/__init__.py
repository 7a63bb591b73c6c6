"""Make a matrix of what each client API can do in front of each wire format, from real requests."""

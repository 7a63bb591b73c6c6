"""The command line: start and connect the other packages; it makes no decisions of its own."""

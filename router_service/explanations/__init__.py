"""Explain the routing of a request from its log record alone."""

"""Why a request went where it went, from its log record alone."""

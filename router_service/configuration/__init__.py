"""Read ``portolan.toml``, explain its mistakes, and make the market that it describes."""

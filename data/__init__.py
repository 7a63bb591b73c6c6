"""Define the data that all packages share: the request record, the lake, the catalogue, the marts."""

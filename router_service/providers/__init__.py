"""How each wire format speaks: a folder each, the same file names in each."""

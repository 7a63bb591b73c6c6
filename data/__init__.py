"""What is true: the record schema, the lake layout, the catalogue, the marts."""

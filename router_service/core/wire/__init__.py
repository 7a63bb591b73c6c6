"""Define the wire structs of dialects that a client API and a wire format share: types only."""

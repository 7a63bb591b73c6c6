"""Split the bytes of a response into messages, apart from the transport that carried them."""

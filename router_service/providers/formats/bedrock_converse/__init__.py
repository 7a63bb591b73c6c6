"""Translate to and from Amazon Bedrock's Converse API."""

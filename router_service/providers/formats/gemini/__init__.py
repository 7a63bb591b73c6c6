"""Translate to and from Google's generateContent API, at Google AI Studio and at Vertex AI."""

"""Listening, and the connections of clients."""

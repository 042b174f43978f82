"""Requests to the JMAP server."""

"""JMAP over WebSocket."""

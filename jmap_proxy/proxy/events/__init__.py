"""The event source."""

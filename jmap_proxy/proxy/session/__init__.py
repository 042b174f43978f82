"""The JMAP Session: reading it, showing it, and which upstream URL a request means."""

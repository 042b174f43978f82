"""TLS: contexts, and the certificate for this machine."""

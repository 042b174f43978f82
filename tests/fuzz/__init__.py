"""Long searches for bytes that break the proxy: `make fuzz`. Everything here asks a proxy that listens."""

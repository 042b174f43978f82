"""The proxies that are compared, each with its best honest configuration. One file each."""

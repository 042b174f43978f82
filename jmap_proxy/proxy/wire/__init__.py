"""What is on the wire towards clients and servers: header fields, framing, broken bodies, errors as answers."""

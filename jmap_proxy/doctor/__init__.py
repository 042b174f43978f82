"""`jmap-proxy doctor`: looks at an installation, finds what is wrong with it and names what mends it.

Rules (what an observation means) are pure; probes (files, sockets, HTTP) only observe. Nothing here changes anything:
no file is written, no token is renewed, and a token goes only where the proxy would send it too.
"""

"""The forwarding plane: who may come in → which upstream → exchange with a token → relay.

Knows a `TokenSource`, and nothing of stores, OAuth or configuration files.
"""

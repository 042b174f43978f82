"""The main job with real parts: a real JMAP server, a real OpenID Provider, real clients, the real command line."""

"""From an address or a server to what a sign-in needs: the Session URL, the identity provider, scopes and resource.

draft-ietf-mailmaint-oauth-public over RFC 8620 §2.2, RFC 9728, RFC 8414 and WebFinger. What is found is told; what is
not found is asked for by name, never guessed. Nothing here knows a secret, and nothing is sent with one.
"""

"""OAuth 2.0 and OpenID Connect from the client's side: discovery, signing in, the token endpoint, ID tokens."""

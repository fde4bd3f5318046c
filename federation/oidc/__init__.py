"""OpenID Connect relying party: discovery, keys, authorization code flow, ID tokens."""

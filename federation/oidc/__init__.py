"""OpenID Connect as a relying party: discovery, keys, the code flow, checked ID tokens."""

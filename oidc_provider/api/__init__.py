"""The REST API of the OpenID provider, for people and administrators."""

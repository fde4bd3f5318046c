"""Sign-in through every OAuth 2.0 provider of allauth."""

"""What the machine face does: signing keys, token families, API keys."""

"""Services that act on many users at once."""

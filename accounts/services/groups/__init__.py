"""Groups: reading who is in which, changing them, and what sign-ins say about them."""

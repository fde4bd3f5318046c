"""The overview of the admin panel: `parts` is the interface for other apps."""

"""Browser sessions, and what else a browser is remembered by."""

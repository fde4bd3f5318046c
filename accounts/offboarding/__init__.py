"""Offboarding: what an account can be entered with, and the report that shows it refused."""

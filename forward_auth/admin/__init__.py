"""Forward auth in the panel. Importing it registers tables and the dashboard's part."""

from forward_auth.admin import overview, refusals, rules

__all__ = ["overview", "refusals", "rules"]

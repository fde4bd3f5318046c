"""Configuration as code: one file describes what `manage.py apply` makes of the database."""

"""The declarations of all settings, one module for each topic."""

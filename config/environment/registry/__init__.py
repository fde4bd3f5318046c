"""The declarations themselves, a file for each part of the house. Nothing but values."""

"""Texts: addresses and names from outside, times and spans in words."""

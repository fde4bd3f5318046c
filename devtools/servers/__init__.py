"""Starts real servers on free ports, over data of their own, and ends them."""

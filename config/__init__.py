"""The composition root: the only place that may name every room of the house."""

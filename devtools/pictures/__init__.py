"""The pictures of the documentation, made from an instance with made-up people."""

"""The version of this code; the same as in pyproject.toml, which the image leaves out."""

VERSION = "0.1.0"

"""One module for each part of /api/v1/; all views stand on views.base."""

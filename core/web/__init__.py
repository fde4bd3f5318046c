"""Requests and responses: client address, context, redirects, headers, problem documents."""

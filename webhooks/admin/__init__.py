"""Webhooks in the admin."""

from webhooks.admin import deliveries, endpoints

__all__ = ["deliveries", "endpoints"]

"""/api/v1/webhooks. Views here use what every API view gets (api)."""

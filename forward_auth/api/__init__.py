"""/api/v1/access-rules and /api/v1/refusals. Views here use what every API view gets (api)."""

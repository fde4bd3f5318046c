"""What SCIM changes, by the services of accounts; see docs/decisions/0045-own-scim-server.md."""

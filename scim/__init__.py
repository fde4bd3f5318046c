"""SCIM 2.0: identity systems create, change and disable accounts, and fill groups."""

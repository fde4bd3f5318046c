"""What authentik, Keycloak and Authelia say of their clients, in the fields of an App. Pure.

Each module reads what its system has exported, and returns ImportedClient rows. What it does not
understand closes an app and is said; it never opens one.
"""

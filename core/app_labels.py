"""The labels of Gatehouse's own apps, which editors of a team's apps may not change. Pure."""

OWN_APPS = frozenset(
    {
        "config", "operations", "access_reviews", "forward_auth", "oidc_provider", "webhooks",
        "scim", "applications", "api", "magiclinks", "moderation", "federation", "mfa", "accounts",
        "mail", "audit", "core",
    }
)  # fmt: skip

"""The labels of Gatehouse's own apps, which editors of a team's apps may not change. Pure."""

OWN_APPS = frozenset(
    {
        "config", "operations", "forward_auth", "applications", "api", "magiclinks", "moderation",
        "federation", "mfa", "accounts", "mail", "audit", "core", "webhooks",
    }
)  # fmt: skip

"""The labels of the project's own apps: what editors of a team's apps may not touch. Pure."""

OWN_APPS = frozenset(
    {
        "config", "operations", "forward_auth", "api", "magiclinks", "moderation", "federation",
        "mfa", "accounts", "mail", "audit", "core",
    }
)  # fmt: skip

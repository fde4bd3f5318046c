"""Settings of webhooks."""

from config.environment.schema import Section, networks

WEBHOOKS = Section(
    "Webhooks",
    "Where webhooks may be sent; docs/webhooks.md describes them.",
    networks(
        "WEBHOOK_ALLOWED_NETWORKS",
        default="",
        default_note="empty: public addresses only",
        example="10.20.0.0/16,127.0.0.1",
    ).with_help(
        "Networks that webhooks may reach besides public addresses, and by http as well as https. "
        "Name only the networks of your receivers: an owner could otherwise make the server send "
        "requests to any other service in them."
    ),
)

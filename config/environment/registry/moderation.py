"""Settings of moderation: scores of violations, bans, and limits of what apps report."""

from config.environment.schema import (
    Section,
    Variable,
    duration,
    integer,
    networks,
    rate_limit,
    switch,
)


def _score(name: str, what: str, default: int = 1, origin: str = "LibreChat") -> Variable:
    return integer(
        f"{name}_VIOLATION_SCORE",
        default=str(default),
        example=str(default * 5),
        bounds=(0, 1_000_000),
        origin=origin,
    ).with_help(f"What {what} adds to the score. With 0 it is recorded and never bans.")


BANS = Section(
    "Violations and bans",
    "The scores of violations, and when they lead to a ban. See docs/moderation.md.",
    switch("BAN_VIOLATIONS", default=True, origin="LibreChat").with_help(
        "Whether violations lead to bans. If false, limits still apply, violations are still "
        "recorded, and administrators can still ban."
    ),
    duration(
        "BAN_DURATION",
        default="2h",
        example="1000 * 60 * 60 * 24",
        bounds=("1s", "3653d"),
        origin="LibreChat",
    ).with_help("How long an automatic ban lasts. A number without a unit is in milliseconds."),
    integer(
        "BAN_INTERVAL", default=20, example="50", bounds=(1, 1_000_000), origin="LibreChat"
    ).with_help("A ban starts whenever a score reaches the next multiple of this number."),
    duration(
        "MODERATION_SCORE_HALF_LIFE", default="24h", example="7d", bounds=("0", "3653d")
    ).with_help("The time in which a score falls by half. With 0 it never falls."),
    duration(
        "MODERATION_RETENTION", default="90d", example="30d", bounds=("1d", "3653d")
    ).with_help("How long violations and expired bans are kept."),
    networks(
        "MODERATION_ALLOWED_NETWORKS",
        default="",
        default_note="empty: none",
        example="192.0.2.0/24,2001:db8::/32",
    ).with_help(
        "Networks that are never banned, such as your own office. Users in them can still be "
        "banned."
    ),
    duration(
        "LOGIN_DELAY_MAX", default="1h", example="15m", bounds=("1m", "1d"), bare_unit="minutes"
    ).with_help(
        "The longest wait before more passwords for one account are accepted from one network. The "
        "wait doubles each time LOGIN_MAX is exceeded, up to this time. Browsers that have signed "
        "in to the account before and sign-in links do not wait. A number without a unit is in "
        "minutes."
    ),
    _score("LOGIN", "each sign-in beyond LOGIN_MAX"),
    _score("REGISTRATION", "each sign-up beyond REGISTER_MAX"),
    _score("MAGIC_LINK", "each request beyond MAGIC_LINK_MAX", origin=""),
    _score("RESET_PASSWORD", "each request beyond RESET_PASSWORD_MAX"),
    _score("VERIFY_EMAIL", "each request beyond VERIFY_EMAIL_MAX"),
    _score("MESSAGE", "each message beyond MESSAGE_IP_MAX or MESSAGE_USER_MAX"),
    _score("CONCURRENT", "each message beyond CONCURRENT_MESSAGE_MAX"),
    _score("NON_BROWSER", "each message that no browser sent, if an app requires one,", 20),
)

MESSAGES = Section(
    "Limits of messages",
    "How often a user may send messages in an app. The app reports each message; see "
    "docs/moderation-for-apps.md.",
    switch("LIMIT_MESSAGE_IP", default=True, origin="LibreChat").with_help(
        "Whether messages of one network are limited."
    ),
    *rate_limit("MESSAGE_IP", "messages of one network", 40, "1m", maximum=1_000_000),
    switch("LIMIT_MESSAGE_USER", default=False, origin="LibreChat").with_help(
        "Whether messages of one user are limited."
    ),
    *rate_limit("MESSAGE_USER", "messages of one user", 40, "1m", maximum=1_000_000),
    switch("LIMIT_CONCURRENT_MESSAGES", default=True, origin="LibreChat").with_help(
        "Whether the number of messages that a user has in progress at the same time is limited."
    ),
    integer(
        "CONCURRENT_MESSAGE_MAX", default=2, example="5", bounds=(1, 100), origin="LibreChat"
    ).with_help(
        "The maximum number of messages that one user may have in progress at the same time."
    ),
)

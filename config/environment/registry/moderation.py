"""Settings of moderation: scores of violations, bans, and limits of what apps report."""

from datetime import timedelta

from config.environment.schema import Kind, Section, Variable

MAX_BAN = timedelta(days=3653)


def _score(name: str, what: str, default: int = 1, origin: str = "LibreChat") -> Variable:
    return Variable(
        name=f"{name}_VIOLATION_SCORE",
        kind=Kind.INTEGER,
        default=str(default),
        example=str(default * 5),
        minimum=0,
        maximum=1_000_000,
        origin=origin,
        help=f"What {what} adds to the score. With 0 it is noted and never bans.",
    )


def _limit(prefix: str, what: str, most: int, window: str) -> tuple[Variable, ...]:
    return (
        Variable(
            name=f"{prefix}_MAX",
            kind=Kind.INTEGER,
            default=str(most),
            example=str(most * 2),
            minimum=1,
            maximum=1_000_000,
            origin="LibreChat",
            help=f"How many messages of {what} are admitted within {prefix}_WINDOW.",
        ),
        Variable(
            name=f"{prefix}_WINDOW",
            kind=Kind.DURATION,
            bare_unit="minutes",
            default=window,
            example="5m",
            minimum=timedelta(seconds=1),
            maximum=timedelta(days=7),
            origin="LibreChat",
            help=f"The time in which {prefix}_MAX counts. A bare number is minutes.",
        ),
    )


def _switch(name: str, default: str, text: str) -> Variable:
    example = "false" if default == "true" else "true"
    return Variable(
        name=name, kind=Kind.BOOL, default=default, example=example, origin="LibreChat", help=text
    )


BANS = Section(
    "Violations and bans",
    "What exceeding a limit counts, and when it bans. See docs/moderation.md.",
    (
        _switch(
            "BAN_VIOLATIONS",
            "true",
            "Whether violations ban. Without it the limits still hold, violations are still "
            "noted, and operators may still ban by hand.",
        ),
        Variable(
            name="BAN_DURATION",
            kind=Kind.DURATION,
            default="2h",
            example="1000 * 60 * 60 * 24",
            minimum=timedelta(seconds=1),
            maximum=MAX_BAN,
            origin="LibreChat",
            help="How long an automatic ban lasts. A bare number is milliseconds.",
        ),
        Variable(
            name="BAN_INTERVAL",
            kind=Kind.INTEGER,
            default="20",
            example="50",
            minimum=1,
            maximum=1_000_000,
            origin="LibreChat",
            help="A ban falls whenever a score reaches the next multiple of this.",
        ),
        Variable(
            name="MODERATION_SCORE_HALF_LIFE",
            kind=Kind.DURATION,
            default="24h",
            example="7d",
            minimum=timedelta(0),
            maximum=MAX_BAN,
            help="The time in which a score falls to its half. With 0 it never falls.",
        ),
        Variable(
            name="MODERATION_RETENTION",
            kind=Kind.DURATION,
            default="90d",
            example="30d",
            minimum=timedelta(days=1),
            maximum=MAX_BAN,
            help="How long violations, and bans that are over, are kept.",
        ),
        Variable(
            name="MODERATION_ALLOWED_NETWORKS",
            kind=Kind.NETWORKS,
            default="",
            default_note="empty: none",
            example="192.0.2.0/24,2001:db8::/32",
            help=(
                "Networks that are never banned, such as the one of your own office. People in "
                "them still may be."
            ),
        ),
        Variable(
            name="LOGIN_DELAY_MAX",
            kind=Kind.DURATION,
            bare_unit="minutes",
            default="1h",
            example="15m",
            minimum=timedelta(minutes=1),
            maximum=timedelta(days=1),
            help=(
                "The longest wait for further passwords for one account from one network. The "
                "wait doubles each time that LOGIN_MAX is exceeded, and ends here. Devices that "
                "have signed in to the account before, and sign-in links, do not wait. A bare "
                "number is minutes."
            ),
        ),
        _score("LOGIN", "each sign-in beyond LOGIN_MAX"),
        _score("REGISTRATION", "each sign-up beyond REGISTER_MAX"),
        _score("MAGIC_LINK", "each request beyond MAGIC_LINK_MAX", origin=""),
        _score("RESET_PASSWORD", "each request beyond RESET_PASSWORD_MAX"),
        _score("VERIFY_EMAIL", "each request beyond VERIFY_EMAIL_MAX"),
        _score("MESSAGE", "each message beyond MESSAGE_IP_MAX or MESSAGE_USER_MAX"),
        _score("CONCURRENT", "each message beyond CONCURRENT_MESSAGE_MAX"),
        _score("NON_BROWSER", "each message that no browser sent, where an app asks for one,", 20),
    ),
)

MESSAGES = Section(
    "Limits of messages",
    "How often somebody may do what an app calls a message. The app reports each one; see "
    "docs/moderation-for-apps.md.",
    (
        _switch("LIMIT_MESSAGE_IP", "true", "Whether messages are limited by network."),
        *_limit("MESSAGE_IP", "one network", 40, "1"),
        _switch("LIMIT_MESSAGE_USER", "false", "Whether messages are limited by person."),
        *_limit("MESSAGE_USER", "one person", 40, "1"),
        _switch(
            "LIMIT_CONCURRENT_MESSAGES",
            "true",
            "Whether the messages that a person has under way at once are limited.",
        ),
        Variable(
            name="CONCURRENT_MESSAGE_MAX",
            kind=Kind.INTEGER,
            default="2",
            example="5",
            minimum=1,
            maximum=100,
            origin="LibreChat",
            help="How many messages one person may have under way at once.",
        ),
    ),
)

"""Settings of how people come in: sign-in, sign-up, limits, magic links, first run."""

from datetime import timedelta

from config.environment.errors import Unreadable, echo
from config.environment.schema import Alias, Kind, Section, Variable
from core.email_addresses import AddressError, parse_allowed


def check_allowed_emails(entries: list[str]) -> list[str]:
    """Addresses and exact domains in their stored form, a leading @ of a domain cut."""
    return [_allowed_entry(entry) for entry in entries]


def _allowed_entry(entry: str) -> str:
    try:
        return parse_allowed(entry)
    except AddressError:
        fix = "write addresses or exact domains, such as anna@example.com,example.org"
        raise Unreadable(f"{echo(entry)} is neither an address nor a domain", fix) from None


# The largest number that a limit may have.
MOST = 100_000


def _switch(name: str, default: str, text: str, origin: str = "LibreChat") -> Variable:
    example = "false" if default == "true" else "true"
    return Variable(
        name=name, kind=Kind.BOOL, default=default, example=example, origin=origin, help=text
    )


def _limit(
    prefix: str, what: str, most: int, window: str, origin: str, *, whose: str = "of one client"
) -> tuple[Variable, ...]:
    """The pair of a limit: how many, and in which time."""
    return (
        Variable(
            name=f"{prefix}_MAX",
            kind=Kind.INTEGER,
            default=str(most),
            example=str(most * 2),
            minimum=1,
            maximum=MOST,
            origin=origin,
            help=f"How many {what} {whose} are admitted within {prefix}_WINDOW.",
        ),
        Variable(
            name=f"{prefix}_WINDOW",
            kind=Kind.DURATION,
            bare_unit="minutes",
            default=window,
            example="15m",
            minimum=timedelta(seconds=1),
            maximum=timedelta(days=7),
            origin=origin,
            help=f"The time in which {prefix}_MAX counts. A bare number is minutes.",
        ),
    )


SIGN_IN = Section(
    "Sign-in and sign-up",
    "Which doors there are and who may make an account.",
    (
        _switch("ALLOW_EMAIL_LOGIN", "true", "Sign-in with a password."),
        _switch(
            "ALLOW_MAGIC_LINK_LOGIN", "true", "Sign-in with a link that is sent on request.", ""
        ),
        Variable(
            name="SSO_ONLY",
            kind=Kind.BOOL,
            default="false",
            example="true",
            aliases=(Alias("AUTH_DISABLE_EMAIL_PASSWORD", "LobeChat"),),
            help=(
                "Sign-in through providers and by passkey alone: closes passwords, requests for "
                "links, the sign-up form and the reset of passwords, whatever their own switches "
                "say. Links that operators make still open."
            ),
        ),
        _switch(
            "ALLOW_REGISTRATION",
            "true",
            "Whether a stranger may make an account, by the sign-up form or by asking for a link. "
            "Without it accounts come from operators.",
        ),
        _switch("ALLOW_PASSWORD_RESET", "true", "Whether people may reset a forgotten password."),
        _switch("ALLOW_ACCOUNT_DELETION", "true", "Whether people may delete their own account."),
        _switch(
            "ALLOW_UNVERIFIED_EMAIL_LOGIN",
            "false",
            "Whether a password is enough before its owner has proved the address. Leave it off "
            "where sign-up is open: anyone could hold somebody else's address.",
        ),
        Variable(
            name="MIN_PASSWORD_LENGTH",
            kind=Kind.INTEGER,
            default="15",
            example="12",
            minimum=8,
            maximum=64,
            origin="LibreChat",
            help=(
                "The shortest password that may be set, in characters. 15 is right while a "
                "password alone opens the door (OWASP ASVS 5.0, 6.2.1); 8 is the least there is."
            ),
        ),
        Variable(
            name="DEFAULT_ROLE",
            kind=Kind.CHOICE,
            choices=("none", "viewer"),
            default="viewer",
            example="none",
            help=(
                "The role of whoever signs himself up. With none he may sign in and waits until "
                "an operator gives him a role."
            ),
        ),
        Variable(
            name="ALLOWED_EMAILS",
            kind=Kind.LIST,
            default="",
            default_note="empty: every address",
            example="example.com,anna@example.org",
            check=check_allowed_emails,
            aliases=(Alias("AUTH_ALLOWED_EMAILS", "LobeChat"),),
            help=(
                "Addresses and domains that may sign up while registration is open. A domain "
                "means itself and no name below it."
            ),
        ),
        Variable(
            name="SESSION_IDLE_TIMEOUT",
            kind=Kind.DURATION,
            default="30d",
            example="8h",
            minimum=timedelta(minutes=1),
            maximum=timedelta(days=366),
            help="A session ends when its device has not been seen for so long.",
        ),
        Variable(
            name="SESSION_ABSOLUTE_TIMEOUT",
            kind=Kind.DURATION,
            default="180d",
            example="30d",
            minimum=timedelta(minutes=1),
            maximum=timedelta(days=3653),
            help="A session ends so long after the sign-in, however often it is used.",
        ),
    ),
)

LIMITS = Section(
    "Limits",
    "How often something may be tried. A client is an IPv4 address, the /64 of an IPv6 address, or "
    "a browser that has signed in to the account before. Counting is atomic, so that parallel "
    "attempts do not slip through.",
    (
        *_limit(
            "LOGIN",
            "sign-ins",
            7,
            "5m",
            "LibreChat",
            whose="to one account from one client",
        ),
        Variable(
            name="LOGIN_IP_MAX",
            kind=Kind.INTEGER,
            default_from=lambda values: min(values["LOGIN_MAX"] * 5, MOST),
            default_note="five times `LOGIN_MAX`",
            example="100",
            minimum=1,
            maximum=MOST,
            help=(
                "How many sign-ins from one address, to whatever accounts, are admitted within "
                "LOGIN_WINDOW. An office behind one address is many people."
            ),
        ),
        Variable(
            name="LOGIN_USER_MAX",
            kind=Kind.INTEGER,
            default_from=lambda values: min(values["LOGIN_MAX"] * 10, MOST),
            default_note="ten times `LOGIN_MAX`",
            example="200",
            minimum=1,
            maximum=MOST,
            help=(
                "How many sign-ins to one account, from all addresses together, are admitted "
                "within LOGIN_WINDOW. Browsers that the account knows are not counted here."
            ),
        ),
        *_limit("REGISTER", "sign-ups", 5, "60m", "LibreChat"),
        *_limit("RESET_PASSWORD", "requests for a password reset", 2, "2m", "LibreChat"),
        *_limit("VERIFY_EMAIL", "requests for a verification mail", 2, "2m", "LibreChat"),
        *_limit("MAGIC_LINK", "requests for a magic link", 5, "10m", ""),
        *_limit(
            "RECIPIENT_MAIL",
            "mails of one kind (sign-in link, reset, verification, notice that an account exists)",
            10,
            "1h",
            "",
            whose="to one address, from all clients together,",
        ),
    ),
)

MAGIC_LINKS = Section(
    "Magic links",
    "How long a link lives and how it is opened.",
    (
        Variable(
            name="MAGIC_LINK_EXPIRY",
            kind=Kind.DURATION,
            default="10m",
            example="5m",
            minimum=timedelta(minutes=1),
            maximum=timedelta(hours=24),
            help=(
                "The life of a link that somebody asked for himself. More than ten minutes is "
                "possible and warned of (OWASP ASVS 5.0, 6.5.5)."
            ),
        ),
        Variable(
            name="MAGIC_LINK_OPERATOR_EXPIRY",
            kind=Kind.DURATION,
            default="1h",
            example="4h",
            minimum=timedelta(minutes=1),
            maximum=timedelta(hours=24),
            help="The life of a link that an operator fetches for somebody, unless he says else.",
        ),
        Variable(
            name="MAGIC_LINK_CONFIRM",
            kind=Kind.CHOICE,
            choices=("auto", "always"),
            default="auto",
            example="always",
            help=(
                "With auto a link signs in at once in the browser that asked for it and asks for "
                "one more click elsewhere; with always it asks everywhere."
            ),
        ),
    ),
)

FIRST_RUN = Section(
    "First run",
    "How an empty instance gets its owner.",
    (
        Variable(
            name="DEFAULT_OWNER_EMAIL",
            kind=Kind.EMAIL,
            default="admin@admin.com",
            example="anna@example.com",
            aliases=(Alias("KHOJ_ADMIN_EMAIL", "Khoj"),),
            origin="Mage",
            help="The address of the owner that the first start makes.",
        ),
        Variable(
            name="DEFAULT_OWNER_PASSWORD",
            kind=Kind.SECRET,
            default_note="none: the start prints a one-time set-up link",
            aliases=(Alias("KHOJ_ADMIN_PASSWORD", "Khoj"),),
            origin="Mage",
            help=(
                "The first owner's password. It works at once when it passes the password rules; "
                "the well-known password admin leads only to the set-up step."
            ),
        ),
        Variable(
            name="DEFAULT_OWNER_USERNAME",
            kind=Kind.TEXT,
            default="admin",
            example="anna",
            origin="Mage",
            help="The user name of the owner that the first start makes.",
        ),
        _switch(
            "DEFAULT_OWNER_ALLOW_INSECURE",
            "false",
            "Takes the well-known first password from other machines too. For demonstrations.",
            "",
        ),
        _switch(
            "FIRST_ACCOUNT_OPEN",
            "false",
            "Lets the first sign-up of a fresh instance come from anywhere without the set-up "
            "code that the start prints. That person becomes admin.",
            "",
        ),
    ),
)

"""Settings of how people come in: sign-in, sign-up, limits, magic links, first run."""

from config.environment.errors import Unreadable, echo
from config.environment.schema import (
    MAX_LIMIT,
    Alias,
    Section,
    choice,
    duration,
    email,
    integer,
    rate_limit,
    secret,
    switch,
    text,
    words,
)
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


SIGN_IN = Section(
    "Sign-in and sign-up",
    "Which doors there are and who may make an account.",
    switch("ALLOW_EMAIL_LOGIN", default=True, origin="LibreChat").with_help(
        "Sign-in with a password."
    ),
    switch("ALLOW_MAGIC_LINK_LOGIN", default=True).with_help(
        "Sign-in with a link that is sent on request."
    ),
    switch(
        "SSO_ONLY", default=False, aliases=(Alias("AUTH_DISABLE_EMAIL_PASSWORD", "LobeChat"),)
    ).with_help(
        "Sign-in through providers and by passkey alone: closes passwords, requests for links, the "
        "sign-up form and the reset of passwords, whatever their own switches say. Links that "
        "operators make still open."
    ),
    switch("ALLOW_REGISTRATION", default=True, origin="LibreChat").with_help(
        "Whether a stranger may make an account, by the sign-up form or by asking for a link. "
        "Without it accounts come from operators."
    ),
    switch("ALLOW_PASSWORD_RESET", default=True, origin="LibreChat").with_help(
        "Whether people may reset a forgotten password."
    ),
    switch("ALLOW_ACCOUNT_DELETION", default=True, origin="LibreChat").with_help(
        "Whether people may delete their own account."
    ),
    switch("ALLOW_UNVERIFIED_EMAIL_LOGIN", default=False, origin="LibreChat").with_help(
        "Whether a password is enough before its owner has proved the address. Leave it off where "
        "sign-up is open: anyone could hold somebody else's address."
    ),
    integer(
        "MIN_PASSWORD_LENGTH", default=15, example="12", bounds=(8, 64), origin="LibreChat"
    ).with_help(
        "The shortest password that may be set, in characters. 15 is right while a password alone "
        "opens the door (OWASP ASVS 5.0, 6.2.1); 8 is the least there is."
    ),
    choice("DEFAULT_ROLE", default="viewer", example="none", choices=("none", "viewer")).with_help(
        "The role of whoever signs himself up. With none he may sign in and waits until an "
        "operator gives him a role."
    ),
    words(
        "ALLOWED_EMAILS",
        default="",
        default_note="empty: every address",
        example="example.com,anna@example.org",
        check=check_allowed_emails,
        aliases=(Alias("AUTH_ALLOWED_EMAILS", "LobeChat"),),
    ).with_help(
        "Addresses and domains that may sign up while registration is open. A domain means itself "
        "and no name below it."
    ),
    duration("SESSION_IDLE_TIMEOUT", default="30d", example="8h", bounds=("1m", "366d")).with_help(
        "A session ends when its device has not been seen for so long."
    ),
    duration(
        "SESSION_ABSOLUTE_TIMEOUT", default="180d", example="30d", bounds=("1m", "3653d")
    ).with_help("A session ends so long after the sign-in, however often it is used."),
)

LIMITS = Section(
    "Limits",
    "How often something may be tried. A client is an IPv4 address, the /64 of an IPv6 address, or "
    "a browser that has signed in to the account before. Counting is atomic, so that parallel "
    "attempts do not slip through.",
    *rate_limit("LOGIN", "sign-ins to one account from one client", 7, "5m"),
    integer(
        "LOGIN_IP_MAX",
        default=lambda values: min(values["LOGIN_MAX"] * 5, MAX_LIMIT),
        default_note="five times `LOGIN_MAX`",
        example="100",
        bounds=(1, MAX_LIMIT),
    ).with_help(
        "How many sign-ins from one address, to whatever accounts, are admitted within "
        "LOGIN_WINDOW. An office behind one address is many people."
    ),
    integer(
        "LOGIN_USER_MAX",
        default=lambda values: min(values["LOGIN_MAX"] * 10, MAX_LIMIT),
        default_note="ten times `LOGIN_MAX`",
        example="200",
        bounds=(1, MAX_LIMIT),
    ).with_help(
        "How many sign-ins to one account, from all addresses together, are admitted within "
        "LOGIN_WINDOW. Browsers that the account knows are not counted here."
    ),
    *rate_limit("REGISTER", "sign-ups from one client", 5, "60m"),
    *rate_limit("RESET_PASSWORD", "requests for a password reset from one client", 2, "2m"),
    *rate_limit("VERIFY_EMAIL", "requests for a verification mail from one client", 2, "2m"),
    *rate_limit("MAGIC_LINK", "requests for a sign-in link from one client", 5, "10m", origin=""),
    *rate_limit(
        "RECIPIENT_MAIL",
        "mails of one kind (sign-in link, reset, verification, notice that an account exists) to "
        "one address, requested by all clients together,",
        10,
        "1h",
        origin="",
    ),
)

MAGIC_LINKS = Section(
    "Magic links",
    "How long a link lives and how it is opened.",
    duration("MAGIC_LINK_EXPIRY", default="10m", example="5m", bounds=("1m", "24h")).with_help(
        "The life of a link that somebody asked for himself. More than ten minutes is possible and "
        "warned of (OWASP ASVS 5.0, 6.5.5)."
    ),
    duration(
        "MAGIC_LINK_OPERATOR_EXPIRY", default="1h", example="4h", bounds=("1m", "24h")
    ).with_help("The life of a link that an operator fetches for somebody, unless he says else."),
    choice(
        "MAGIC_LINK_CONFIRM", default="auto", example="always", choices=("auto", "always")
    ).with_help(
        "With auto a link signs in at once in the browser that asked for it and asks for one more "
        "click elsewhere; with always it asks everywhere."
    ),
)

FIRST_RUN = Section(
    "First run",
    "How an empty instance gets its owner.",
    email(
        "DEFAULT_OWNER_EMAIL",
        default="admin@admin.com",
        example="anna@example.com",
        origin="Mage",
        aliases=(Alias("KHOJ_ADMIN_EMAIL", "Khoj"),),
    ).with_help("The address of the owner that the first start makes."),
    secret(
        "DEFAULT_OWNER_PASSWORD",
        default_note="none: the start prints a one-time set-up link",
        origin="Mage",
        aliases=(Alias("KHOJ_ADMIN_PASSWORD", "Khoj"),),
    ).with_help(
        "The first owner's password. It works at once when it passes the password rules; the "
        "well-known password admin leads only to the set-up step."
    ),
    text("DEFAULT_OWNER_USERNAME", default="admin", example="anna", origin="Mage").with_help(
        "The user name of the owner that the first start makes."
    ),
    switch("DEFAULT_OWNER_ALLOW_INSECURE", default=False).with_help(
        "Takes the well-known first password from other machines too. For demonstrations."
    ),
    switch("FIRST_ACCOUNT_OPEN", default=False).with_help(
        "Lets the first sign-up of a fresh instance come from anywhere without the set-up code "
        "that the start prints. That person becomes admin."
    ),
)

"""Settings of accounts: sign-in, sign-up, limits, magic links, first run."""

from config.environment.errors import Unreadable
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
from core.text.email_addresses import AddressError, parse_allowed
from core.text.plain_text import echo


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
    "Which sign-in methods there are, and who can create an account.",
    switch("ALLOW_EMAIL_LOGIN", default=True, origin="LibreChat").with_help(
        "Whether users can sign in with a password."
    ),
    switch("ALLOW_MAGIC_LINK_LOGIN", default=True).with_help(
        "Whether users can sign in with a link that they request by email."
    ),
    switch(
        "SSO_ONLY", default=False, aliases=(Alias("AUTH_DISABLE_EMAIL_PASSWORD", "LobeChat"),)
    ).with_help(
        "Allows sign-in by providers and passkeys only. Disables passwords, requests for sign-in "
        "links, sign-up and password reset, whatever their own settings say. Sign-in links that an "
        "administrator creates still work."
    ),
    switch("ALLOW_REGISTRATION", default=True, origin="LibreChat").with_help(
        "Whether anyone can create an account, by the sign-up form or by requesting a sign-in "
        "link. If false, administrators create the accounts."
    ),
    switch("ALLOW_PASSWORD_RESET", default=True, origin="LibreChat").with_help(
        "Whether users can reset a forgotten password."
    ),
    switch("ALLOW_ACCOUNT_DELETION", default=True, origin="LibreChat").with_help(
        "Whether users can delete their own account."
    ),
    switch("ALLOW_UNVERIFIED_EMAIL_LOGIN", default=False, origin="LibreChat").with_help(
        "Whether users can sign in with a password before they have verified their email address. "
        "Keep this false if sign-up is open: otherwise anyone can use another person's address."
    ),
    integer(
        "MIN_PASSWORD_LENGTH", default=15, example="12", bounds=(8, 64), origin="LibreChat"
    ).with_help(
        "The minimum length of a new password, in characters. Keep 15 if a password alone is "
        "enough to sign in (OWASP ASVS 5.0, 6.2.1)."
    ),
    choice("DEFAULT_ROLE", default="viewer", example="none", choices=("none", "viewer")).with_help(
        "The role of users who sign up. With none they can sign in, and wait until an "
        "administrator gives them a role."
    ),
    words(
        "ALLOWED_EMAILS",
        default="",
        default_note="empty: every address",
        example="example.com,anna@example.org",
        check=check_allowed_emails,
        aliases=(Alias("AUTH_ALLOWED_EMAILS", "LobeChat"),),
    ).with_help(
        "Addresses and domains that can sign up while registration is open. A domain does not "
        "include its subdomains."
    ),
    duration("SESSION_IDLE_TIMEOUT", default="30d", example="8h", bounds=("1m", "366d")).with_help(
        "A session ends if it is not used for this time."
    ),
    duration(
        "SESSION_ABSOLUTE_TIMEOUT", default="180d", example="30d", bounds=("1m", "3653d")
    ).with_help("A session ends this long after the sign-in, even if it is used."),
)

CHANGES = Section(
    "Changes by administrators",
    "How mistakes are taken back, and what needs two people.",
    duration("UNDO_WINDOW", default="7d", example="24h", bounds=("0", "366d")).with_help(
        "How long a change of a user, a ban or an access rule can be undone in the audit log. "
        "0 switches undo off. Seven days, because a mistake shows within a working week, and "
        "what lasted longer is better decided anew."
    ),
    switch("TWO_PERSON_RULE", default=False).with_help(
        "Whether a second owner must confirm acts on owners: giving and taking the role, "
        "disabling, deleting, banning, offboarding, ends, new addresses, and resets and links that "
        "an owner makes for another one. A request waits for 24 hours. An owner without another "
        "active one acts at once, and so do the commands of `manage.py`."
    ),
)

LIMITS = Section(
    "Limits",
    "How often an action may be attempted. A client is an IPv4 address, the /64 of an IPv6 "
    "address, or a browser that has signed in to the account before. Counting is atomic, so "
    "parallel attempts cannot exceed a limit.",
    *rate_limit("LOGIN", "sign-ins to one account from one client", 7, "5m"),
    integer(
        "LOGIN_IP_MAX",
        default=lambda values: min(values["LOGIN_MAX"] * 5, MAX_LIMIT),
        default_note="five times `LOGIN_MAX`",
        example="100",
        bounds=(1, MAX_LIMIT),
    ).with_help(
        "The maximum number of sign-ins from one address, to any accounts, within LOGIN_WINDOW. "
        "Several users may share the address of an office."
    ),
    integer(
        "LOGIN_USER_MAX",
        default=lambda values: min(values["LOGIN_MAX"] * 10, MAX_LIMIT),
        default_note="ten times `LOGIN_MAX`",
        example="200",
        bounds=(1, MAX_LIMIT),
    ).with_help(
        "The maximum number of sign-ins to one account, from all addresses together, within "
        "LOGIN_WINDOW. Browsers that have signed in to the account before are not counted."
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
    "How long a sign-in link works, and how it is opened.",
    duration("MAGIC_LINK_EXPIRY", default="10m", example="5m", bounds=("1m", "24h")).with_help(
        "How long a link works that a user has requested. More than ten minutes gives a warning "
        "(OWASP ASVS 5.0, 6.5.5)."
    ),
    duration(
        "MAGIC_LINK_OPERATOR_EXPIRY", default="1h", example="4h", bounds=("1m", "24h")
    ).with_help(
        "How long a link works that an administrator creates for a user, unless they choose "
        "another time."
    ),
    choice(
        "MAGIC_LINK_CONFIRM", default="auto", example="always", choices=("auto", "always")
    ).with_help(
        "With auto, a link signs the user in at once in the browser that requested it, and asks "
        "for confirmation in any other browser. With always, it asks everywhere."
    ),
)

FIRST_RUN = Section(
    "First run",
    "How a new instance gets its owner.",
    email(
        "DEFAULT_OWNER_EMAIL",
        default="admin@admin.com",
        example="anna@example.com",
        origin="Mage",
        aliases=(Alias("KHOJ_ADMIN_EMAIL", "Khoj"),),
    ).with_help("The email address of the owner whom the first start creates."),
    secret(
        "DEFAULT_OWNER_PASSWORD",
        default_note="none: the start prints a one-time set-up link",
        origin="Mage",
        aliases=(Alias("KHOJ_ADMIN_PASSWORD", "Khoj"),),
    ).with_help(
        "The password of the first owner. It works at once if it passes the password rules. The "
        "well-known password admin only leads to the set-up page."
    ),
    text("DEFAULT_OWNER_USERNAME", default="admin", example="anna", origin="Mage").with_help(
        "The user name of the owner whom the first start creates."
    ),
    switch("DEFAULT_OWNER_ALLOW_INSECURE", default=False).with_help(
        "Accepts the well-known first password from other machines too. Use it for demonstrations "
        "only."
    ),
    switch("FIRST_ACCOUNT_OPEN", default=False).with_help(
        "Allows the first sign-up of a new instance from any machine, without the set-up code that "
        "the start prints. This user becomes admin."
    ),
)

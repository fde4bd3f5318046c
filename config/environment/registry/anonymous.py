"""Settings of the mode without sign-in: who has no account is the built-in anonymous user."""

from config.environment.errors import Unreadable, echo
from config.environment.schema import Section, choice, text

CLOSED_WORDS = ("false", "0", "no", "off")
OPEN_WORDS = ("true", "1", "yes", "on", "t")


def check_anonymous_mode(text: str) -> bool:
    """Only `true`, exactly so, opens the house; what plainly says no keeps it closed."""
    if text == "true":
        return True
    if text.lower() in CLOSED_WORDS:
        return False
    what = f"{echo(text)} is not exactly true, which alone lets everybody in"
    raise Unreadable(what)


def check_authentication(text: str) -> bool:
    """Is sign-in needed? `0` or `false`, exactly so, opens the house."""
    return _is_required(text, ("0", "false"))


def check_login(text: str) -> bool:
    """Is sign-in needed? Only `false`, exactly so, opens the house."""
    return _is_required(text, ("false",))


def _is_required(text: str, opening: tuple[str, ...]) -> bool:
    if text in opening:
        return False
    if text.lower() in OPEN_WORDS:
        return True
    words = " or ".join(opening)
    raise Unreadable(f"{echo(text)} is not exactly {words}, which alone lets everybody in")


ANONYMOUS = Section(
    "Without sign-in",
    "One of these, AUTH_BACKEND=none among them, lets everybody who can open the site use it "
    "without an account. Where two of them disagree, nothing starts.",
    text(
        "ANONYMOUS_MODE",
        default="false",
        example="true",
        choices=("true", "false"),
        check=check_anonymous_mode,
        fix="write ANONYMOUS_MODE=true, or remove it to keep sign-in",
    ).with_help(
        "With true, whoever has no account is the built-in anonymous user. Only the word true "
        "itself is taken. The admin panel needs a sign-in all the same."
    ),
    choice(
        "ANONYMOUS_ROLE", default="editor", example="viewer", choices=("viewer", "editor")
    ).with_help("What the anonymous user may do. It is never an operator."),
    text(
        "REQUIRE_USER_AUTHENTICATION",
        default="1",
        example="0",
        choices=("1", "0"),
        check=check_authentication,
        origin="Mage",
        fix="write REQUIRE_USER_AUTHENTICATION=0, or remove it to keep sign-in",
    ).with_help("With 0 or false the same as ANONYMOUS_MODE=true."),
    text(
        "FEATURE_REQUIRE_LOGIN",
        default="true",
        example="false",
        choices=("true", "false"),
        check=check_login,
        origin="Reflector",
        fix="write FEATURE_REQUIRE_LOGIN=false, or remove it to keep sign-in",
    ).with_help("With false the same as ANONYMOUS_MODE=true."),
)

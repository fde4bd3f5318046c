"""Settings that turn sign-in off: users without an account are the built-in anonymous user."""

from config.environment.errors import Unreadable
from config.environment.parsing.parsers import FALSE, TRUE
from config.environment.schema import Section, choice, text
from core.text.plain_text import echo


def check_anonymous_mode(text: str) -> bool:
    """Only the exact word `true` turns sign-in off; unclear words are refused."""
    if text == "true":
        return True
    if text.lower() in FALSE:
        return False
    what = f"{echo(text)} is not exactly true, the only value that turns sign-in off"
    raise Unreadable(what)


def check_authentication(text: str) -> bool:
    """Is sign-in required? Only the exact words `0` and `false` turn it off."""
    return _is_required(text, ("0", "false"))


def check_login(text: str) -> bool:
    """Is sign-in required? Only the exact word `false` turns it off."""
    return _is_required(text, ("false",))


def _is_required(text: str, opening: tuple[str, ...]) -> bool:
    if text in opening:
        return False
    if text.lower() in (*TRUE, "t"):
        return True
    words = " or ".join(opening)
    raise Unreadable(f"{echo(text)} is not exactly {words}, the only value that turns sign-in off")


ANONYMOUS = Section(
    "Without sign-in",
    "Each of these settings, and AUTH_BACKEND=none, lets everyone who can open the site use it "
    "without an account. If two of them disagree, the server does not start.",
    text(
        "ANONYMOUS_MODE",
        default="false",
        example="true",
        choices=("true", "false"),
        check=check_anonymous_mode,
        fix="write ANONYMOUS_MODE=true, or remove it to keep sign-in",
    ).with_help(
        "With true, users without an account act as the built-in anonymous user. Only the exact "
        "word true turns this on. The admin panel still requires sign-in."
    ),
    choice(
        "ANONYMOUS_ROLE", default="editor", example="viewer", choices=("viewer", "editor")
    ).with_help("The role of the anonymous user, which is never an administrator."),
    text(
        "REQUIRE_USER_AUTHENTICATION",
        default="1",
        example="0",
        choices=("1", "0"),
        check=check_authentication,
        origin="Mage",
        fix="write REQUIRE_USER_AUTHENTICATION=0, or remove it to keep sign-in",
    ).with_help("0 or false has the same effect as ANONYMOUS_MODE=true."),
    text(
        "FEATURE_REQUIRE_LOGIN",
        default="true",
        example="false",
        choices=("true", "false"),
        check=check_login,
        origin="Reflector",
        fix="write FEATURE_REQUIRE_LOGIN=false, or remove it to keep sign-in",
    ).with_help("false has the same effect as ANONYMOUS_MODE=true."),
)

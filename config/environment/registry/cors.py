"""Settings of other sites whose pages may call the API (CORS)."""

from config.environment.errors import Unreadable
from config.environment.parsing.urls import origin_of, parse_url
from config.environment.schema import Section, switch, words
from core.text.plain_text import echo

ANY_ORIGIN = "*"


def check_origins(origins: list[str]) -> list[str]:
    """Exact origins as browsers write them, each once; or `*` alone."""
    if ANY_ORIGIN in origins and len(origins) > 1:
        raise Unreadable("contains * and other origins", "write only *, or only the origins")
    return list(dict.fromkeys(_origin(text) for text in origins))


def _origin(text: str) -> str:
    if text == ANY_ORIGIN:
        return text
    if "*" in text:
        raise Unreadable(f"{echo(text)} is a pattern", "name each origin exactly")
    try:
        origin = parse_url(text)
    except Unreadable:
        fix = "write origins such as https://app.example.com, separated by commas"
        raise Unreadable(f"{echo(text)} is not an origin", fix) from None
    if origin != origin_of(origin):
        raise Unreadable(f"{echo(text)} has a path", "write only scheme and host")
    return origin


CORS = Section(
    "Pages on other hosts",
    "Which pages of other sites may call /api/v1/ from a browser. Servers and scripts need no "
    "permission.",
    words(
        "CORS_ALLOWED_ORIGINS",
        default="",
        example="https://app.example.com,http://localhost:5173",
        check=check_origins,
    ).with_help(
        "The exact origins (scheme, host and port) whose scripts may read responses of the API. "
        "`*` allows every page, with tokens and keys only."
    ),
    switch("CORS_ALLOW_CREDENTIALS", default=False, origin="Reflector").with_help(
        "Whether these origins may also use the cookies of a signed-in browser. Trust them as you "
        "trust this server: a script there can do everything that the user can. Cookies are "
        "SameSite, so it works only for hosts of the same site."
    ),
)

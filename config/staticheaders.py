"""Headers of static files."""

from wsgiref.headers import Headers


def for_every_site(headers: Headers, _path: str, _url: str) -> None:
    """Let other sites load them: the page for a denied user is shown at the address of the app."""
    headers["Cross-Origin-Resource-Policy"] = "cross-origin"

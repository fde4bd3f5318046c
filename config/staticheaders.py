"""What static files say of themselves."""

from wsgiref.headers import Headers


def for_every_site(headers: Headers, _path: str, _url: str) -> None:
    """They are the same for everybody, and the page of a refused person needs them elsewhere:
    the proxy shows it under the name of the app.
    """
    headers["Cross-Origin-Resource-Policy"] = "cross-origin"

"""An HTTP client for one authentik, which keeps secrets out of messages."""

import json
import ssl
from collections.abc import Mapping
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit

from core.http import REDIRECTS, FetchError, Response, check_url, send

API = "/api/v3"
TIMEOUT_SECONDS = 15.0
MAX_DETAIL_LENGTH = 300
CSRF_COOKIE, CSRF_HEADER = "authentik_csrf", "X-authentik-CSRF"
Query = Mapping[str, str | int]
Body = Mapping[str, Any]


class AuthentikError(Exception):
    """The set-up failed; the message tells the administrator why, and how to fix it."""


class Answer(NamedTuple):
    """document: the JSON object, {} for an empty body. location: of a redirect."""

    status: int
    document: dict[str, Any]
    location: str = ""


def parse_base(text: str, *, allows_http: bool) -> str:
    """A base URL without trailing slash. Raises AuthentikError."""
    try:
        check_url(text, allows_http)
    except FetchError:
        raise AuthentikError(
            f"{text[:200]!r} is no https address. Plain http is taken from this machine itself, "
            "or with --insecure-http."
        ) from None
    parts = urlsplit(text)
    if parts.username is not None or parts.query or parts.fragment:
        raise AuthentikError(
            "An address here has no user name, no question mark and no number sign: write "
            "https://name or https://name:port."
        )
    return text.rstrip("/")


class Client:
    """A client with a token, or with the cookies of a session.

    base: from parse_base(). Raises AuthentikError.
    """

    def __init__(self, base: str, *, token: str = "", allows_http: bool = False) -> None:
        self.base = base
        self.allows_http = allows_http
        self._secrets = {token} - {""}
        self._token = token
        self._cookies: dict[str, str] = {}
        if not token.isascii() or any(character <= " " for character in token):
            raise AuthentikError("The token contains a space or a character that no token has.")

    def hide(self, secret: str) -> None:
        """Never show `secret` in a message."""
        self._secrets |= {secret} - {""}

    def url(self, path: str, query: Query | None = None) -> str:
        """The URL of `path` in the API."""
        return f"{self.base}{API}{path}" + (f"?{urlencode(query)}" if query else "")

    def request(
        self, method: str, path: str, *, query: Query | None = None, body: Body | None = None
    ) -> Answer:
        """Send a request; returns an Answer, whatever the status. Raises AuthentikError."""
        url = self.url(path, query)
        try:
            response = send(
                method,
                url,
                headers=self._headers(),
                data=None if body is None else json.dumps(body).encode(),
                timeout=TIMEOUT_SECONDS,
                allows_http=self.allows_http,
                reads_errors=True,
            )
        except FetchError as error:
            raise AuthentikError(self._explain(url, error)) from None
        self._keep_cookies(response.headers)
        location = response.headers.get("Location", "")
        return Answer(response.status, self._document(response), location)

    def expect(
        self, method: str, path: str, *, query: Query | None = None, body: Body | None = None
    ) -> dict[str, Any]:
        """The document of a request that must succeed."""
        answer = self.request(method, path, query=query, body=body)
        if 200 <= answer.status < 300:
            return answer.document
        raise AuthentikError(self._refusal(f"{method} {self.url(path)}", answer))

    def detail(self, document: Body) -> str:
        """The error message of authentik, in one line without secrets."""
        text = "; ".join(f"{name}: {_words(value)}" for name, value in document.items())
        for secret in self._secrets:
            text = text.replace(secret, "(hidden)")
        printable = "".join(character if character.isprintable() else " " for character in text)
        return printable[:MAX_DETAIL_LENGTH]

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "Gatehouse",
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._cookies:
            headers["Cookie"] = "; ".join(
                f"{name}={value}" for name, value in self._cookies.items()
            )
            # authentik requires these for changes by a session.
            headers[CSRF_HEADER] = self._cookies.get(CSRF_COOKIE, "")
            headers["Referer"] = f"{self.base}/"
        return headers

    def _keep_cookies(self, headers: Message) -> None:
        """Keep cookies of a session; with a token none are needed."""
        if self._token:
            return
        for line in headers.get_all("Set-Cookie") or ():
            try:
                jar = SimpleCookie(line)
            except CookieError:
                continue
            for name, morsel in jar.items():
                self._cookies[name] = morsel.value
                self.hide(morsel.value)

    def _document(self, response: Response) -> dict[str, Any]:
        """The JSON object of a response; {} for an empty body, a redirect or an error without."""
        if not response.body or response.status in REDIRECTS:
            return {}
        try:
            return response.json_object()
        except FetchError:
            if response.status >= 400:
                return {}
        raise AuthentikError(
            f"{self.base} answers, but not as Authentik does: no JSON object. Is it the address "
            "of Authentik itself?"
        )

    def _explain(self, url: str, error: FetchError) -> str:
        cause = error.__cause__
        if cause is None:
            return f"The answer of Authentik at {url} cannot be used: {error}."
        reason = cause.reason if isinstance(cause, URLError) else cause
        if isinstance(reason, ssl.SSLCertVerificationError):
            return (
                f"The certificate of {self.base} cannot be verified: {reason.verify_message}. "
                "Let this machine trust it (SSL_CERT_FILE), then run again."
            )
        return (
            f"Authentik does not answer at {self.base} ({type(reason).__name__}: {reason}). "
            "Check the address, and that it is up; then run again."
        )

    def _refusal(self, asked: str, answer: Answer) -> str:
        said = self.detail(answer.document)
        if 300 <= answer.status < 400:
            return f"{asked} is redirected to {answer.location[:200]!r}. Give that address."
        if answer.status in (401, 403):
            return (
                f"Authentik refuses {asked} ({answer.status}): {said or 'no reason given'}. "
                "It takes a valid API token of an administrator."
            )
        if answer.status == 404:
            return (
                f"Authentik does not know {asked} (404). Is the address right, and the version "
                "2024.12 or later?"
            )
        if answer.status >= 500:
            return f"Authentik failed at {asked} ({answer.status}). Look into its log; run again."
        return f"Authentik refuses {asked} ({answer.status}): {said or 'no reason given'}."


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

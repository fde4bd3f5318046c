"""A small HTTP client with the behaviour of a browser: keep-alive, cookies, CSRF tokens."""

import http.client
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Answer:
    """headers: lower-case names; of several, the last one. set_cookies: every Set-Cookie line."""

    status: int
    headers: dict[str, str]
    body: bytes
    set_cookies: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.body.decode()


class HTTPClient:
    """Follows no redirects. Tests may read and change `cookies`."""

    def __init__(self, base_url: str, cookies: dict[str, str] | None = None) -> None:
        self.base_url = base_url
        self.cookies = dict(cookies or {})
        parts = urlsplit(base_url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def connect(self) -> None:
        """Open the connection now, so that it does not delay the request of a race."""
        if self.connection.sock is None:
            self.connection.connect()

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(
        self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None
    ) -> Answer:
        """Post a form, with the CSRF token of the cookie if there is one."""
        return self.request("POST", path, fields, headers)

    def request(
        self,
        method: str,
        path: str,
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        *,
        body: str | None = None,
    ) -> Answer:
        """fields: of a form. body: instead of a form, with its type in the headers."""
        sent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if fields is not None:
            body = urlencode({"csrfmiddlewaretoken": self.csrf_token, **fields})
            sent.setdefault("Content-Type", FORM)
        self.connection.request(method, path, body, sent)
        return self._read(self.connection.getresponse())

    @property
    def csrf_token(self) -> str:
        """The secret in the CSRF cookie is itself a valid form token."""
        names = (name for name in self.cookies if "gatehouse_csrf" in name)
        return self.cookies.get(next(names, ""), "")

    def _read(self, response: http.client.HTTPResponse) -> Answer:
        body = response.read()
        set_cookies = tuple(response.headers.get_all("Set-Cookie") or ())
        for line in set_cookies:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, body, set_cookies)

    def close(self) -> None:
        self.connection.close()

"""An app that signs people in, as its requests and what it reads of the answers."""

import base64
import hashlib
import html
import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.test import Client

from accounts.models import User
from applications.models import App
from applications.services.secrets import create_secret
from tests.pages.pages import read

CALLBACK = "https://wiki.example.com/callback"
AFTER = "https://wiki.example.com/bye"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")
AUTHORIZE, TOKEN, USERINFO = "/openid/authorize", "/openid/token", "/openid/userinfo"
INTROSPECT = "/api/v1/introspect"
EVERYTHING = "openid profile email groups"


def make_client(kind: str = "spa", **fields: Any) -> App:
    """An app of this kind; trusted unless the fields say otherwise."""
    given = {
        "name": "Wiki",
        "slug": f"wiki-{App.objects.count()}",
        "url": "https://wiki.example.com",
        "host": "wiki.example.com",
        "openid_kind": kind,
        "redirect_uris": [CALLBACK],
        "logout_uris": [AFTER],
        "is_trusted": True,
        **fields,
    }
    return App.objects.create(**given)


class RelyingParty:
    """app: with PKCE, unless it has a secret. secret: of a web app."""

    def __init__(self, app: App, owner: User | None = None) -> None:
        self.app = app
        self.secret = create_secret(actor=owner, app=app).text if owner else ""
        # Apps send no cookies.
        self.http = Client(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)

    @property
    def callback(self) -> str:
        return CALLBACK

    def parameters(self, **changes: Any) -> dict[str, Any]:
        given = {
            "client_id": self.app.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": EVERYTHING,
            "state": "a state",
            "nonce": "a nonce",
            "code_challenge": CHALLENGE.decode(),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in given.items() if value is not None}

    def authorize(self, browser: Client, **changes: Any) -> Any:
        return browser.get(AUTHORIZE, self.parameters(**changes))

    def code(self, browser: Client, **changes: Any) -> str:
        answer = answer_of(self.authorize(browser, **changes))
        assert "code" in answer, answer
        return answer["code"]

    def redeem(self, code: str, **changes: Any) -> Any:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            **self._credentials(),
            **changes,
        }
        return self.post(TOKEN, form)

    def refresh(self, token: str, **changes: Any) -> Any:
        form = {"grant_type": "refresh_token", "refresh_token": token, **self._credentials()}
        return self.post(TOKEN, form | changes)

    def revoke(self, token: str) -> Any:
        return self.post("/openid/revoke", {"token": token, **self._credentials()})

    def introspect(self, token: str) -> dict[str, Any]:
        """What the app is told; it needs a secret."""
        answer = self.post(INTROSPECT, {"token": token, **self._credentials()})
        assert answer.status_code == 200, answer.content
        told: dict[str, Any] = answer.json()
        return told

    def sign_in(self, browser: Client, **changes: Any) -> dict[str, Any]:
        """The tokens of a new sign-in."""
        given = self.redeem(self.code(browser, **changes))
        assert given.status_code == 200, given.content
        tokens: dict[str, Any] = given.json()
        return tokens

    def userinfo(self, access: str) -> Any:
        return self.http.get(USERINFO, headers={"authorization": f"Bearer {access}"})

    def post(self, path: str, form: dict[str, Any], **headers: str) -> Any:
        sent = {name: value for name, value in form.items() if value is not None}
        return self.http.post(
            path, urlencode(sent), content_type="application/x-www-form-urlencoded", headers=headers
        )

    def _credentials(self) -> dict[str, str]:
        secret = {"client_secret": self.secret} if self.secret else {}
        return {"client_id": self.app.client_id, **secret}


def answer_of(response: Any, uri: str = CALLBACK) -> dict[str, str]:
    """What the browser brings to the app, by a redirect, or by a page that leads on or posts."""
    if response.status_code == 303:
        return _parameters(response["Location"], uri)
    assert response.status_code == 200, (response.status_code, response.content)
    page = response.content.decode()
    leads = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page)
    if leads:
        return _parameters(html.unescape(leads[1]), uri)
    assert f'action="{uri}"' in page, page
    found = read(response.content)
    # The page has other forms, such as that of the language.
    [form] = [each.form for each in found.all("form") if each.attributes.get("action") == uri]
    inputs = [each.attributes for each in found.all("input") if each.form == form]
    return {each["name"]: each["value"] for each in inputs}


def _parameters(url: str, uri: str) -> dict[str, str]:
    assert url.startswith(uri), url
    return {name: value for name, [value] in parse_qs(urlsplit(url).query).items()}


def decide(browser: Client, page: Any, choice: str) -> Any:
    """Press a button of the page of consent, or of a refusal."""
    fields = {name: read(page.content).input(name)["value"] for name in ("request", "account")}
    return browser.post("/openid/consent", {**fields, "choice": choice})

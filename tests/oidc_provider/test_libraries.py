"""Libraries of other people sign people in, refresh, sign out, and lose a disabled account.

Each is set up as docs/openid-recipes/libraries.md says: its code is taken from there.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.test import RequestFactory

from devtools.servers.databases import InstanceData, Templates
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import ROOT, ServerProcess, accepts_connections, free_port
from tests.oidc_provider.journey import Place, WebBrowser
from tests.oidc_provider.relying_party import AFTER, CALLBACK

APPS_FOLDER = ROOT / "tests" / "oidc_provider" / "apps"
RECIPES = ROOT / "docs" / "openid-recipes" / "libraries.md"
PASSWORD = "seven quiet rivers under glass"
ALLAUTH_PORT = free_port()
ALLAUTH = f"127.0.0.1:{ALLAUTH_PORT}"
# The fields of the app of each library.
APPS: dict[str, dict[str, Any]] = {
    "Authlib": {},
    "django-allauth": {
        "redirect_uris": [f"http://{ALLAUTH}/accounts/oidc/gatehouse/login/callback/"],
        "logout_uris": [f"http://{ALLAUTH}/"],
    },
}
# An app with a secret, and an editor, for each library.
PREPARE = """
import json
from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import create_user
from applications.services.secrets import create_secret
from tests.oidc_provider.relying_party import make_client
owner = create_user(actor=SYSTEM, email="owner@example.com", role="owner", verified=True)
result = {}
for name, fields in json.loads(%r).items():
    create_user(actor=SYSTEM, email=f"{name}@example.com", role="editor", verified=True,
                password="%s")
    app = make_client("web", name=name, **fields)
    result[name] = [app.client_id, create_secret(actor=owner, app=app).text]
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A running Gatehouse; clients: (client id, secret) of the app of each library."""

    gatehouse: Gatehouse
    clients: dict[str, tuple[str, str]]

    def recipe(self, library: str, language: str) -> str:
        """The code of the section, for this Gatehouse and the app of the library."""
        section = re.split(r"(?m)^## ", RECIPES.read_text())
        [text] = [part for part in section if part.startswith(f"{library}\n")]
        [code] = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)
        client_id, secret = self.clients[library]
        found = code.replace("https://auth.example.com", self.gatehouse.url)
        return found.replace("app_…", client_id).replace("gths_…", secret)

    def browser(self, *others: str) -> WebBrowser:
        """A new browser, which reaches Gatehouse and these hosts."""
        return WebBrowser(urlsplit(self.gatehouse.url).netloc, *others)

    def sign_in(self, browser: WebBrowser, place: Place, library: str) -> Place:
        """Enter the password of the person of the library on the page of Gatehouse."""
        assert place.url.startswith(f"{self.gatehouse.url}/sign-in?"), place.url
        login = f"{library.lower()}@example.com"
        return browser.press(place, "password", login=login, password=PASSWORD)

    def check_refused(self, browser: WebBrowser, place: Place, library: str) -> None:
        """The browser is signed out of Gatehouse, and cannot sign in again."""
        refused = self.sign_in(browser, place, library)
        assert refused.page is not None
        assert refused.url == f"{self.gatehouse.url}/sign-in"
        assert (refused.page.status, "disabled" in refused.page.text) == (403, True)

    def disable(self, library: str) -> None:
        ended = self.gatehouse.data.manage("disableuser", f"{library.lower()}@example.com")
        assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def site(data_templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data: InstanceData = data_templates.fresh("sqlite", tmp_path_factory.mktemp("libraries"))
    clients = data.shell(PREPARE % (json.dumps(APPS), PASSWORD))
    gatehouse = Gatehouse(data, data.data_dir, 1, {})
    yield Site(gatehouse, clients)
    gatehouse.stop()


def test_authlib(site: Site) -> None:
    """As an app of Django; that of Flask or Starlette differs only in its requests."""
    renewed: list[dict[str, Any]] = []
    oauth = OAuth(update_token=lambda name, token, **_of_old: renewed.append(token))
    exec(site.recipe("Authlib", "python"), {"oauth": oauth})
    app, session = oauth.gatehouse, {}

    def request(url: str) -> Any:
        found = RequestFactory().get(url.removeprefix("https://wiki.example.com"))
        found.session = session
        return found

    def begin(browser: WebBrowser) -> Place:
        return browser.open(app.authorize_redirect(request("/login"), CALLBACK)["Location"])

    browser = site.browser()
    back = site.sign_in(browser, begin(browser), "Authlib")
    token = app.authorize_access_token(request(back.url))

    about = token["userinfo"]
    assert (about["email"], about["groups"]) == ("authlib@example.com", ["editor"])
    assert app.userinfo(token=token)["sub"] == about["sub"]
    # What has expired is renewed by itself.
    assert app.userinfo(token={**token, "expires_at": 1})["sub"] == about["sub"]
    [fresh] = renewed
    assert fresh["refresh_token"] != token["refresh_token"]

    leaving = app.logout_redirect(
        request("/logout"), post_logout_redirect_uri=AFTER, id_token_hint=token["id_token"]
    )
    left = browser.press(browser.open(leaving["Location"]), "request")
    assert left.url.startswith(f"{AFTER}?state=")
    assert app.validate_logout_response(request(left.url))["post_logout_redirect_uri"] == AFTER
    assert app.get(f"{site.gatehouse.url}/openid/userinfo", token=fresh).status_code == 401

    back = site.sign_in(browser, begin(browser), "Authlib")
    token = app.authorize_access_token(request(back.url))
    site.disable("Authlib")
    assert app.get(f"{site.gatehouse.url}/openid/userinfo", token=token).status_code == 401
    with pytest.raises(OAuthError, match="invalid_grant"):
        app.userinfo(token={**token, "expires_at": 1})
    site.check_refused(browser, begin(browser), "Authlib")


@pytest.fixture
def allauth_app(site: Site, tmp_path: Path) -> Iterator[None]:
    recipe = tmp_path / "recipe.py"
    recipe.write_text(site.recipe("django-allauth", "python"))
    command = [sys.executable, str(APPS_FOLDER / "allauth_app.py"), str(ALLAUTH_PORT), str(recipe)]
    process = ServerProcess(command, tmp_path / "log")
    process.wait_until(lambda: accepts_connections(ALLAUTH_PORT))
    yield
    process.stop()


def test_django_allauth(site: Site, allauth_app: None) -> None:
    browser, start = site.browser(ALLAUTH), f"http://{ALLAUTH}/accounts/oidc/gatehouse/login/"
    arrived = browser.open(start)
    assert "code_challenge_method=S256" in unquote(arrived.url)

    home = site.sign_in(browser, arrived, "django-allauth")
    assert home.url == f"http://{ALLAUTH}/"
    about = json.loads(home.page.text)
    assert (about["email"], about["groups"]) == ("django-allauth@example.com", ["editor"])
    for _time in range(2):
        assert browser.open(f"http://{ALLAUTH}/renew").page.status == 200

    asked = browser.open(f"http://{ALLAUTH}/sign-out")
    assert browser.press(asked, "request").page.text == "{}"
    home = site.sign_in(browser, browser.open(start), "django-allauth")
    assert json.loads(home.page.text) == about

    site.disable("django-allauth")
    renewed = browser.open(f"http://{ALLAUTH}/renew").page
    assert (renewed.status, json.loads(renewed.text)["error"]) == (400, "invalid_grant")
    site.check_refused(browser, browser.open(start), "django-allauth")

"""Libraries of other people sign people in, refresh, sign out, and lose a disabled account.

Each is set up as docs/openid-recipes/libraries.md says: its code is taken from there, but for that
of openid-client.
"""

import json
import os
import re
import subprocess
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
from devtools.servers.processes import (
    ROOT,
    ServerProcess,
    accepts_connections,
    free_port,
    program,
    wait_for,
)
from tests.oidc_provider.journey import Place, WebBrowser
from tests.oidc_provider.relying_party import AFTER, CALLBACK
from tests.servers.apache import apache_configuration
from tests.servers.node import NODE_FOLDER
from tests.webhooks.receiver import Receiver

APPS_FOLDER = ROOT / "tests" / "oidc_provider" / "apps"
RECIPES = ROOT / "docs" / "openid-recipes" / "libraries.md"
PASSWORD = "seven quiet rivers under glass"
BEHIND_APACHE = """
ProxyPass /goodbye !
ProxyPass /oidc-callback !
ProxyPass / http://127.0.0.1:%d/
"""
# The fields of the app of each library; {url} is that of the app, where the test starts one.
AUTHJS: dict[str, Any] = {
    "redirect_uris": ["{url}/api/auth/callback/gatehouse"],
    "logout_uris": ["{url}/"],
}
APPS: dict[str, dict[str, Any]] = {
    "Authlib": {},
    "openid-client": {},
    "django-allauth": {
        "redirect_uris": ["{url}/accounts/oidc/gatehouse/login/callback/"],
        "logout_uris": ["{url}/"],
    },
    "NextAuth.js": AUTHJS,
    "Auth.js": AUTHJS,
    "Gatehouse": {},
    "mod_auth_openidc": {
        "redirect_uris": ["{url}/oidc-callback"],
        "logout_uris": ["{url}/goodbye"],
        "backchannel_logout_uri": "{url}/oidc-callback?logout=backchannel",
    },
}
# An app with a secret, and an editor, for each library; a token for an app that registers itself.
PREPARE = """
import json
from datetime import timedelta
from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.users import create_user
from applications.services.secrets import create_secret
from oidc_provider.services.registration import create_token
from tests.oidc_provider.relying_party import make_client
owner = create_user(actor=SYSTEM, email="owner@example.com", role="owner", verified=True)
create_user(actor=SYSTEM, email="viewer@example.com", verified=True, password="%s")
result = {}
apps = json.loads(%r)
for name in (*apps, "registration"):
    create_user(actor=SYSTEM, email=f"{name}@example.com", role="editor", verified=True,
                password="%s")
for name, fields in apps.items():
    app = make_client("web", name=name, **fields)
    result[name] = [app.client_id, create_secret(actor=owner, app=app).text]
values = {"name": "CI", "openid_role": "viewer", "max_uses": 1}
token = create_token(actor=owner, values=values, lifetime=timedelta(hours=1)).text
result["registration"] = ["register", token]
"""
OWNER = """
from accounts.actors import SYSTEM
from accounts.services.users import create_user
create_user(actor=SYSTEM, email="owner@example.com", role="owner", verified=True)
"""
REGISTER = """
from applications.models import App
addresses = {"redirect_uris": ["%s/oauth/openid/callback"], "logout_uris": ["%s/sign-in"]}
App.objects.filter(name="Gatehouse").update(**addresses)
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A running Gatehouse. clients: client id and secret of the app of each library. ports: of the
    apps that are servers.
    """

    gatehouse: Gatehouse
    clients: dict[str, tuple[str, str]]
    ports: dict[str, int]

    def url(self, library: str) -> str:
        """Where the app is, which the test has to start."""
        return f"http://127.0.0.1:{self.ports[library]}"

    def recipe(self, library: str, language: str) -> str:
        """The code of the section, for this Gatehouse and the app of the library."""
        section = re.split(r"(?m)^## ", RECIPES.read_text())
        [text] = [part for part in section if part.startswith(f"{library}\n")]
        [code] = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)
        client_id, secret = self.clients[library]
        found = code.replace("https://auth.example.com", self.gatehouse.url)
        return found.replace("app_…", client_id).replace("gths_…", secret)

    def browser(self, library: str = "") -> WebBrowser:
        """A new browser, which reaches Gatehouse, and the app of the library."""
        urls = [self.gatehouse.url, *([self.url(library)] if library else [])]
        return WebBrowser(*(urlsplit(url).netloc for url in urls))

    def sign_in(self, browser: WebBrowser, place: Place, library: str) -> Place:
        """Enter the password of the person of the library on the page of Gatehouse."""
        assert place.url.startswith(f"{self.gatehouse.url}/sign-in?"), place.url
        login = f"{library.lower()}@example.com"
        return browser.press(place, "password", login=login, password=PASSWORD)

    def check_refused(self, browser: WebBrowser, place: Place, library: str) -> None:
        """The browser is signed out of Gatehouse, and cannot sign in again."""
        refused = self.sign_in(browser, place, library)
        assert refused.url == f"{self.gatehouse.url}/sign-in"
        assert (refused.answer.status, "disabled" in refused.answer.text) == (403, True)

    def disable(self, library: str) -> None:
        ended = self.gatehouse.data.manage("disableuser", f"{library.lower()}@example.com")
        assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def site(data_templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data: InstanceData = data_templates.fresh("sqlite", tmp_path_factory.mktemp("libraries"))
    ports = {library: free_port() for library in APPS}
    apps = {
        library: json.loads(json.dumps(fields).replace("{url}", f"http://127.0.0.1:{port}"))
        for (library, fields), port in zip(APPS.items(), ports.values(), strict=True)
    }
    clients = data.shell(PREPARE % (PASSWORD, json.dumps(apps), PASSWORD))
    gatehouse = Gatehouse(data, data.data_dir, 1, {})
    yield Site(gatehouse, clients, ports)
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


@pytest.mark.parametrize("name", ["openid-client", "registration"])
def test_openid_client(site: Site, name: str) -> None:
    """Discovery, `iss`, nonce, max_age with auth_time, signature, at_hash, userinfo, revocation.

    As an app that an owner has made, and as one that registers itself, which people allow.
    """
    command = [program("node"), str(NODE_FOLDER / "relying_party.mjs"), site.gatehouse.url]
    app = subprocess.Popen(
        [*command, *site.clients[name]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert app.stdin is not None
    assert app.stdout is not None
    browser = site.browser()
    address = app.stdout.readline().strip()
    back = site.sign_in(browser, browser.open(address), name)
    if name == "registration":
        assert "it registered itself" in back.answer.text
        back = browser.press(back, "account", choice="allow")
    printed, _errors = app.communicate(f"{back.url}\n", timeout=60)

    assert app.returncode == 0
    told = json.loads(printed)
    assert browser.press(browser.open(told.pop("end")), "request").url == AFTER
    assert told == {
        "claims": [f"{name}@example.com", ["editor"], ["pwd"]],
        "about": f"{name}@example.com",
        "isNew": True,
        "afterwards": "OAUTH_WWW_AUTHENTICATE_CHALLENGE",
    }
    site.disable(name)
    site.check_refused(browser, browser.open(address), name)


@pytest.fixture
def allauth_app(site: Site, tmp_path: Path) -> Iterator[None]:
    recipe = tmp_path / "recipe.py"
    recipe.write_text(site.recipe("django-allauth", "python"))
    port = site.ports["django-allauth"]
    command = [sys.executable, str(APPS_FOLDER / "allauth_app.py"), str(port), str(recipe)]
    process = ServerProcess(command, tmp_path / "log")
    process.wait_until(lambda: accepts_connections(port))
    yield
    process.stop()


def test_django_allauth(site: Site, allauth_app: None) -> None:
    app, browser = site.url("django-allauth"), site.browser("django-allauth")
    start = f"{app}/accounts/oidc/gatehouse/login/"
    arrived = browser.open(start)
    assert "code_challenge_method=S256" in unquote(arrived.url)

    home = site.sign_in(browser, arrived, "django-allauth")
    assert home.url == f"{app}/"
    about = json.loads(home.answer.text)
    assert (about["email"], about["groups"]) == ("django-allauth@example.com", ["editor"])
    for _time in range(2):
        assert browser.open(f"{app}/renew").answer.status == 200

    asked = browser.open(f"{app}/sign-out")
    assert browser.press(asked, "request").answer.text == "{}"
    home = site.sign_in(browser, browser.open(start), "django-allauth")
    assert json.loads(home.answer.text) == about

    site.disable("django-allauth")
    renewed = browser.open(f"{app}/renew").answer
    assert (renewed.status, json.loads(renewed.text)["error"]) == (400, "invalid_grant")
    site.check_refused(browser, browser.open(start), "django-allauth")


@pytest.fixture
def behind() -> Iterator[Receiver]:
    """An app that trusts the headers of the proxy before it."""
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def apache(site: Site, behind: Receiver, tmp_path: Path) -> Iterator[None]:
    port = site.ports["mod_auth_openidc"]
    recipe = site.recipe("mod_auth_openidc", "apache")
    recipe = recipe.replace("https://app.example.com", site.url("mod_auth_openidc"))
    recipe = recipe.replace("Expiry 60", "Expiry 900") + "OIDCInfoHook refresh_token\n"
    file = tmp_path / "apache.conf"
    start = apache_configuration(tmp_path, port)
    file.write_text(start + BEHIND_APACHE % behind.port + recipe)
    process = ServerProcess(
        [program("apache2", "httpd"), "-f", str(file), "-D", "FOREGROUND"], tmp_path / "log"
    )
    process.wait_until(lambda: accepts_connections(port))
    yield
    process.stop()


def test_mod_auth_openidc(site: Site, apache: None, behind: Receiver) -> None:
    """Apache before an app: claims as headers, `Require claim`, sign-out there and here."""
    name, app = "mod_auth_openidc", site.url("mod_auth_openidc")
    page, information = f"{app}/page", f"{app}/oidc-callback?info=json"
    browser = site.browser(name)

    def token() -> str:
        """The refresh token that Apache has."""
        return str(json.loads(browser.open(information).answer.text)["refresh_token"])

    home = site.sign_in(browser, browser.open(page), name)
    assert (home.url, home.answer.text) == (page, "thanks")
    first = token()
    forged = {"OIDC_CLAIM_groups": "owner", "OIDC-CLAIM-groups": "owner", "Accept": "text/html"}
    assert browser.clients[urlsplit(app).netloc].get("/page", forged).status == 200
    assert len(behind.requests) == 2
    for request in behind.requests:
        told = {name: value for name, value in request.headers.items() if name.startswith("oidc")}
        assert told["oidc_claim_email"] == f"{name}@example.com"
        assert told["oidc_claim_groups"] == "editor"
        assert "oidc-claim-groups" not in told
        assert "oidc_access_token" not in told
    # Renewed, because the limit is as long as a token lasts.
    assert token() != first

    asked = browser.open(f"{app}/oidc-callback?logout={app}/goodbye")
    assert browser.press(asked, "request").url == f"{app}/goodbye"
    home = site.sign_in(browser, browser.open(page), name)
    assert home.answer.text == "thanks"

    # Apache is told of a sign-out here.
    browser.press(browser.open(f"{site.gatehouse.url}/sign-out"), "csrfmiddlewaretoken")
    assert wait_for(lambda: browser.open(information).answer.status == 401, 30)
    home = site.sign_in(browser, browser.open(page), name)
    assert home.answer.text == "thanks"

    site.disable(name)
    # Says once that the session has ended, unless Apache was told so before.
    browser.open(page)
    site.check_refused(browser, browser.open(page), name)
    assert len(behind.requests) == 4

    other = site.browser(name)
    assert site.sign_in(other, other.open(page), "viewer").answer.status == 403
    assert len(behind.requests) == 4


@pytest.fixture(scope="module")
def authjs_apps(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("authjs")
    command = [program("node"), str(NODE_FOLDER / "authjs.mjs")]
    for library in ("NextAuth.js", "Auth.js"):
        recipe = folder / f"{library}.mjs"
        recipe.write_text(site.recipe(library, "js"))
        command += [str(site.ports[library]), str(recipe)]
    environment = {"ISSUER": site.gatehouse.url, "PATH": os.environ["PATH"]}
    process = ServerProcess(command, folder / "log", environment=environment)
    process.wait_until(lambda: accepts_connections(site.ports["Auth.js"]))
    yield
    process.stop()


@pytest.mark.parametrize("name", ["NextAuth.js", "Auth.js"])
def test_authjs(site: Site, authjs_apps: None, name: str) -> None:
    app, browser = site.url(name), site.browser(name)

    def begin() -> Place:
        return browser.press(browser.open(f"{app}/api/auth/signin"), "csrfToken")

    def session() -> dict[str, Any] | None:
        found: dict[str, Any] | None = json.loads(
            browser.open(f"{app}/api/auth/session").answer.text
        )
        return found or None

    home = site.sign_in(browser, begin(), name)
    assert json.loads(home.answer.text) == {"home": True}
    about = {"email": f"{name.lower()}@example.com", "groups": ["editor"]}
    assert session() == {**about, "renewals": 1}
    assert session() == {**about, "renewals": 2}

    asked = browser.open(f"{app}/api/auth/signout")
    asked = browser.press(asked, "csrfToken", callbackUrl=f"{app}/leave")
    assert session() is None
    assert browser.press(asked, "request").url == f"{app}/"

    site.sign_in(browser, begin(), name)
    assert session() == {**about, "renewals": 1}
    site.disable(name)
    assert session() == {"error": "invalid_grant"}
    site.check_refused(browser, begin(), name)


@pytest.fixture
def other(site: Site, data_templates: Templates, tmp_path: Path) -> Iterator[Gatehouse]:
    """Another Gatehouse, whose people come from the first."""
    recipe = site.recipe("Gatehouse", "dotenv")
    environment = dict(line.split("=", 1) for line in recipe.splitlines())
    data = data_templates.fresh("sqlite", tmp_path)
    data.shell(OWNER)
    gatehouse = Gatehouse(data, tmp_path, 1, environment)
    site.gatehouse.data.shell(REGISTER % (gatehouse.url, gatehouse.url))
    yield gatehouse
    gatehouse.stop()


def test_another_gatehouse(site: Site, other: Gatehouse) -> None:
    name, browser = "Gatehouse", site.browser()
    browser.clients[urlsplit(other.url).netloc] = other.client()

    def begin() -> Place:
        """Press the button of the first one on the sign-in page of the other."""
        return browser.press(browser.open(f"{other.url}/sign-in?local=1"), to="/oauth/openid/login")

    home = site.sign_in(browser, begin(), name)
    assert home.url == f"{other.url}/account/"
    about = json.loads(browser.open(f"{other.url}/api/v1/me").answer.text)
    assert (about["email"], about["role"]) == ("gatehouse@example.com", "editor")

    asked = browser.press(browser.open(f"{other.url}/sign-out"), to="/sign-out")
    left = browser.press(asked, "request")
    assert left.url == f"{other.url}/sign-in"
    assert browser.open(f"{other.url}/api/v1/me").answer.status == 401

    site.disable(name)
    site.check_refused(browser, begin(), name)
    assert browser.open(f"{other.url}/api/v1/me").answer.status == 401

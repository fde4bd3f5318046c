"""Google and GitHub as the npm package emulate implements them, independently of our double."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from devtools.servers.processes import ServerProcess, accepts_connections, free_port, program
from federation.providers import Provider
from tests.federation.social.conftest import begin, is_signed_in, provider_of
from tests.federation.social.double import SocialDouble
from tests.servers.node import NODE_FOLDER

pytestmark = pytest.mark.django_db
HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)"')
# kind -> public address, the issuer first -> where it is at the emulated one.
ADDRESSES = {
    "google": {
        "https://accounts.google.com": "",
        "https://oauth2.googleapis.com": "/oauth2",
        "https://www.googleapis.com": "",
    },
    "github": {"https://github.com": "", "https://api.github.com": ""},
}


@pytest.fixture(scope="module")
def emulated() -> Iterator[dict[str, str]]:
    """The address of each."""
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-emulate-"))
    ports = {kind: free_port() for kind in ADDRESSES}
    servers = [_start(kind, port, folder) for kind, port in ports.items()]
    yield {kind: f"http://127.0.0.1:{port}" for kind, port in ports.items()}
    for server in servers:
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _start(kind: str, port: int, folder: Path) -> ServerProcess:
    script = NODE_FOLDER / "node_modules" / "emulate" / "dist" / "index.js"
    command = [program("node"), str(script), "start", "--service", kind, "--port", str(port),
               "--base-url", next(iter(ADDRESSES[kind])),
               "--seed", str(NODE_FOLDER / "emulate.yaml")]  # fmt: skip
    server = ServerProcess(command, folder / f"{kind}.log")
    server.wait_until(lambda: accepts_connections(port))
    return server


@pytest.fixture
def provider(
    request: pytest.FixtureRequest, emulated: dict[str, str], double: SocialDouble, settings: Any
) -> Provider:
    kind: str = request.param
    found = provider_of(kind, double)
    settings.PROVIDER_INTERNAL_URLS = {
        public: emulated[kind] + path for public, path in ADDRESSES[kind].items()
    }
    settings.SIGN_IN_PROVIDERS = (found,)
    return found


def chosen(url: str, person: str) -> str:
    """Choose `person` on the consent page at `url`; where the browser is sent with the code."""
    parts = urlsplit(url)
    host = urlsplit(settings.PROVIDER_INTERNAL_URLS[f"https://{parts.netloc}"]).netloc
    page = _call(host, "GET", f"{parts.path}?{parts.query}")[1]
    (form,) = [each for each in page.split("<form")[1:] if f'value="{person}"' in each]
    action = re.search(r'action="([^"]+)"', form)
    assert action is not None
    fields = {name: unescape(value) for name, value in HIDDEN.findall(form)}
    return _call(host, "POST", unescape(action[1]), urlencode(fields))[0]


def _call(host: str, method: str, path: str, body: str | None = None) -> tuple[str, str]:
    """(Location, body) of the answer."""
    connection = HTTPConnection(host, timeout=20)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.headers.get("Location", ""), content


@pytest.mark.parametrize(
    ("provider", "person"), [("google", "nina@example.com"), ("github", "nina")],
    indirect=["provider"],
)  # fmt: skip
def test_a_user_signs_in_from_click_to_session(
    owner: User, stranger: Client, provider: Provider, person: str
) -> None:
    back = urlsplit(chosen(begin(stranger, provider.id), person))
    answer = stranger.get(back.path, dict(parse_qsl(back.query)))

    assert (back.path, answer.status_code) == (f"/oauth/{provider.id}/callback", 302)
    assert is_signed_in(stranger)
    user = User.objects.get(email="nina@example.com")
    assert (user.name, user.role, user.is_verified) == ("Nina Neu", "viewer", True)
    assert user.identities.get().provider == provider.id
    started = AuditEvent.objects.get(action="account:session:start")
    assert (started.result, started.target_id) == ("success", user.pk)


@pytest.mark.parametrize("provider", ["google", "github"], indirect=True)
def test_a_code_works_only_in_its_browser(
    owner: User, stranger: Client, provider: Provider
) -> None:
    person = "nina@example.com" if provider.id == "google" else "nina"
    back = urlsplit(chosen(begin(stranger, provider.id), person))
    other = Client()

    answer = other.get(back.path, dict(parse_qsl(back.query)))

    assert answer.status_code == 400
    assert not is_signed_in(other)
    assert not User.objects.filter(email="nina@example.com").exists()

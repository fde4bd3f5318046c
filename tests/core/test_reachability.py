"""`manage.py doctor` checks the providers: discovery, certificate, keys, clock."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from devtools.servers.processes import free_port
from federation.providers import OIDC, Provider, SignInSource
from operations.reachability import provider_faults
from tests.servers.mail import MailCertificate
from tests.servers.node import OpenIDProvider


class Double(ThreadingHTTPServer):
    """Answers each path with what the test put there; `date` is its clock."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.documents: dict[str, tuple[int, Any]] = {}
        self.date: datetime | None = None
        scheme = "http"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_arguments: object) -> None:
        """A client that does not trust us says nothing on the terminal of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Double

    def do_GET(self) -> None:
        status, document = self.server.documents.get(self.path, (404, {}))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.server.date or datetime.now(UTC), usegmt=True)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing on the terminal of the tests."""


@pytest.fixture
def double() -> Iterator[Double]:
    server = Double()
    yield server
    server.shutdown()
    server.server_close()


def openid(issuer: str) -> Provider:
    return Provider(SignInSource("keycloak", "Keycloak"), OIDC, "gate", "secret", issuer=issuer)


def discovery(url: str, **changes: object) -> dict[str, object]:
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    return {"issuer": url, **{name: f"{url}/{name}" for name in names}, **changes}


WELL_KNOWN = "/.well-known/openid-configuration"
Use = Callable[[Provider], list[tuple[str, str]]]


@pytest.fixture
def faults(settings: Settings) -> Use:
    """faults(provider) -> what is found wrong with it."""

    def run(provider: Provider) -> list[tuple[str, str]]:
        settings.SIGN_IN_PROVIDERS = (provider,)
        return [(fault.text, fault.fix) for fault in provider_faults()]

    return run


def test_a_real_provider_that_answers_is_no_finding(
    openid_provider: OpenIDProvider, faults: Use
) -> None:
    assert faults(openid(openid_provider.issuer)) == []


def test_one_that_does_not_answer(faults: Use) -> None:
    ((text, fix),) = faults(openid(f"http://127.0.0.1:{free_port()}"))

    assert text.startswith("Keycloak: http://127.0.0.1:")
    assert "Connection refused" in text
    assert fix.startswith("Check the issuer's address")


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ((404, {}), "status 404"),
        ((503, {}), "status 503"),
        ((200, []), "the answer is no JSON object"),
        ((200, {"issuer": "https://other.example"}), "of another issuer"),
    ],
)
def test_a_discovery_document_that_is_none(
    double: Double, faults: Use, document: tuple[int, Any], what: str
) -> None:
    double.documents[WELL_KNOWN] = document

    ((text, _fix),) = faults(openid(double.url))

    assert what in text


def test_a_provider_without_a_trusted_key(double: Double, faults: Use) -> None:
    double.documents[WELL_KNOWN] = (200, discovery(double.url))
    double.documents["/jwks_uri"] = (200, {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})

    ((text, _fix),) = faults(openid(double.url))

    assert text == f"Keycloak: {double.url}/jwks_uri holds no key for RS256."


def test_unavailable_keys(double: Double, faults: Use) -> None:
    double.documents[WELL_KNOWN] = (200, discovery(double.url))

    ((text, _fix),) = faults(openid(double.url))

    assert text == f"Keycloak: {double.url}/jwks_uri: status 404."


def test_a_clock_that_differs(double: Double, openid_provider: OpenIDProvider, faults: Use) -> None:
    keys = json.loads(openid_provider._call("GET", "/jwks")[2])
    double.documents[WELL_KNOWN] = (
        200,
        discovery(double.url, id_token_signing_alg_values_supported=["RS256", "ES256", "EdDSA"]),
    )
    double.documents["/jwks_uri"] = (200, keys)
    assert faults(openid(double.url)) == []

    double.date = datetime.now(UTC) - timedelta(minutes=11)
    ((text, fix),) = faults(openid(double.url))

    assert text.startswith("Keycloak: its clock and the clock of this machine differ by 66")
    assert fix == "Synchronize the clock of this machine by NTP, or inform the provider."


def test_a_certificate_that_is_not_trusted(tmp_path: Path, faults: Use) -> None:
    server = Double(MailCertificate(tmp_path, "127.0.0.1").context)
    try:
        ((text, fix),) = faults(openid(server.url))
    finally:
        server.shutdown()
        server.server_close()

    assert "CERTIFICATE_VERIFY_FAILED" in text
    assert fix == "Fix the provider's certificate, or install its certificate authority here."


@pytest.mark.parametrize(("status", "count"), [(200, 0), (404, 0), (502, 1)])
def test_social_providers_are_checked_for_reachability(
    double: Double, faults: Use, status: int, count: int, settings: Settings
) -> None:
    double.documents["/login/oauth/access_token"] = (status, {})
    settings.PROVIDER_INTERNAL_URLS = {"https://github.com": double.url}
    provider = Provider(SignInSource("github", "GitHub"), "github", "gate", "secret")

    assert len(faults(provider)) == count


def test_external_token_issuers_are_checked_too(
    double: Double, openid_provider: OpenIDProvider, settings: Settings
) -> None:
    settings.AUTH_BACKEND = "jwt"
    settings.AUTH_JWT_ALGORITHM = ("RS256", "ES256", "EdDSA")
    settings.AUTH_JWT_ISSUER = (openid_provider.issuer, double.url)
    settings.AUTH_JWT_PUBLIC_KEY = settings.AUTH_JWT_JWKS_URL = ""

    assert [fault.text for fault in provider_faults()] == [
        f"{double.url}: {double.url}{WELL_KNOWN}: status 404."
    ]


@pytest.mark.django_db
def test_doctor_exits_with_1_when_one_does_not_answer(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.SIGN_IN_PROVIDERS = (openid(f"http://127.0.0.1:{free_port()}"),)

    with pytest.raises(CommandError):
        call_command("doctor")

    assert "ERROR    Keycloak: http://127.0.0.1:" in capsys.readouterr().out

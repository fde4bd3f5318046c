"""Other programs verify our tokens with only our published keys.

The backends of docs/verify-tokens.md run as they stand there.
"""

import http.client
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from authlib.deprecate import AuthlibDeprecationWarning
from cryptography.hazmat.primitives.asymmetric import ec

from devtools.servers.databases import InstanceData, Templates
from devtools.servers.gatehouse import Gatehouse
from devtools.servers.processes import ROOT, ServerProcess, free_port, program
from tests.servers.node import NODE_FOLDER

EXAMPLES = ROOT / "docs" / "examples"
PASSWORD = "seven quiet rivers under glass"
MAKE_USER = f"""
from accounts.models import User
from django.utils import timezone
user = User(email="edith@example.com", role="editor", email_verified_at=timezone.now())
user.set_password("{PASSWORD}")
user.save()
result = str(user.pk)
"""


@dataclass(frozen=True)
class Issuer:
    """A running Gatehouse, and the tokens of one of its editors."""

    url: str
    user_id: str
    access: str
    refresh: str

    @property
    def keys(self) -> dict[str, Any]:
        return _get(f"{self.url}/.well-known/jwks.json")[1]


@pytest.fixture(scope="module")
def issuer(data_templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    data: InstanceData = data_templates.fresh("sqlite", tmp_path_factory.mktemp("issuer"))
    user_id = data.shell(MAKE_USER)
    gatehouse = Gatehouse(data, data.data_dir, 1, {})
    credentials = json.dumps({"email": "edith@example.com", "password": PASSWORD})
    status, tokens = _get(f"{gatehouse.url}/api/v1/auth/token", body=credentials)
    assert status == 200, tokens
    yield Issuer(gatehouse.url, user_id, tokens["access"], tokens["refresh"])
    gatehouse.stop()


def _get(url: str, token: str = "", body: str | None = None) -> tuple[int, Any]:
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=20)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request("GET" if body is None else "POST", f"/{path}", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if content else None


def _forged(issuer: Issuer) -> str:
    """The claims of a right token, signed with a key of the stranger's own under our kid."""
    claims = jwt.decode(issuer.access, options={"verify_signature": False})
    header = jwt.get_unverified_header(issuer.access)
    key = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode({**claims, "role": "owner"}, key, "ES256", headers=header)


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "fastapi_app.py": lambda port: [
        sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1",
        "--port", port, "fastapi_app:app",
    ],
    "django_backend.py": lambda port: [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1",
        "--port", port, "django_backend:application",
    ],
    "express_app.mjs": lambda _port: [program("node"), str(NODE_FOLDER / "express_app.mjs")],
}  # fmt: skip


@pytest.fixture(params=sorted(COMMANDS))
def backend(request: pytest.FixtureRequest, issuer: Issuer, tmp_path: Path) -> Iterator[str]:
    """A backend of the documentation, running; its address."""
    with running(request.param, issuer.url, tmp_path) as url:
        yield url


@contextmanager
def running(name: str, gatehouse: str, folder: Path) -> Iterator[str]:
    """A backend that knows Gatehouse at this address."""
    port = str(free_port())
    environment = {**os.environ, "GATEHOUSE_URL": gatehouse, "PORT": port}
    environment["PYTHONPATH"] = str(EXAMPLES)
    copy = NODE_FOLDER / "express_app.mjs"  # Node looks for packages beside the program
    if name == copy.name:
        copy.write_text((EXAMPLES / copy.name).read_text())
    process = ServerProcess(COMMANDS[name](port), folder / "backend.log", environment=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        process.wait_until(lambda: _answers(url))
        yield f"{url}/private"
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        _get(f"{url}/private")
    except OSError:
        return False
    except json.JSONDecodeError:
        return True
    return True


def test_the_documented_backend_accepts_only_valid_tokens(backend: str, issuer: Issuer) -> None:
    assert _get(backend, issuer.access) == (200, {"id": issuer.user_id, "role": "editor"})
    header, payload, _signature = issuer.access.split(".")
    for wrong in ("", "x", _forged(issuer), issuer.refresh, f"{header}.{payload}."):
        assert _status(backend, wrong) == 401


def test_without_keys_the_express_backend_calls_no_token_wrong(
    issuer: Issuer, tmp_path: Path
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with running("express_app.mjs", nowhere, tmp_path) as url:
        assert _status(url, issuer.access) == 503
        assert _status(url, "x") == 401


def _status(url: str, token: str) -> int:
    try:
        return _get(url, token)[0]
    except json.JSONDecodeError:
        raise AssertionError("a refusal of JSON was expected") from None


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_shows_the_program_that_was_run(name: str) -> None:
    page = (ROOT / "docs" / "verify-tokens.md").read_text()

    assert f"\n{(EXAMPLES / name).read_text()}```" in page


def test_pyjwt_and_authlib_verify_by_the_published_keys(issuer: Issuer) -> None:
    (key,) = jwt.PyJWKSet.from_dict(issuer.keys).keys
    claims = jwt.decode(
        issuer.access, key, algorithms=["ES256"], audience=issuer.url, issuer=issuer.url
    )
    with warnings.catch_warnings(action="ignore", category=AuthlibDeprecationWarning):
        from authlib.jose import JsonWebKey
        from authlib.jose import jwt as authlib_jwt
    same = authlib_jwt.decode(issuer.access, JsonWebKey.import_key_set(issuer.keys))
    same.validate()

    assert claims["sub"] == issuer.user_id
    assert dict(same) == claims
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(_forged(issuer), key, algorithms=["ES256"], audience=issuer.url)


def test_jose_and_the_library_under_openid_client_verify_by_the_published_keys(
    issuer: Issuer,
) -> None:
    done = subprocess.run(
        [program("node"), "verify.mjs", issuer.url, issuer.access, _forged(issuer)],
        cwd=NODE_FOLDER,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(done.stdout) == {
        "jose": issuer.user_id,
        "oauth4webapi": issuer.user_id,
        "forged": ["JWSSignatureVerificationFailed", "OperationProcessingError"],
    }

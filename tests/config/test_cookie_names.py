"""Instances on one host name do not sign each other out: their cookies have names of their own."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from config.environment import Environment
from devtools.servers.client import HTTPClient
from devtools.servers.databases import InstanceData, Templates
from devtools.servers.gatehouse import Gatehouse

Load = Callable[..., Environment]
PASSWORD = "correct horse battery staple"
USER = """
from django.utils import timezone
from accounts.models import User
user = User(email="vera@example.com", role="viewer")
user.set_password("correct horse battery staple")
user.email_verified_at = timezone.now()
user.save(force_insert=True)
"""


@pytest.mark.parametrize(
    ("given", "suffix"),
    [
        ({}, ""),
        ({"PORT": "8000"}, ""),
        ({"PORT": "8001"}, "8001"),
        ({"PUBLIC_URL": "http://localhost"}, "80"),
        ({"PUBLIC_URL": "http://127.0.0.1:9000"}, "9000"),
        ({"PUBLIC_URL": "http://[::1]:9000"}, "9000"),
        ({"PUBLIC_URL": "http://localhost:9000/gate"}, "9000_gate"),
        ({"PUBLIC_URL": "https://example.com"}, ""),
        ({"PUBLIC_URL": "https://example.com:8443"}, ""),
        ({"PUBLIC_URL": "https://example.com/team/a"}, "team+a"),
        ({"PUBLIC_URL": "https://example.com:8443", "COOKIE_SUFFIX": "b"}, "b"),
        ({"PORT": "8001", "COOKIE_SUFFIX": "none"}, ""),
    ],
)
def test_cookie_names_differ_by_port_or_path(
    load_env: Load, given: dict[str, str], suffix: str
) -> None:
    assert load_env(**given)["COOKIE_SUFFIX"] == suffix


@pytest.mark.parametrize("text", ["a b", "a;b", "a=b", "ü", "x" * 101, "a/b"])
def test_an_invalid_suffix_is_rejected(faults: Callable[..., list[str]], text: str) -> None:
    assert "COOKIE_SUFFIX" in "\n".join(faults(COOKIE_SUFFIX=text))


def test_every_cookie_has_the_suffix(sqlite_data: InstanceData) -> None:
    names = """
from django.conf import settings
from federation.oidc.authorization_request import cookie_name, _piece_name
result = [getattr(settings, name) for name in dir(settings) if name.endswith("_COOKIE_NAME")]
result += [cookie_name(), _piece_name(0)]
"""
    cookie_names = sqlite_data.shell(names, COOKIE_SUFFIX="blue")

    assert len(cookie_names) == 10
    assert [name for name in cookie_names if not name.endswith("_blue")] == []


def test_a_browser_is_signed_in_at_two_instances_of_one_host_name(
    data_templates: Templates, tmp_path: Path, gatehouse_server: Callable[..., Gatehouse]
) -> None:
    cookies: dict[str, str] = {}
    servers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        data = data_templates.fresh("sqlite", tmp_path / name)
        data.shell(USER)
        # As on a machine of one's own: nothing but the port is said.
        own = dataclasses.replace(data, extra={**data.extra, "COOKIE_SUFFIX": ""})
        servers.append(gatehouse_server(own))
    for server in servers:
        browser = HTTPClient(server.url, {k: v for k, v in cookies.items() if "csrf" not in k})
        browser.get("/sign-in")
        browser.post("/sign-in", {"login": "vera@example.com", "password": PASSWORD})
        cookies |= browser.cookies

    statuses = [HTTPClient(server.url, cookies).get("/account/").status for server in servers]
    one = HTTPClient(servers[0].url, cookies)
    for name in list(one.cookies):
        if "csrf" in name and not name.endswith(str(servers[0].ports[0])):
            del one.cookies[name]
    one.post("/sign-out", {})
    left = cookies | one.cookies

    assert statuses == [200, 200]
    assert HTTPClient(servers[1].url, left).get("/account/").status == 200
    assert HTTPClient(servers[0].url, one.cookies).get("/account/").status == 302

"""The recipes of docs/forward-auth-recipes.md do what they say."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from forward_auth.models import AccessRule
from tests.api.keys import made

pytestmark = pytest.mark.django_db


def rule(effect: str, host: str, path: str = "", role: str = "viewer", **fields: Any) -> None:
    """A rule behind those that are there."""
    AccessRule.objects.create(
        position=AccessRule.objects.count() + 1,
        name=f"{effect} {path}",
        effect=effect,
        host=host,
        path=path,
        role=role,
        **fields,
    )


def ask(host: str, path: str, user: User | None = None, method: str = "GET") -> Any:
    headers = {"x-original-url": f"https://{host}{path}", "x-original-method": method}
    if user is not None:
        scopes = ["read"] if user.role == "viewer" else ["read", "write"]
        headers["x-api-key"] = made(user, scopes=scopes).text
    return Client().get("/auth/check", headers=headers)


@pytest.mark.parametrize("role", ["viewer", "editor", "admin", "owner"])
def test_the_app_gets_the_role_as_first_group(make_user: Callable[..., User], role: str) -> None:
    rule("public", "app.example.com", "/open")

    groups = ask("app.example.com", "/", make_user(role))["Remote-Groups"]

    assert groups.split(",")[0] == role
    assert ask("app.example.com", "/open")["Remote-Groups"] == ""


@pytest.mark.parametrize(
    "path", ["/shut", "/Shut", "/SHUT/x", "/shut.", "/shut%20", "/PUBLIC/../shut"]
)
def test_with_case_insensitive_paths_only_the_public_part_is_open(
    viewer: User, admin: User, path: str
) -> None:
    rule("role", "files.example.com", "/public")
    rule("role", "files.example.com", role="admin")

    assert ask("files.example.com", path, viewer).status_code == 403
    assert ask("files.example.com", path, admin).status_code == 204
    assert ask("files.example.com", "/public/x", viewer).status_code == 204


def test_a_preflight_is_allowed_and_the_call_needs_a_credential(editor: User) -> None:
    assert ask("api.example.com", "/api/x", method="OPTIONS").status_code == 401
    rule("public", "api.example.com", "/api", methods=["OPTIONS"])

    assert ask("api.example.com", "/api/x", method="OPTIONS").status_code == 204
    assert ask("api.example.com", "/api/x", method="POST").status_code == 401
    assert ask("api.example.com", "/api/x", editor, "POST").status_code == 204
    assert ask("api.example.com", "/other", method="OPTIONS").status_code == 401


def test_a_manifest_and_its_icons_need_no_cookies() -> None:
    for path in ("/manifest.webmanifest", "/icons"):
        rule("public", "app.example.com", path, methods=["GET", "HEAD"])

    statuses = {
        path: ask("app.example.com", path).status_code
        for path in (
            "/manifest.webmanifest",
            "/icons/192.png",
            "/sw.js",
            "/",
            "/manifest.webmanifest2",
        )
    }
    assert statuses == {
        "/manifest.webmanifest": 204,
        "/icons/192.png": 204,
        "/sw.js": 401,
        "/": 401,
        "/manifest.webmanifest2": 401,
    }
    assert ask("app.example.com", "/manifest.webmanifest", method="POST").status_code == 401

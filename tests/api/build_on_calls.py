"""Calls of the app of docs/build-on.md, for test_build_on.py: prints their answers as JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import django

django.setup()

from django.conf import settings  # noqa: E402 - after setup()
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.actors import SYSTEM  # noqa: E402
from accounts.models import User  # noqa: E402
from accounts.roles import Role  # noqa: E402
from accounts.services.users import create_user  # noqa: E402
from api.apikeys.services import KeyRequest, create_key  # noqa: E402
from api.tokens import refresh_tokens  # noqa: E402
from moderation.services.bans import ban  # noqa: E402

PASSWORD = "correct horse battery staple"
NOTES, JSON = "/api/v1/notes", "application/json"
HOST = {"SERVER_NAME": "localhost", "SERVER_PORT": "8000"}
seen: dict[str, Any] = {}


def user(role: Role) -> User:
    return create_user(
        actor=SYSTEM,
        email=f"{role}@example.com",
        role=role,
        name="",
        username=None,
        password=PASSWORD,
        verified=True,
        source="command",
    )


def key(of: User, *scopes: str) -> dict[str, str]:
    wanted = KeyRequest(name="script", scopes=list(scopes))
    return {"x-api-key": create_key(actor=of, user=of, key_request=wanted).text}


def token(of: User) -> dict[str, str]:
    pair = refresh_tokens.start_by_password(of, timezone.now())
    return {"authorization": f"Bearer {pair.access}"}


def browser(of: User) -> Client:
    """A browser in which the user has signed in on the page."""
    client = Client(**HOST)
    answer = client.post("/sign-in", {"login": of.email, "password": PASSWORD})
    assert answer.status_code in (302, 303), answer.content[-2000:]
    return client


def call(
    name: str,
    method: str = "GET",
    path: str = NOTES,
    body: Any = None,
    headers: dict[str, str] | None = None,
    client: Client | None = None,
    kind: str = JSON,
) -> Any:
    """Remember the answer under `name`."""
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    content = b"" if method == "GET" else content
    answer = (client or Client(**HOST)).generic(
        method, path, content, content_type=kind, headers=headers or {}
    )
    is_json = "json" in answer.get("Content-Type", "")
    seen[name] = {
        "status": answer.status_code,
        "type": answer.get("Content-Type"),
        "body": answer.json() if is_json else None,
        "text": "" if is_json else answer.content.decode(),
    }
    return answer


@contextmanager
def later(by: timedelta) -> Iterator[None]:
    now = timezone.now() + by
    with mock.patch("django.utils.timezone.now", return_value=now):
        yield


def write(name: str, headers: dict[str, str], body: Any = None, **more: Any) -> None:
    call(name, "POST", body=body or {"text": name.replace(": write", "")}, headers=headers, **more)


owner, admin, editor, viewer, none = (
    user(role) for role in (Role.OWNER, Role.ADMIN, Role.EDITOR, Role.VIEWER, Role.NONE)
)
seen["editor"] = str(editor.pk)

# Each credential. Each counts as the action `note`, which is allowed three times.
write("by key", key(editor, "read", "write"))
seen["key: write"] = seen.pop("by key")
call("key: read", headers=key(editor, "read"))
write("by token", token(editor))
seen["token: write"] = seen.pop("by token")
call("token: read", headers=token(editor))
page = browser(editor)
csrf = page.get(NOTES)["X-CSRF-Token"]
write("by session", {"x-csrf-token": csrf}, client=page)
seen["session: write"] = seen.pop("by session")
call("session: read", client=page)
write("once too often", token(editor))

# Refusals.
strict = Client(enforce_csrf_checks=True, **HOST)
strict.cookies = page.cookies
good = key(owner, "read", "write")
call("nobody")
call("a wrong key", headers={"x-api-key": "gth_wrong"})
call("a wrong token beside a right key", headers=good | {"authorization": "Bearer a.b.c"})
call("keys of two users", headers=good | token(editor))
write("too low a role", token(viewer))
write("a key without the scope", key(editor, "read"))
write("a session without the CSRF token", {}, client=strict)
call("a method that is not declared", "PUT", f"{NOTES}/1", {"text": "x"}, good)
call("a delete by an editor", "DELETE", f"{NOTES}/1", headers=token(editor))
write("malformed", good, b'{"text": ')
write("not JSON", good, b"text=x", kind="application/x-www-form-urlencoded")
write("invalid", good, {"text": "x" * 501})
unknown = {"text": "x", "txet": "y", "author": str(owner.pk)}
write("unknown fields", key(admin, "read", "write"), unknown)
call("no such note", path=f"{NOTES}/{10**30}", headers=good)
call("a page instead of JSON", headers=good | {"accept": "text/html"})
call("a cursor of no list", path=f"{NOTES}?cursor=x", headers=good)
call("first page", path=f"{NOTES}?limit=1", headers=good)
call("second page", path=seen["first page"]["body"]["next"].partition("8000")[2], headers=good)
of_admin = browser(admin)
csrf = {"x-csrf-token": of_admin.get(NOTES)["X-CSRF-Token"]}
with later(timedelta(minutes=16)):
    call("a delete long after sign-in", "DELETE", f"{NOTES}/1", headers=csrf, client=of_admin)
call("a delete by an administrator", "DELETE", f"{NOTES}/1", headers=csrf, client=of_admin)
settings.API_KEY_MAX = 1
often = key(viewer, "read")
call("a key used once", headers=often)
call("a key used too often", headers=often)

# Pages, the admin panel and the description.
call("page: viewer", path="/notes", client=browser(viewer))
call("page: nobody", path="/notes")
call("page: no role", path="/notes", client=browser(none))
call("admin: list", path="/admin/notes/note/", client=of_admin)
call("admin: editor", path="/admin/notes/note/", client=page)
call("schema", path="/api/v1/schema")
call("docs", path="/api/v1/docs")
call("sign-in", path="/sign-in")
call("nothing", path="/nothing")

held = token(viewer)
ban(actor=owner, user=viewer, duration=None, reason="spam")
call("banned", headers=held)
print(json.dumps(seen))

"""The API follows its OpenAPI description for every input, role and credential."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from pytest_django import Settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.roles import Role
from accounts.services.invitations import invite
from api.permissions import scopes_of
from api.tokens.refresh_tokens import start_by_password
from config.wsgi import application
from tests.api.calls import API
from tests.api.keys import made
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db
DESCRIPTION = schemathesis.openapi.from_wsgi(f"{API}/schema", application)
OPERATIONS = [found.ok() for found in DESCRIPTION.get_all_operations()]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
FEW = examples(
    max_examples=4,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
Ids = dict[str, str]


class Caller(NamedTuple):
    """The credentials of a user with `role`."""

    role: str
    headers: dict[str, str]
    cookies: dict[str, str]


@pytest.fixture(autouse=True)
def _one_connection(settings: Settings) -> Iterator[None]:
    """Calls run in the transaction of the test; none is rate-limited."""
    settings.LIMITS = {name: (1_000_000, timedelta(minutes=1)) for name in settings.LIMITS}
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture
def ids(viewer: User) -> Ids:
    """Rows for the ids that administrators use."""
    invitation = invite(actor=SYSTEM, email="invited@example.com").invitation
    return {"user_id": str(viewer.pk), "invitation_id": str(invitation.pk)}


@pytest.fixture
def callers(make_user: MakeUser, browser_of: Callable[[User], Client]) -> list[Caller]:
    """No user, and every role, with every kind of credential."""

    def person(role: str, kind: str) -> User:
        return make_user(role, f"{role}-{kind}@people.example.com")

    def by_session(role: str) -> Caller:
        browser = browser_of(person(role, "session"))
        headers = {"X-CSRF-Token": browser.get(f"{API}/me")["X-CSRF-Token"]}
        cookies = {name: each.value for name, each in browser.cookies.items()}
        return Caller(role, headers, cookies)

    def by_token(role: str) -> Caller:
        pair = start_by_password(person(role, "token"), timezone.now())
        return Caller(role, {"Authorization": f"Bearer {pair.access}"}, {})

    def by_key(role: str) -> Caller:
        user = person(role, "key")
        issued = made(user, scopes=sorted(scopes_of(Role(role))))
        return Caller(role, {"X-API-Key": issued.text}, {})

    ways = [by_session, by_token, by_key]
    return [
        Caller("nobody", {}, {}),
        *(way(role) for role in ("admin", "owner") for way in ways),
        by_session("none"),
        by_token("viewer"),
        by_key("editor"),
    ]


@contextmanager
def undone() -> Iterator[None]:
    """Whatever happens in it has not happened afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def send(case: Any, caller: Caller, ids: Ids) -> int:
    """Call with known ids, hold the answer against the description; the status."""
    case.path_parameters.update(
        {name: key for name, key in ids.items() if name in case.path_parameters}
    )
    # What was made up as a credential would be refused before anything else.
    for name in ("Authorization", "X-API-Key"):
        case.headers.pop(name, None)
    case.cookies.clear()
    with undone():
        answer = case.call(headers=caller.headers, cookies=caller.cookies)
    case.validate_response(answer, checks=CHECKS)
    return int(answer.status_code)


def generated(operation: Any) -> Any:
    """What the description allows, and, where anything can be wrong, what it forbids."""
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not (operation.body or operation.query or operation.path_parameters):
        return allowed
    return allowed | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.label)
def test_every_answer_is_as_described(operation: Any, callers: list[Caller], ids: Ids) -> None:
    seen: dict[str, set[int]] = {caller.role: set() for caller in callers}

    @FEW
    @given(case=generated(operation))
    def walk(case: Any) -> None:
        for caller in callers:
            seen[caller.role].add(send(case, caller, ids))

    walk()
    if operation.method == "get":
        assert (200 in seen["owner"]) or "{" in operation.path

"""The Python client against a running Gatehouse: each kind of credential, and each adapter."""

import base64
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import pytest
from django.conf import LazySettings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from fastapi import Depends, FastAPI
from gatehouse_client import Forbidden, Gatehouse, Identity, NotAuthenticated
from gatehouse_client import django_middleware as of_django
from gatehouse_client.asgi import GatehouseMiddleware
from gatehouse_client.fastapi_dependency import RequireUser
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from tests.clients.asgi import ask, open_websocket
from tests.clients.conftest import Live

PROXY = "10.0.0.1"
IDENTITY = {
    "Remote-User": "edith@example.com",
    "Remote-Email": "edith@example.com",
    "Remote-Name": "Édith".encode().decode("latin-1"),
    "Remote-Groups": "editor,finance",
    "Remote-Id": "1",
}


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'x:{password}'.encode()).decode()}"}


@pytest.fixture(scope="module")
def gate(live: Live) -> Gatehouse:
    """It asks each time, so that changes are seen at once."""
    return Gatehouse(
        **live.app,
        cache_seconds=0,
        inactive_seconds=0,
        trusted_proxies=["10.0.0.0/8"],
        session_cookie="gatehouse_session",
        session_origins=["https://app.example.com"],
    )


def test_each_kind_of_credential_names_its_user(live: Live, gate: Gatehouse) -> None:
    names = live.names
    requests = {
        "api_key": ({"X-API-Key": names["key"]}, bearer(names["key"]), basic(names["key"])),
        "access_token": (bearer(names["token"]), {"authorization": f"bearer {names['token']}"}),
        "session": ({"Cookie": f"a=b; gatehouse_session={names['session']}"},),
    }
    for kind, each in requests.items():
        for headers in each:
            found = gate.authenticate(headers)
            assert found == Identity(
                sub=names["user_id"],
                email="edith@example.com",
                role="editor",
                kind=kind,
                username="edith@example.com",
                name="Édith",
                groups=("finance",),
                scopes=frozenset({"read", "write"}),
            )
            assert (found.has_role("editor"), found.has_role("admin")) == (True, False)


def test_both_a_key_and_a_token_allow_what_both_allow(live: Live, gate: Gatehouse) -> None:
    names = live.names
    found = gate.authenticate({"X-API-Key": names["reading_key"], **bearer(names["token"])})
    assert found.scopes == {"read"}
    with pytest.raises(Forbidden):
        found.require(scope="write")
    with pytest.raises(NotAuthenticated):
        gate.authenticate({"X-API-Key": names["key_of_viewer"], **bearer(names["token"])})


def test_a_wrong_credential_is_never_ignored(live: Live, gate: Gatehouse) -> None:
    names = live.names
    right = {"Cookie": f"gatehouse_session={names['session']}"}
    for wrong in (
        bearer("x"),
        bearer("gth_wrong"),
        bearer(""),
        bearer(names["session"]),  # a cookie is no token
        basic("x"),
        {"Authorization": "Digest x"},
        {"X-API-Key": ""},
        {"X-API-Key": "x", **bearer(names["token"])},
    ):
        with pytest.raises(NotAuthenticated):
            gate.find({**right, **wrong})
    assert gate.find({}) is None
    assert gate.find({"Cookie": "gatehouse_session=x"}) is None
    twice = f"gatehouse_session={names['session']}; gatehouse_session={names['session']}"
    assert gate.find({"Cookie": twice}) is None
    with pytest.raises(NotAuthenticated):
        gate.authenticate({})


def test_a_key_of_a_network_is_accepted_from_there(live: Live, gate: Gatehouse) -> None:
    headers = {"X-API-Key": live.names["key_of_network"]}
    assert gate.authenticate(headers, peer="203.0.113.9").kind == "api_key"
    assert gate.authenticate(headers, peer=PROXY, client_ip="203.0.113.9").kind == "api_key"
    for peer in ("198.51.100.1", PROXY, ""):
        with pytest.raises(NotAuthenticated):
            gate.authenticate(headers, peer=peer)


def test_a_session_changes_something_from_own_pages_only(live: Live, gate: Gatehouse) -> None:
    headers = {"Cookie": f"gatehouse_session={live.names['session']}"}
    own = {**headers, "Origin": "https://app.example.com"}
    assert gate.authenticate(own, method="POST").kind == "session"
    for origin in ({}, {"Origin": "https://evil.example.com"}, {"Origin": "null"}):
        with pytest.raises(Forbidden):
            gate.authenticate({**headers, **origin}, method="POST")


def test_headers_of_a_proxy_count_only_from_the_proxy(gate: Gatehouse) -> None:
    found = gate.authenticate(IDENTITY, peer=PROXY)
    assert (found.sub, found.email, found.name) == ("1", "edith@example.com", "Édith")
    assert (found.role, found.groups, found.kind) == ("editor", ("finance",), "proxy")
    assert gate.authenticate(IDENTITY, peer="::ffff:10.0.0.1") == found
    for peer in ("192.0.2.1", "11.0.0.1", "", "unix", "::1"):
        assert gate.find(IDENTITY, peer=peer) is None
    for open_path in ({"Remote-Id": ""}, {"Remote-Groups": ""}, {"Remote-Groups": "none"}):
        assert gate.find({**IDENTITY, **open_path}, peer=PROXY) is None


def test_a_revoked_key_is_refused_at_the_next_request(live: Live, gate: Gatehouse) -> None:
    headers = {"X-API-Key": live.names["key_to_revoke"]}
    assert gate.authenticate(headers).kind == "api_key"
    live.data.shell(f"""
from api.models import ApiKey
from django.utils import timezone
ApiKey.objects.filter(pk={headers["X-API-Key"][4:14]!r}).update(revoked_at=timezone.now())
""")
    with pytest.raises(NotAuthenticated):
        gate.authenticate(headers)


def test_tokens_are_verified_offline_with_the_published_keys(live: Live) -> None:
    alone = Gatehouse(live.url)
    found = alone.authenticate(bearer(live.names["token"]))
    assert (found.sub, found.role, found.kind) == (
        live.names["user_id"], "editor", "access_token",
    )  # fmt: skip
    with pytest.raises(NotAuthenticated):
        alone.authenticate(bearer(live.names["token"][:-4] + "AAAA"))
    with pytest.raises(NotAuthenticated):
        alone.authenticate({"X-API-Key": live.names["key"]})
    both = Gatehouse(**live.app, offline_tokens=True)
    assert both.authenticate(bearer(live.names["token"])).sub == found.sub
    assert both.authenticate({"X-API-Key": live.names["key"]}).sub == found.sub


def pairs(headers: dict[str, str]) -> list[tuple[str, str]]:
    return list(headers.items())


# Each adapter: (headers, address of the peer) -> (status, sub of the user, WWW-Authenticate).
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def of_fastapi(gate: Gatehouse) -> Ask:
    app = FastAPI()

    @app.get("/")
    def read(user: Annotated[Identity, Depends(RequireUser(gate, role="editor"))]) -> str:
        return user.sub

    return _asgi(app)


@pytest.fixture
def of_asgi(gate: Gatehouse) -> Ask:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = f'"{scope["gatehouse"].sub}"'.encode()
        await send({"type": "http.response.body", "body": body})

    return _asgi(GatehouseMiddleware(app, gate, role="editor"))


def _asgi(app: Any) -> Ask:
    def call(headers: dict[str, str], peer: str = "192.0.2.1") -> tuple[int, str, str]:
        answer = ask(app, pairs(headers), peer=peer)
        sub = answer.body if answer.status == 200 else ""
        return answer.status, sub, answer.headers.get("www-authenticate", "")

    return call


@pytest.fixture
def gate_of_settings(live: Live, settings: LazySettings) -> Any:
    settings.GATEHOUSE = {**live.app, "trusted_proxies": ["10.0.0.0/8"], "cache_seconds": 0}
    of_django.gate.cache_clear()
    yield
    of_django.gate.cache_clear()


@pytest.fixture
def of_django_view(gate_of_settings: None, rf: RequestFactory) -> Ask:
    @of_django.require_user(role="editor")
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.gatehouse.sub)  # type: ignore[attr-defined]

    middleware = of_django.GatehouseMiddleware(view)

    def call(headers: dict[str, str], peer: str = "192.0.2.1") -> tuple[int, str, str]:
        answer = middleware(rf.get("/", headers=headers, REMOTE_ADDR=peer))
        sub = answer.content.decode() if answer.status_code == 200 else ""
        return answer.status_code, sub, answer.get("WWW-Authenticate", "")

    return call


@pytest.fixture
def of_rest_framework(gate_of_settings: None) -> Ask:
    from gatehouse_client.rest_framework import GatehouseAuthentication, HasRole
    from rest_framework.negotiation import DefaultContentNegotiation
    from rest_framework.views import exception_handler

    class View(APIView):
        authentication_classes = [GatehouseAuthentication]
        permission_classes = [HasRole("editor")]
        # Of the library, not the ones of Gatehouse.
        content_negotiation_class = DefaultContentNegotiation

        def get_exception_handler(self) -> Any:
            return exception_handler

        def get(self, request: Any) -> Response:
            assert request.user is request.auth
            return Response(request.user.sub)

    view = View.as_view()

    def call(headers: dict[str, str], peer: str = "192.0.2.1") -> tuple[int, str, str]:
        answer = view(APIRequestFactory().get("/", headers=headers, REMOTE_ADDR=peer))
        sub = answer.data if answer.status_code == 200 else ""
        return answer.status_code, sub, answer.get("WWW-Authenticate", "")

    return call


@pytest.fixture
def of_flask(gate: Gatehouse, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Flask is not installed here: a module with the two proxies that the decorator reads.

    `request.headers`, `request.remote_addr`, `request.method` and `g` as in Flask, where a view
    may return (body, status, headers).
    """
    flask: Any = ModuleType("flask")
    flask.g, flask.request = SimpleNamespace(), SimpleNamespace(method="GET")
    monkeypatch.setitem(sys.modules, "flask", flask)
    monkeypatch.delitem(sys.modules, "gatehouse_client.flask_decorator", raising=False)
    from gatehouse_client.flask_decorator import require_user

    @require_user(gate, role="editor")
    def view() -> Any:
        return flask.g.user.sub, 200, {}

    def call(headers: dict[str, str], peer: str = "192.0.2.1") -> tuple[int, str, str]:
        flask.request.headers, flask.request.remote_addr = headers, peer
        body, status, answered = view()
        return status, body if status == 200 else "", answered.get("WWW-Authenticate", "")

    return call


@pytest.mark.parametrize(
    "adapter", ["of_fastapi", "of_asgi", "of_django_view", "of_rest_framework", "of_flask"]
)
def test_an_adapter_admits_editors_and_refuses_everybody_else(
    live: Live, adapter: str, request: pytest.FixtureRequest
) -> None:
    call: Ask = request.getfixturevalue(adapter)
    user_id = live.names["user_id"]

    assert call({"X-API-Key": live.names["key"]}) == (200, user_id, "")
    assert call(bearer(live.names["token"])) == (200, user_id, "")
    assert call(IDENTITY, PROXY) == (200, "1", "")
    assert call(IDENTITY) == (401, "", "Bearer")
    assert call({}) == (401, "", "Bearer")
    assert call(bearer("wrong")) == (401, "", "Bearer")
    assert call({"X-API-Key": live.names["key_of_viewer"]}) == (403, "", "")


def test_a_gatehouse_that_is_down_is_503_and_not_401(settings: LazySettings) -> None:
    gone = Gatehouse("http://127.0.0.1:9", client_id="a", client_secret="b")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    answer = ask(GatehouseMiddleware(app, gone), pairs(bearer("gth_x")))
    assert (answer.status, "www-authenticate" in answer.headers) == (503, False)


def test_the_asgi_middleware_lets_strangers_in_where_that_is_wanted(
    live: Live, gate: Gatehouse
) -> None:
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.append(scope.get("gatehouse"))
        await send({"type": "http.response.start", "status": 204, "headers": []})

    middleware = GatehouseMiddleware(app, gate, is_required=False)
    assert ask(middleware, []).status == 204
    assert ask(middleware, pairs(bearer("wrong"))).status == 401
    key = ("X-API-Key", live.names["key"])
    assert ask(middleware, [key, key]).status == 401
    assert seen == [None]


def test_a_websocket_of_a_stranger_or_of_a_foreign_page_is_closed(
    live: Live, gate: Gatehouse
) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    middleware = GatehouseMiddleware(app, gate)
    closed = [{"type": "websocket.close", "code": 1008}]
    cookie = ("Cookie", f"gatehouse_session={live.names['session']}")
    assert open_websocket(middleware, []) == closed
    assert open_websocket(middleware, [cookie, ("Origin", "https://evil.example.com")]) == closed
    own = [cookie, ("Origin", "https://app.example.com")]
    assert open_websocket(middleware, own) == [{"type": "websocket.accept"}]

"""The traces of a real server, as a collector receives them."""

import base64
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from devtools.servers.client import Answer
from devtools.servers.databases import InstanceData, Templates
from devtools.servers.gatehouse import Gatehouse
from tests.servers.mail import SMTPServer
from tests.tracing.collector import SOME, Collector, Span, names, tree

PASSWORD = "correct horse battery staple"
WRONG = "wrong horse battery staple"
EMAIL, NAME = "vera@example.com", "Vera Viewer"
HEADER_SECRET = "collector-secret-0123"
# A span of a proxy; requests that name it continue its trace.
PROXY_SPAN = "00f067aa0ba902b7"
LINK = "/magic-link/<str:token>"
MAIL_KIND, SOURCE = "gatehouse.mail.kind", "gatehouse.check.source"
TRANSACTION = (
    "transaction",
    {
        "db.system.name": "sqlite",
        "gatehouse.db.statements": SOME,
        "gatehouse.db.outcome": "commit",
    },
    [],
)
SEED = f"""
from accounts.models import User
from api.apikeys.services import KeyRequest, create_key
user = User(email="{EMAIL}", name="{NAME}", role="viewer")
user.set_password("{PASSWORD}")
from django.utils import timezone
user.email_verified_at = timezone.now()
user.save(force_insert=True)
key = create_key(actor=user, user=user, key_request=KeyRequest(name="script"))
result = {{"id": str(user.pk), "key": key.text}}
"""


@dataclass
class Site:
    """secrets: what no export may hold."""

    server: Gatehouse
    collector: Collector
    user_id: str
    key: str
    secrets: set[str] = field(default_factory=set)

    def client(self) -> "Client":
        return Client(self)


class Client:
    """A client whose requests each have a trace of their own."""

    def __init__(self, site: Site) -> None:
        self.site, self.http = site, site.server.client()

    def traced(
        self,
        method: str,
        path: str,
        fields: dict[str, str] | None = None,
        *,
        body: str | None = None,
        **headers: str,
    ) -> tuple[Answer, list[Span]]:
        trace = secrets.token_hex(16)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["traceparent"] = f"00-{trace}-{PROXY_SPAN}-01"
        answer = self.http.request(method, path, fields, sent, body=body)
        self.site.secrets.update(value for value in self.http.cookies.values() if len(value) > 15)
        return answer, self.site.collector.trace(trace)


@pytest.fixture(scope="module")
def site(
    data_templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
    _smtp_server: SMTPServer,
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("traced")
    data: InstanceData = data_templates.fresh("sqlite", folder)
    seeded = data.shell(SEED)
    collector = Collector()
    server = Gatehouse(
        data,
        folder,
        1,
        {
            "TRUSTED_PROXIES": "127.0.0.1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-collector-key={HEADER_SECRET}",
            "OTEL_SERVICE_NAME": "gate",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test%20run",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(_smtp_server.port),
            "EMAIL_ENCRYPTION": "none",
            "EMAIL_FROM": "gate@example.com",
            "LOGIN_MAX": "100",
            "LOG_LEVEL": "info",
        },
    )
    yield Site(server, collector, seeded["id"], seeded["key"], {seeded["key"]})
    server.stop()
    collector.stop()


def test_a_sign_in_by_password(site: Site) -> None:
    client = site.client()
    client.http.get("/sign-in")

    answer, spans = client.traced(
        "POST", "/sign-in?next=/account/", {"login": EMAIL, "password": PASSWORD}
    )

    assert answer.status == 302
    assert tree(spans) == (
        "POST /sign-in",
        {
            **_by_django("POST", "/sign-in", answer),
            "gatehouse.sign_in.method": "password",
            "gatehouse.sign_in.result": "success",
            "enduser.id": site.user_id,
        },
        [("hash password", {}, []), TRANSACTION],
    )
    assert _kinds(spans) == ["INTERNAL", "CLIENT", "SERVER"]
    assert not any(span.is_failed for span in spans)
    assert spans[-1].parent == PROXY_SPAN


def test_a_refused_sign_in_names_no_one(site: Site) -> None:
    client = site.client()
    client.http.get("/sign-in")

    answer, spans = client.traced("POST", "/sign-in", {"login": EMAIL, "password": WRONG})

    assert answer.status == 401
    assert tree(spans) == (
        "POST /sign-in",
        {
            **_by_django("POST", "/sign-in", answer),
            "gatehouse.sign_in.method": "password",
            "gatehouse.sign_in.result": "refused",
        },
        [("hash password", {}, []), TRANSACTION],
    )


def test_a_link_from_its_mail_to_the_sign_in(site: Site, smtp_server: SMTPServer) -> None:
    asking, other = site.client(), site.client()
    asking.http.get("/sign-in")

    earlier = {span.id for span in site.collector.spans()}
    _answer, asked = asking.traced("POST", "/magic-link", {"email": EMAIL})
    sent = site.collector.wait_for(
        lambda span: span.attributes.get(MAIL_KIND) == "magic-link" and span.id not in earlier
    )
    # The worker sends it, so it has a trace of its own.
    assert (sent.name, sent.kind, sent.parent, sent.is_failed) == ("send mail", "CLIENT", "", False)
    token = _token(smtp_server)
    site.secrets.add(token)
    page, opened = other.traced("GET", f"/magic-link/{token}")
    answer, redeemed = other.traced("POST", f"/magic-link/{token}", {"next": ""})

    assert names(asked) == ("POST /magic-link", ["transaction"])
    assert (page.status, names(opened)) == (200, f"GET {LINK}")
    assert answer.status == 302
    assert tree(redeemed) == (
        f"POST {LINK}",
        {
            **_by_django("POST", LINK, answer),
            "gatehouse.sign_in.method": "magic_link",
            "gatehouse.sign_in.result": "success",
            "enduser.id": site.user_id,
        },
        [TRANSACTION],
    )


def test_a_call_of_the_api_with_a_key(site: Site) -> None:
    answer, spans = site.client().traced("GET", "/api/v1/me", X_API_Key=site.key)

    assert answer.status == 200
    assert tree(spans) == (
        "GET /api/v1/me",
        {
            **_by_django("GET", "/api/v1/me", answer),
            "enduser.id": site.user_id,
        },
        [],
    )


@pytest.mark.parametrize(("path", "status"), [("/api/v1/auth/token", 401), ("/openid/token", 401)])
def test_a_refused_call_of_a_token_endpoint(site: Site, path: str, status: int) -> None:
    fields = {"client_id": "x", "client_secret": WRONG, "grant_type": "client_credentials"}
    body = json.dumps({"email": "nobody@example.com", "password": WRONG})

    answer, spans = (
        site.client().traced("POST", path, fields)
        if path == "/openid/token"
        else site.client().traced("POST", path, body=body, Content_Type="application/json")
    )

    assert answer.status == status
    assert spans[-1].name == f"POST {path}"
    assert spans[-1].attributes["http.response.status_code"] == status
    assert "enduser.id" not in spans[-1].attributes


def test_a_check_cold_and_hot(site: Site) -> None:
    client = site.client()
    client.http.get("/sign-in")
    client.http.post("/sign-in", {"login": EMAIL, "password": PASSWORD})
    asked = {"X_Original_URL": "https://app.example.com/board?code=abc", "X_Original_Method": "GET"}

    checks = [client.traced("GET", "/auth/check", **asked) for _time in range(3)]

    assert [answer.status for answer, _spans in checks] == [204, 204, 204]
    cold, *_warm, hot = [tree(spans) for _answer, spans in checks]
    check = {**_request("GET", "/auth/check", 204), "enduser.id": site.user_id}
    assert hot == ("GET /auth/check", {**check, SOURCE: "memory"}, [])
    assert cold == (
        "GET /auth/check",
        {**check, SOURCE: "database"},
        [],
    )


def test_a_check_that_django_denies_is_one_span(site: Site) -> None:
    answer, spans = site.client().traced("GET", "/auth/check?role=owner", X_API_Key=site.key)

    assert answer.status == 403
    assert names(spans) == "GET /auth/check"
    assert spans[-1].attributes[SOURCE] == "django"
    assert spans[-1].attributes["http.response.status_code"] == 403


def test_a_path_that_matches_nothing_is_not_sent(site: Site) -> None:
    answer, spans = site.client().traced("GET", "/no/such/page-of-anna")

    assert answer.status == 404
    assert (spans[-1].name, spans[-1].kind) == ("GET", "SERVER")
    assert {"http.route", "url.path"} & spans[-1].attributes.keys() == set()


def test_probes_are_not_traced(site: Site) -> None:
    client = site.client()
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert client.http.get(path).status == 200

    client.traced("GET", "/sign-in")

    assert {
        span.name
        for span in site.collector.spans()
        if "health" in span.name or "metrics" in span.name
    } == set()
    routes = {span.attributes.get("http.route") for span in site.collector.spans()}
    assert {"/health/live", "/health/ready", "/metrics"} & routes == set()


def test_the_collector_learns_the_name_of_the_instance(site: Site) -> None:
    site.client().traced("GET", "/sign-in")

    post, resource = site.collector.posts[0], site.collector.resource()

    assert post.path == "/v1/traces"
    assert post.headers["x-collector-key"] == HEADER_SECRET
    assert post.headers["content-type"] == "application/x-protobuf"
    assert resource["service.name"] == "gate"
    assert resource["deployment.environment.name"] == "test run"


def test_log_lines_name_the_trace(site: Site) -> None:
    _answer, spans = site.client().traced("GET", "/no/such/page-of-log")

    lines = [json.loads(line) for line in site.server.output().splitlines() if line[:1] == "{"]
    found = [line for line in lines if line.get("trace_id") == spans[-1].trace]

    assert [(line["message"], line["status"]) for line in found] == [("request", 404)]
    assert HEADER_SECRET not in site.server.output()


def test_no_secret_and_no_person_is_in_any_byte(site: Site, smtp_server: SMTPServer) -> None:
    test_a_sign_in_by_password(site)
    test_a_refused_sign_in_names_no_one(site)
    test_a_call_of_the_api_with_a_key(site)
    test_a_check_cold_and_hot(site)
    test_a_link_from_its_mail_to_the_sign_in(site, smtp_server)
    client = site.client()
    client.traced("GET", "/oauth/google/callback?code=oauth-code-77&state=oauth-state-77")
    client.traced("GET", "/api/v1/me?token=query-token-77", Authorization="Bearer bearer-77.a.b")

    exported = b"".join(post.body for post in site.collector.posts)

    assert b"POST /sign-in" in exported
    named = [PASSWORD, WRONG, EMAIL, NAME, "vera", "127.0.0.1", "Firefox", HEADER_SECRET]
    typed = ["oauth-code-77", "oauth-state-77", "query-token-77", "bearer-77", "app.example.com"]
    assert len(site.secrets) > 5
    assert [text for text in (*named, *typed, *site.secrets) if _is_in(text, exported)] == []


def _is_in(text: str, exported: bytes) -> bool:
    """Whether it is in there, as it is or in a form in which software writes it down."""
    plain = text.encode()
    forms = {
        plain,
        quote(text).encode(),
        base64.b64encode(plain).rstrip(b"="),
        plain.hex().encode(),
    }
    return any(form.lower() in exported.lower() for form in forms)


def _by_django(method: str, path: str, answer: Answer) -> dict[str, Any]:
    """The attributes of a request that Django answered."""
    return {
        **_request(method, path, answer.status),
        "gatehouse.request_id": answer.headers["x-request-id"],
        "gatehouse.db.statements": SOME,
    }


def _request(method: str, path: str, status: int) -> dict[str, Any]:
    """The attributes that each request has."""
    return {
        "http.request.method": method,
        "http.route": path,
        "url.path": path,
        "url.scheme": "http",
        "http.response.status_code": status,
    }


def _kinds(spans: list[Span]) -> list[str]:
    return [span.kind for span in spans]


def _token(server: SMTPServer) -> str:
    """The token of the newest mail with a link."""
    body = server.mails[-1].message.get_body(("plain",))
    assert body is not None
    found = re.search(r"/magic-link/([\w-]{20,})", body.get_content())
    assert found
    return found[1]

"""An Authentik over real HTTP: keeps state, pages its lists, and refuses what its API would refuse.

contract.json says what each operation takes and gives (its API of 2026.5, the part that is used).
"""

import json
import re
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from jsonschema import Draft202012Validator

from tests.federation.authentik.records import Record, fresh_state

CONTRACT = json.loads((Path(__file__).parent / "contract.json").read_text())
TOKEN = "an-api-token-of-the-tests"
USERNAME, PASSWORD = "akadmin", "seven quiet rivers"
PER_PAGE = 2
DELETED = 204


class Sent(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


class Refuse(Exception):
    """Answer with this status and document."""

    def __init__(self, status: int, document: Record) -> None:
        super().__init__(status)
        self.status, self.document = status, document


class AuthentikDouble:
    """.url; .state: lists by path; .sent: requests; knobs: version, issuer, stages, fail_at()."""

    def __init__(self) -> None:
        self.version = "2026.5.6"
        # What a new provider has by itself, whatever the version says.
        self.gives_grant_types: list[str] | None = None
        self.sent: list[Sent] = []
        self.faults: list[str] = []
        self.stages = ["ak-stage-identification", "ak-stage-password", "ak-stage-user-login"]
        self.failures: dict[str, tuple[int, Any]] = {}
        self.after: dict[str, int] = {}
        self.discovery_status = 200
        self.issuer = ""
        self.shows_secrets = True
        self.sessions: dict[str, Record] = {}
        self.steps: dict[str, int] = {}
        self.state = fresh_state()
        handler = type("Handler", (_Handler,), {"double": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fail_at(self, operation: str, status: int, document: Any = None) -> None:
        """Answer this operation, such as "POST /core/applications/", like that until mended."""
        self.failures[operation] = (status, document if document is not None else {"detail": "no"})

    @property
    def changes(self) -> list[Sent]:
        """The requests that changed something, those of a sign-in left out."""
        apart = ("/flows/executor/", "/core/authenticated_sessions/")
        return [each for each in self.sent if each.method != "GET" and not _in(each.path, apart)]

    @property
    def providers(self) -> list[Record]:
        return self.state["/providers/oauth2/"]

    @property
    def applications(self) -> list[Record]:
        return self.state["/core/applications/"]

    @property
    def mappings(self) -> dict[str, Record]:
        return {each["name"]: each for each in self.state["/propertymappings/provider/scope/"]}

    def add_provider(self, name: str = "Gatehouse", **fields: Any) -> Record:
        """A provider as an administrator has made it."""
        flows = {each["slug"]: each["pk"] for each in self.state["/flows/instances/"]}
        record = {
            "name": name,
            "authorization_flow": flows["default-provider-authorization-explicit-consent"],
            "invalidation_flow": flows["default-invalidation-flow"],
            "redirect_uris": [],
            **fields,
        }
        return self._make_provider(record)

    def add_application(self, slug: str, provider: Record | None = None) -> Record:
        pk = provider["pk"] if provider else None
        record = {"pk": str(uuid4()), "name": slug.title(), "slug": slug, "provider": pk}
        self.applications.append(record)
        return record

    def answer(self, sent: Sent, who: "Who") -> tuple[int, Record | None]:
        """The answer to one request of the API."""
        operation, name = _operation(sent)
        terms = CONTRACT.get(operation)
        if terms is None:
            self.faults.append(f"no such operation: {operation}")
            raise Refuse(404, {"detail": "Not found."})
        self._check_request(operation, terms, sent)
        if operation in self.failures:
            raise Refuse(*self.failures[operation])
        if "/flows/executor/" in operation or "/brands/" in operation:
            return self._open(operation, sent, who)
        if not who.may:
            raise Refuse(403, {"detail": "Token invalid/expired"})
        if sent.method != "GET" and not who.is_csrf_safe:
            raise Refuse(403, {"detail": "CSRF Failed: CSRF token missing."})
        status, document = self._answer(operation, name, sent, who)
        if document is not None:
            self._check_answer(operation, terms, document)
        return status, document

    def _check_request(self, operation: str, terms: Record, sent: Sent) -> None:
        unknown = set(sent.query) - set(terms["query"])
        if unknown:
            self.faults.append(f"{operation}: unknown parameters {sorted(unknown)}")
        if "body" in terms:
            schema = self._of_version(terms["body"])
            errors = [
                error.message for error in Draft202012Validator(schema).iter_errors(sent.body)
            ]
            if errors:
                self.faults.append(f"{operation}: {errors}")
                raise Refuse(400, {"non_field_errors": errors})
        elif sent.body is not None:
            self.faults.append(f"{operation}: takes no body")

    def _check_answer(self, operation: str, terms: Record, document: Record) -> None:
        """The double keeps to the contract itself."""
        errors = [
            each.message for each in Draft202012Validator(terms["answer"]).iter_errors(document)
        ]
        assert errors == [], (operation, errors)

    def _of_version(self, schema: Record) -> Record:
        """Without what an older version does not know."""
        if self.knows_grant_types or "grant_types" not in schema.get("properties", {}):
            return schema
        kept = {name: each for name, each in schema["properties"].items() if name != "grant_types"}
        return {**schema, "properties": kept}

    @property
    def knows_grant_types(self) -> bool:
        if self.gives_grant_types is not None:
            return True
        return tuple(map(int, self.version.split(".")[:2])) >= (2026, 5)

    def _answer(
        self, operation: str, name: str, sent: Sent, who: "Who"
    ) -> tuple[int, Record | None]:
        if sent.path == "/admin/version/":
            return 200, {
                "version_current": self.version,
                "version_latest": self.version,
                "outdated": False,
            }
        if "authenticated_sessions" in sent.path:
            return self._sessions(name, sent, who)
        folder = sent.path.removesuffix(f"{name}/") if name else sent.path
        match sent.method:
            case "GET":
                return 200, self._list(self.state[folder], sent.query)
            case "POST":
                return 201, self._create(folder, sent.body)
        found = next(
            each for each in self.state[folder] if name in (str(each["pk"]), each.get("slug"))
        )
        found.update(sent.body)
        return 200, self._shown(folder, found)

    def _list(self, records: list[Record], query: dict[str, str]) -> Record:
        for field in ("name", "slug"):
            if field in query:
                records = [each for each in records if each[field] == query[field]]
        page = int(query.get("page", 1))
        pages = max(1, -(-len(records) // PER_PAGE))
        start = (page - 1) * PER_PAGE
        shown = records[start : start + PER_PAGE]
        return {
            "pagination": {
                "next": page + 1 if page < pages else 0,
                "previous": page - 1,
                "count": len(records),
                "current": page,
                "total_pages": pages,
                "start_index": start + 1,
                "end_index": start + len(shown),
            },
            "results": [self._shown("", each) for each in shown],
            "autocomplete": {},
        }

    def _create(self, folder: str, body: Record) -> Record:
        if folder == "/providers/oauth2/":
            return self._shown(folder, self._make_provider(body))
        taken = {each.get("slug", each["name"]) for each in self.state[folder]}
        if body.get("slug", body["name"]) in taken:
            raise Refuse(400, {"name": ["This field must be unique."]})
        record = {"pk": str(uuid4()), **body}
        self.state[folder].append(record)
        return self._shown(folder, record)

    def _make_provider(self, body: Record) -> Record:
        record = {
            "pk": len(self.providers) + 7,
            "property_mappings": [],
            "client_type": "confidential",
            "client_id": secrets.token_hex(8),
            "client_secret": secrets.token_hex(8),
            "include_claims_in_id_token": True,
            "signing_key": None,
            "encryption_key": None,
            "sub_mode": "hashed_user_id",
            "issuer_mode": "per_provider",
            **({"grant_types": self.gives_grant_types or []} if self.knows_grant_types else {}),
            **body,
        }
        self.providers.append(record)
        return record

    def _shown(self, folder: str, record: Record) -> Record:
        if "client_id" in record:
            hidden = set() if self.shows_secrets else {"client_secret"}
            owner = next(
                (each for each in self.applications if each["provider"] == record["pk"]), {}
            )
            return {
                **{name: value for name, value in record.items() if name not in hidden},
                "assigned_application_slug": owner.get("slug"),
                "assigned_application_name": owner.get("name"),
            }
        if "slug" in record and "provider" in record:
            held = next((each for each in self.providers if each["pk"] == record["provider"]), None)
            shown = {"pk": held["pk"], "name": held["name"]} if held else None
            return {**record, "provider_obj": shown, "launch_url": None}
        return record

    def _open(self, operation: str, sent: Sent, who: "Who") -> tuple[int, Record | None]:
        """What strangers may ask: the brand, and the steps of signing in."""
        if "/brands/" in operation:
            return 200, {"flow_authentication": "team-sign-in"}
        if "team-sign-in" not in sent.path:
            raise Refuse(404, {"detail": "No Flow matches."})
        if sent.method == "GET":
            return 200, self._challenge(who)
        stage = self.stages[self.steps[who.session]]
        if sent.body["component"] != stage:
            raise Refuse(400, {"detail": "another stage"})
        given = sent.body.get("password")
        needs = "password" in sent.body
        if needs and (given != PASSWORD or self.sessions[who.session]["uid"] != USERNAME):
            return 200, {"component": stage, "response_errors": {"password": [{"code": "invalid"}]}}
        self.sessions[who.session].setdefault("uid", sent.body.get("uid_field"))
        self.steps[who.session] += 1
        self.sessions[who.session]["is_in"] = self.steps[who.session] == len(self.stages)
        return 302, None

    def _challenge(self, who: "Who") -> Record:
        step = self.steps[who.session]
        if step == len(self.stages):
            return {"component": "xak-flow-redirect", "to": "/"}
        return {"component": self.stages[step], "password_fields": False}

    def _sessions(self, name: str, sent: Sent, who: "Who") -> tuple[int, Record | None]:
        if sent.method == "DELETE":
            own = next(key for key, each in self.sessions.items() if each["uuid"] == name)
            del self.sessions[own]
            return DELETED, None
        others = [{"uuid": str(uuid4()), "current": False}]
        own = [
            {"uuid": each["uuid"], "current": key == who.session}
            for key, each in self.sessions.items()
        ]
        page = self._list([], {})
        return 200, {**page, "results": others + own}


class Who(NamedTuple):
    """Who asks: may: a good token or a signed-in session; session: the key of its cookie."""

    may: bool
    session: str
    is_csrf_safe: bool


def _operation(sent: Sent) -> tuple[str, str]:
    """("PATCH /providers/oauth2/{id}/", "7"), or the path itself and ""."""
    plain = f"{sent.method} {sent.path}"
    if plain in CONTRACT:
        return plain, ""
    name = sent.path.rstrip("/").rpartition("/")[2]
    return f"{sent.method} {sent.path.removesuffix(f'{name}/')}{{id}}/", name


def _in(path: str, starts: tuple[str, ...]) -> bool:
    return path.startswith(starts)


class _Handler(BaseHTTPRequestHandler):
    double: AuthentikDouble
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if parts.path.endswith("/.well-known/openid-configuration"):
            return self._discovery(parts.path)
        path = parts.path.removeprefix("/api/v3")
        sent = Sent(self.command, path, dict(parse_qsl(parts.query)), body)
        self.double.sent.append(sent)
        who, cookies = self._who(path)
        try:
            status, document = self.double.answer(sent, who)
        except Refuse as problem:
            status, document = problem.status, problem.document
        return self._send(status, document, cookies)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _who(self, path: str) -> tuple[Who, dict[str, str]]:
        """The user of the request, and cookies for a sign-in that starts."""
        found = dict(re.findall(r"(\w+)=([^;]*)", self.headers.get("Cookie", "")))
        session = found.get("authentik_session", "")
        fresh: dict[str, str] = {}
        if session not in self.double.sessions and path.startswith("/flows/executor/"):
            session = secrets.token_hex(8)
            self.double.sessions[session] = {"uuid": str(uuid4()), "is_in": False}
            self.double.steps[session] = 0
            fresh = {"authentik_session": session, "authentik_csrf": secrets.token_hex(8)}
        has_token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        is_in = self.double.sessions.get(session, {}).get("is_in", False)
        csrf = self.headers.get("X-authentik-CSRF")
        safe = has_token or (bool(csrf) and csrf == found.get("authentik_csrf"))
        return Who(has_token or is_in, session, safe), fresh

    def _discovery(self, path: str) -> None:
        slug = path.split("/")[3]
        served = [each["slug"] for each in self.double.applications if each["provider"]]
        status = self.double.discovery_status if slug in served else 404
        issuer = self.double.issuer or f"{self.double.url}/application/o/{slug}/"
        self._send(status, {"issuer": issuer}, {})

    def _send(self, status: int, document: Record | None, cookies: dict[str, str]) -> None:
        content = b"" if document is None else json.dumps(document).encode()
        if isinstance(document, str):
            content = document.encode()
        self.send_response(status)
        for name, value in cookies.items():
            self.send_header("Set-Cookie", f"{name}={value}; Path=/; HttpOnly")
        if status in (301, 302):
            self.send_header("Location", self.path)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""

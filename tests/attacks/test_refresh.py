"""Stolen refresh tokens: reuse, races over two processes, other places in a request."""

import json
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from devtools.servers.fronts import FRONTS, Proxy
from devtools.servers.gatehouse import Gatehouse
from tests.attacks.endpoints import (
    ANONYMOUS_STATUSES,
    BY_KEY_OR_TOKEN,
    bearer,
    code_of,
    statuses_at_endpoints,
)
from tests.attacks.programs import TOKEN, Program
from tests.attacks.site import URL, Site, Visitor, new_address

REFRESH = f"{TOKEN}/refresh"
INVALID = (401, "token_invalid")
COOKIE = "__Host-gatehouse_refresh"
CLIENTS = 16
# Of one person: generations, why families ended, reuses in the audit log, mails about them.
FAMILIES = """
from audit.models import AuditEvent; from mail.models import OutboxMail
from audit import audit_log
assert audit_log.verify().broken_at is None
user = User.objects.get(email={email!r})
result = [
    [[family.generation, family.end_reason] for family in user.token_families.all()],
    AuditEvent.objects.filter(target_id=user.pk, action="api:token:reuse",
                              result="refused").count(),
    OutboxMail.objects.filter(user=user, kind="token-reused").count(),
]
"""


@pytest.fixture(scope="module")
def second(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy of a further server process over the same data."""
    folder = tmp_path_factory.mktemp("second")
    (folder / "front").mkdir()
    server = Gatehouse(site.data, folder, 1, site.server.environment)
    front = FRONTS[site.proxy](server.ports[0], folder / "front")
    yield front
    front.process.stop()
    server.stop()


def at(front: Proxy) -> Visitor:
    return Visitor(front, new_address())


def refresh(visitor: Visitor, text: str) -> tuple[int, str]:
    return code_of(visitor.send("POST", REFRESH, {"refresh": text}))


def test_reuse_of_a_refresh_token_ends_the_whole_sign_in(site: Site, second: Proxy) -> None:
    program, thief = Program(site, site.user("editor")), at(second)
    pairs = [program.post("/refresh", {"refresh": program.refresh})]
    pairs.append(program.post("/refresh", {"refresh": pairs[0]["refresh"]}))
    assert statuses_at_endpoints(site, bearer(pairs[1]["access"])) == BY_KEY_OR_TOKEN

    assert refresh(thief, program.refresh) == INVALID

    for pair in (program.pair, *pairs):
        assert statuses_at_endpoints(site, bearer(pair["access"])) == ANONYMOUS_STATUSES
        assert refresh(program.visitor, pair["refresh"]) == INVALID
    assert site.drive(FAMILIES.format(email=program.email)) == [[[2, "reused"]], 1, 1]


def test_reuse_ends_the_browser_session_of_the_tokens(site: Site, second: Proxy) -> None:
    email = site.user("editor")
    browser = site.signed_in(email)
    form = {"X-CSRF-Token": browser.csrf_token, "Origin": URL}
    first = json.loads(browser.send("POST", f"{TOKEN}/session", {}, form).body)
    newer = Visitor(browser.front, browser.address).send(
        "POST", REFRESH, {"refresh": first["refresh"]}
    )
    newest = json.loads(
        at(second).send("POST", REFRESH, {"refresh": json.loads(newer.body)["refresh"]}).body
    )
    assert browser.get("/account/").status == 200

    assert refresh(at(second), first["refresh"]) == INVALID

    assert statuses_at_endpoints(site, {}, browser) == ANONYMOUS_STATUSES
    assert statuses_at_endpoints(site, bearer(newest["access"])) == ANONYMOUS_STATUSES


def test_concurrent_refreshes_in_two_processes_have_one_successor(
    site: Site, second: Proxy
) -> None:
    program = Program(site, site.user("editor"))

    answers = at_once([site.front, second], program.refresh)

    assert [status for status, _body in answers] == [200] * CLIENTS
    assert len({body["refresh"] for _status, body in answers}) == 1
    assert site.drive(FAMILIES.format(email=program.email)) == [[[1, ""]], 0, 0]


def test_concurrent_reuse_in_two_processes_ends_the_family_once(site: Site, second: Proxy) -> None:
    program = Program(site, site.user("editor"))
    pair = program.post("/refresh", {"refresh": program.refresh})
    pair = program.post("/refresh", {"refresh": pair["refresh"]})

    answers = at_once([site.front, second], program.refresh)

    assert Counter((status, body.get("code")) for status, body in answers) == {INVALID: CLIENTS}
    assert refresh(at(second), pair["refresh"]) == INVALID
    assert site.drive(FAMILIES.format(email=program.email)) == [[[2, "reused"]], 1, 1]


def at_once(fronts: list[Proxy], text: str) -> list[tuple[int, dict[str, str]]]:
    """What CLIENTS are answered whose requests leave at one moment, to each front in turn."""
    barrier = threading.Barrier(CLIENTS)
    answers: list[tuple[int, dict[str, str]]] = []

    def run(visitor: Visitor) -> None:
        visitor.connect()
        barrier.wait(30)
        visitor.connection.request(
            "POST", REFRESH, json.dumps({"refresh": text}), {"Content-Type": "application/json"}
        )
        answer = visitor.connection.getresponse()
        answers.append((answer.status, json.loads(answer.read())))
        visitor.close()

    clients = [
        threading.Thread(target=run, args=(at(fronts[number % len(fronts)]),))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    return answers


def test_signing_out_by_any_token_ends_the_sign_in_in_every_process(
    site: Site, second: Proxy
) -> None:
    for place in ("refresh", "access", "cookie"):
        program = Program(site, site.user("editor"))
        body, headers = {}, {}
        match place:
            case "refresh":
                body = {"refresh": program.refresh}
            case "access":
                headers = bearer(program.access)
            case "cookie":
                headers = {"Cookie": f"{COOKIE}={program.refresh}"}

        answer = at(second).send("POST", f"{TOKEN}/revoke", body, headers)

        assert answer.status == 204
        assert statuses_at_endpoints(site, bearer(program.access)) == ANONYMOUS_STATUSES, place
        assert refresh(program.visitor, program.refresh) == INVALID
        assert site.drive(FAMILIES.format(email=program.email))[0] == [[0, "signed-out"]]


def test_a_refresh_token_is_accepted_only_in_body_and_cookie(site: Site) -> None:
    program = Program(site, site.user("editor"))
    text, visitor = program.refresh, site.visitor()
    cookie = {"Cookie": f"{COOKIE}={text}"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    wanted = {
        "address": (401, "not_authenticated"),
        "bearer": (401, "not_authenticated"),
        "key": (401, "not_authenticated"),
        "other cookie": (401, "not_authenticated"),
        "GET": (405, "method_not_allowed"),
        "form": (415, "unsupported_media_type"),
        "cookie of a foreign page": (403, "csrf_failed"),
        "cookie of no page": (403, "csrf_failed"),
        "cookie of another site": (403, "csrf_failed"),
        "cookie without JSON": (415, "unsupported_media_type"),
        "twice": (400, "malformed"),
        "a list": (402, "record_invalid"),
        "a number": (402, "record_invalid"),
        "null": (402, "record_invalid"),
    }
    post = "POST"
    found = {
        "address": visitor.send(post, f"{REFRESH}?refresh={text}", {}),
        "bearer": visitor.send(post, REFRESH, {}, bearer(text)),
        "key": visitor.send(post, REFRESH, {}, {"X-API-Key": text}),
        "other cookie": visitor.send(post, REFRESH, {}, {"Cookie": f"gatehouse_refresh={text}"}),
        "GET": visitor.send("GET", REFRESH, None, cookie),
        "form": visitor.send(post, REFRESH, f"refresh={text}", form),
        "cookie of a foreign page": visitor.send(
            post, REFRESH, {}, {**cookie, "Origin": "https://evil.test"}
        ),
        "cookie of no page": visitor.send(post, REFRESH, {}, {**cookie, "Origin": "null"}),
        "cookie of another site": visitor.send(
            post, REFRESH, {}, {**cookie, "Sec-Fetch-Site": "same-site"}
        ),
        "cookie without JSON": visitor.send(
            post, REFRESH, "{}", {**cookie, "Content-Type": "text/plain"}
        ),
        "twice": visitor.send(post, REFRESH, f'{{"refresh": "x", "refresh": "{text}"}}'),
        "a list": visitor.send(post, REFRESH, {"refresh": [text]}),
        "a number": visitor.send(post, REFRESH, {"refresh": 1}),
        "null": visitor.send(post, REFRESH, {"refresh": None}),
    }

    assert {name: code_of(answer) for name, answer in found.items()} == wanted
    assert site.drive(FAMILIES.format(email=program.email)) == [[[0, ""]], 0, 0]
    own = visitor.send(post, REFRESH, {}, {**cookie, "Origin": URL})
    assert own.status == 200
    assert "refresh" not in json.loads(own.body)
    (line,) = [line for line in own.set_cookies if line.startswith(COOKIE)]
    assert all(word in line for word in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/"))
    assert site.drive(FAMILIES.format(email=program.email)) == [[[1, ""]], 0, 0]

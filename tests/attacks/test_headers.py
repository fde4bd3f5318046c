"""Headers of every response, whatever its status, and attributes of every cookie."""

import re
from collections.abc import Iterator

import pytest

from devtools.servers.client import Answer
from tests.attacks.site import PASSWORD, SITE, Site, Visitor

HSTS = "max-age=31536000; includeSubDomains"
# Of a page; documents and files say the same or more.
WANTED = {
    "strict-transport-security": HSTS,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin|strict-origin|no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": ".+",
}
POLICY = ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]
LIMIT = {"email": "anonymous@example.com"}


def faults(answer: Answer) -> list[str]:
    """What is missing or wrong in its headers."""
    found = [
        name
        for name, value in WANTED.items()
        if not re.fullmatch(value, answer.headers.get(name, ""))
    ]
    policy = answer.headers.get("content-security-policy", "")
    found += [part for part in POLICY if part not in policy]
    if "unsafe" in policy or re.search(r"(?:^| )\*(?:;| |$)", policy):
        found.append(policy)
    if not re.fullmatch("no-store|public, max-age=300", answer.headers.get("cache-control", "")):
        found.append("cache-control")
    return found + [f"{name}: {answer.headers[name]}" for name in ("x-powered-by", "via")
                    if name in answer.headers and "Caddy" not in answer.headers[name]]  # fmt: skip


def limited(visitor: Visitor) -> Answer:
    for _one in range(100):
        answer = visitor.send("POST", "/api/v1/auth/magic-link", LIMIT)
        if answer.status == 429:
            break
    return answer


def asked(site: Site) -> Iterator[tuple[int, str, Answer]]:
    """(the status that it should have, what it is, the answer): one of each kind."""
    anonymous, browser = site.visitor(), site.signed_in(site.user())
    for status, path in [
        (200, "/sign-in"), (200, "/password/forgot"), (302, "/"), (302, "/admin/"), (404, "/no"),
        (404, "/static/no.css"), (404, "/api/v1/no"), (401, "/api/v1/me"), (401, "/auth/check"),
        (200, "/.well-known/jwks.json"), (200, "/health/live"), (200, "/api/v1/schema"),
        (404, "/oauth/nowhere/login"), (303, "/magic-link/no"), (200, "/banned"),
    ]:  # fmt: skip
        yield status, path, anonymous.get(path)
    yield 401, "for browsers", anonymous.get("/auth/forward", {
        "Accept": "text/html", "Sec-Fetch-Mode": "navigate"})  # fmt: skip
    yield 200, "one's own page", browser.get("/account/")
    yield 200, "one's own data", browser.get("/api/v1/me")
    yield 403, "the panel", browser.get("/admin/")
    yield 403, "a foreign form", browser.post("/sign-out", {}, {"Origin": "https://evil.test"})
    yield 405, "a method", anonymous.send("PUT", "/api/v1/auth/token", {})
    yield 400, "no JSON", anonymous.send("POST", "/api/v1/auth/token", "{")
    yield (
        415,
        "another kind",
        anonymous.send("POST", "/api/v1/auth/token", "a", {"Content-Type": "text/plain"}),
    )
    yield 402, "no fields", anonymous.send("POST", "/api/v1/auth/token", {})
    yield 429, "too often", limited(site.visitor())
    # Answers of the server itself, before anything of Django runs.
    yield 400, "twice", anonymous.send("GET", "/sign-in", None, {"X-Forwarded-Server": "a"} | TWICE)
    yield 431, "too long", anonymous.get("/sign-in", {"User-Agent": "x" * 20_000})


TWICE = {"Sec-GPC": "1", "sec-gpc": "1"}


def test_every_response_has_the_security_headers(site: Site) -> None:
    for status, what, answer in asked(site):
        assert (answer.status, faults(answer)) == (status, []), what


RENAME = """
from accounts.models import Invitation
from django.db import connection
here = Invitation._meta.db_table
away = here + "_away"
with connection.cursor() as cursor:
    cursor.execute(f'ALTER TABLE "{%s}" RENAME TO "{%s}"')
"""
HIDE, SHOW = RENAME % ("here", "away"), RENAME % ("away", "here")


def test_a_server_error_has_the_security_headers_and_no_details(site: Site) -> None:
    anonymous = site.visitor()
    site.drive(HIDE)
    try:
        answer = anonymous.get(f"/invitation/{'x' * 43}")
    finally:
        site.drive(SHOW)

    assert (answer.status, faults(answer)) == (500, [])
    assert not re.search("Traceback|no such table|does not exist|sqlite|psycopg", answer.text)


def test_static_files_are_public_and_not_sniffed(site: Site) -> None:
    page = site.visitor().get("/sign-in").text
    files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page))
    assert files
    for path in files:
        answer = site.visitor().get(path)

        assert (answer.status, answer.headers["x-content-type-options"]) == (200, "nosniff"), path
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert answer.headers["strict-transport-security"] == HSTS
        assert answer.set_cookies == ()


def attributes(line: str) -> set[str]:
    """The attributes of a Set-Cookie, without those that say how long it lives."""
    parts = {part.strip().lower() for part in line.split(";")[1:]}
    return {part for part in parts if not re.match("expires|max-age", part)}


OWN = {"httponly", "path=/", "secure", "samesite=lax"}


def test_every_cookie_is_host_only_and_http_only(site: Site) -> None:
    email = site.user()
    visitor = site.visitor()
    asked_for = {"email": email, "password": PASSWORD, "refresh_cookie": True}
    lines = [
        *visitor.get("/sign-in?next=/account/").set_cookies,
        *visitor.post("/sign-in", {"login": email, "password": PASSWORD}).set_cookies,
        *visitor.get("/account/").set_cookies,
        *visitor.post("/magic-link", {"email": email}).set_cookies,
        *site.visitor().send("POST", "/api/v1/auth/token", asked_for).set_cookies,
        *visitor.post("/sign-out", {}).set_cookies,
    ]  # fmt: skip
    seen = set()
    for line in lines:
        name = line.partition("=")[0]
        seen.add(name)
        found = attributes(line)
        if name == "__Secure-gatehouse_gate":
            assert found == {*OWN, "domain=example.com"}, line
        elif "refresh" in name:
            assert {"httponly", "secure", "samesite=strict"} <= found, line
            assert not any(part.startswith("domain") for part in found), line
        else:
            assert name.startswith("__Host-"), line
            assert found == OWN, line
    assert {"__Host-gatehouse_session", "__Host-gatehouse_csrf", "__Secure-gatehouse_gate"} <= seen


@pytest.mark.parametrize("path", ["/sign-in", "/account/", "/admin/"])
def test_no_response_depends_on_a_forged_host(site: Site, path: str) -> None:
    """A shared cache would keep the one for the other."""
    own = site.visitor().get(path)
    other = site.visitor().get(
        path, {"X-Forwarded-Host": "evil.test", "X-Forwarded-Scheme": "http"}
    )

    assert (other.status, other.headers.get("location")) == (
        own.status,
        own.headers.get("location"),
    )
    assert "evil.test" not in other.text
    assert SITE not in own.headers.get("location", "")

"""Large inputs, secrets that must not be logged, attacks on the audit log."""

import json
import secrets

import pytest

from tests.attacks.raw_http import exchange, head
from tests.attacks.site import PASSWORD, Site

LONG = "x" * 20_000
# What badly written expressions for addresses need hours for.
HARD = [
    "a" * 50_000, "@" * 50_000, "a@" * 25_000, f"{'a.' * 25_000}@b.example", f"a@{'a.' * 25_000}b",
    f"a@{'-' * 50_000}.example", f'"{chr(92) * 50_000}"@b.example', f"a@{'xn--' * 10_000}.example",
    f"{' ' * 50_000}a@b.example", f"a@[{'1' * 50_000}]", "\u0661" * 20_000,
    f"a@{'ä' * 20_000}.example",
]  # fmt: skip


def test_no_field_length_is_hashed_or_causes_an_error(site: Site) -> None:
    email = site.user()
    visitor = site.visitor()
    visitor.get("/sign-in")
    for body, status in [
        ({"email": email, "password": LONG}, 402),
        ({"email": LONG, "password": PASSWORD}, 402),
        ({"email": email, "password": PASSWORD, "otp": LONG}, 402),
        ({"email": email, "password": "x" * 900_000}, 413),
        ({"email": [email] * 400, "password": PASSWORD}, 402),
        ({"email": {"a": LONG}, "password": PASSWORD}, 402),
    ]:
        answer = visitor.send("POST", "/api/v1/auth/token", body)
        assert answer.status == status, list(body)
    too_long = {"csrfmiddlewaretoken": visitor.csrf_token, "login": email, "password": LONG}
    assert visitor.post("/sign-in", too_long).status in (200, 400, 413)
    assert "session" not in " ".join(visitor.cookies)
    # None of it was a guess that counts against the person.
    assert site.signed_in(email).get("/account/").status == 200


def test_no_address_takes_long_to_reject(site: Site) -> None:
    """A request that takes ten seconds is given up, and the test with it."""
    for number, text in enumerate(HARD):
        visitor = site.visitor()
        asked = visitor.send("POST", "/api/v1/auth/magic-link", {"email": text})
        assert asked.status in (202, 402, 413), number
        visitor.get("/sign-in")
        answer = visitor.post("/sign-in", {"login": text, "password": "x"})
        assert answer.status in (200, 400, 401), number
    for agent in ("(" * 8000, "Mozilla/5.0 (" + ";" * 8000, "a/1 " * 3000):
        assert site.visitor().get("/sign-in", {"User-Agent": agent}).status == 200


def test_no_secret_is_logged(site: Site) -> None:
    email = site.user("editor")
    browser = site.signed_in(email)
    key = site.api_key(email)
    tokens = json.loads(
        site.visitor().send(
            "POST", "/api/v1/auth/token", {"email": email, "password": PASSWORD}
        ).text
    )  # fmt: skip
    typed = f"typed-{secrets.token_hex(12)}"
    link = secrets.token_urlsafe(32)
    known = [key, tokens["access"], tokens["refresh"], typed, link]
    known += [text for name, text in browser.cookies.items() if "csrf" not in name]
    stranger = site.visitor()
    stranger.get("/sign-in")
    # A password in the wrong field, secrets in addresses, and each where it is refused.
    stranger.post("/sign-in", {"login": typed, "password": typed})
    stranger.send(
        "POST", "/api/v1/auth/token", {"email": f"{typed}@example.com", "password": typed}
    )
    stranger.send("POST", "/api/v1/auth/token", f'{{"email": "{typed}", "password": ')
    stranger.send("POST", "/api/v1/auth/token/refresh", {"refresh": tokens["refresh"] + "x"})
    for path in (
        f"/magic-link/{link}",
        f"/password/reset/{link}",
        f"/invitation/{link}",
        f"/verify-email/{link}",
        f"/oauth/google/callback?code={link}&state={typed}",
        f"/api/v1/me?api_key={key}&token={tokens['access']}",
        f"/static/{link}",
        f"/{link}",
    ):
        stranger.get(path)  # fmt: skip
        stranger.request("BREW", path)
    for name, text in [
        ("Authorization", f"Bearer {key}x"),
        ("X-API-Key", key + "x"),
        ("Authorization", f"Bearer {tokens['access']}x"),
    ]:
        stranger.send("GET", "/api/v1/me", None, {name: text})  # fmt: skip
        site.proxied_app.ask("/", {name: text})
    site.proxied_app.ask(f"/?key={key}", site.at_app(browser))
    for lines in (["X-API-Key: a", f"X-API-Key: {key}"], [f"Cookie: a={typed * 800}"]):
        exchange(site.visitor().socket(), head("GET", f"/{link}", lines, "gate.example.com"))
    browser.post("/sign-out", {})

    logs = site.server.output() + site.proxied_app.process.output() + site.front.process.output()
    for folder in (site.front.folder, site.front.folder.parent / "gate"):
        logs += "".join(
            file.read_text(errors="replace")
            for file in folder.rglob("*")
            if file.suffix == ".log" and file.is_file()
        )
    rows = site.drive(ROWS)
    for secret in [*known, PASSWORD]:
        assert secret not in logs
        assert secret not in rows
        # The checksum at the end of a key, and the signature of a token, are secrets as well.
        assert secret[-20:] not in logs + rows


ROWS = """
from django.apps import apps
from django.db import connection
found = []
with connection.cursor() as cursor:
    for name in connection.introspection.table_names(cursor):
        cursor.execute(f'SELECT * FROM "{name}"')
        found += [str(row) for row in cursor.fetchall()]
result = "\\n".join(found)
"""
TAMPER = """
from io import StringIO
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from audit.models import AuditEvent
from audit import audit_log
with transaction.atomic():
    for _one in range(4):
        audit_log.record("account:test:act")
table = AuditEvent._meta.db_table
first, *_others, before, last = AuditEvent.objects.order_by("seq").values_list("seq", flat=True)
def said():
    try:
        call_command("verifyaudit", stdout=StringIO(), stderr=StringIO())
    except (CommandError, SystemExit) as error:
        return str(error)
    return "whole"
def after(*statements):
    with transaction.atomic(), connection.cursor() as cursor:
        try:
            with transaction.atomic():
                for statement in statements:
                    cursor.execute(statement)
        except Exception as error:
            transaction.set_rollback(True)
            return f"refused: {type(error).__name__}"
        found = said()
        transaction.set_rollback(True)
    return found
result = {
    "untouched": said(),
    "edited": after(f"UPDATE {table} SET ip = '10.1.1.1' WHERE seq = {before}"),
    "cut out": after(f"DELETE FROM {table} WHERE seq = {before}"),
    "end cut off": after(f"DELETE FROM {table} WHERE seq = {last}"),
    "beginning cut off": after(f"DELETE FROM {table} WHERE seq = {first}"),
    "turned round": after(f"UPDATE {table} SET seq = -1 WHERE seq = {before}",
                          f"UPDATE {table} SET seq = {before} WHERE seq = {last}",
                          f"UPDATE {table} SET seq = {last} WHERE seq = -1"),
}
"""


def test_a_changed_audit_log_is_detected(site: Site) -> None:
    site.signed_in(site.user()).post("/sign-out", {})
    results = site.drive(TAMPER)

    assert results.pop("untouched") == "whole"
    assert [what for what, said in results.items() if said == "whole"] == []


FIRST = """
from audit.models import AuditEvent
row = AuditEvent.objects.order_by("seq").values().first()
result = [row["seq"], repr(sorted((name, str(value)) for name, value in row.items()))]
"""


@pytest.mark.parametrize("role", ["viewer", "admin", "owner"])
def test_no_page_changes_the_audit_log(site: Site, role: str) -> None:
    browser = site.signed_in(site.user(role))
    seq, before = site.drive(FIRST)
    for path, fields in [
        (f"/admin/audit/auditevent/{seq}/delete/", {"post": "yes"}),
        (f"/admin/audit/auditevent/{seq}/change/", {"ip": "10.1.1.1"}),
        ("/admin/audit/auditevent/add/", {"ip": "10.1.1.1"}),
        (
            "/admin/audit/auditevent/",
            {"action": "delete_selected", "_selected_action": str(seq)},
        ),
    ]:
        assert browser.post(path, fields).status in (200, 302, 403, 404, 405), path
    for method in ("DELETE", "PATCH", "PUT", "POST"):
        answer = browser.request(
            method, "/api/v1/audit-events", {}, {"Sec-Fetch-Site": "same-origin"}
        )
        assert answer.status in (403, 405), method
    assert site.drive(FIRST) == [seq, before]

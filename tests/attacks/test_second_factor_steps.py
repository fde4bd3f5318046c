"""A pending sign-in, between password and second factor, has no access."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import URLPattern, get_resolver

from mfa import totp
from tests.attacks.site import PASSWORD, Site, Visitor

STEP = "/second-factor"
WITH_APP = """
from tests.mfa.authenticator import set_up_app
app = set_up_app(User.objects.get(email={email!r}))
result = [app.secret.hex(), list(app.recovery_codes)]
"""
KIND = {"uuid": "0192f8a0-0000-7000-8000-000000000000", "slug": "github", "str": "x" * 43,
        "path": "x", "int": "1"}  # fmt: skip
# Pages of the waiting sign-in itself; what they do is asserted below.
OWN = {STEP, f"{STEP}/set-up", f"{STEP}/cancel", "/sign-in", "/sign-out"}


def paths(patterns: Any, prefix: str = "/") -> Iterator[str]:
    """Every path of Gatehouse, with a value for each variable part."""
    for each in patterns:
        route = prefix + str(each.pattern).removeprefix("^").removesuffix("$")
        if isinstance(each, URLPattern):
            if "(" not in route and not route.startswith("/admin/"):
                yield route
        elif "(" not in route:
            yield from paths(each.url_patterns, route)


def filled(route: str) -> str:
    parts = route.replace(">", "<").split("<")
    return "".join(KIND[part.partition(":")[0]] if place % 2 else part
                   for place, part in enumerate(parts))  # fmt: skip


EVERYWHERE = sorted({filled(path) for path in paths(get_resolver().url_patterns)} - OWN)
ADMIN = ["/admin/", "/admin/accounts/user/", "/admin/accounts/user/add/", "/admin/api/apikey/"]


@pytest.fixture
def person(site: Site) -> tuple[str, bytes, list[str]]:
    """An owner with an authenticator app: address, seed, recovery codes."""
    email = site.user("owner")
    secret, recovery = site.drive(WITH_APP.format(email=email))
    return email, bytes.fromhex(secret), recovery


def half_in(site: Site, email: str) -> Visitor:
    visitor = site.visitor()
    visitor.get("/sign-in")
    answer = visitor.post("/sign-in", {"login": email, "password": PASSWORD})
    assert (answer.status, answer.headers["location"]) == (302, STEP)
    return visitor


def code_of(secret: bytes, steps: int = 0) -> str:
    return totp.code_of(secret, totp.step_at(datetime.now(UTC).timestamp()) + steps)


def test_the_list_of_paths_is_not_empty() -> None:
    assert {"/account/", "/account/password", "/api/v1/me", "/confirm"} <= set(EVERYWHERE)


def test_every_path_treats_a_pending_sign_in_as_anonymous(
    site: Site, person: tuple[str, bytes, list[str]]
) -> None:
    email, _secret, _recovery = person
    half, stranger = half_in(site, email), site.visitor()
    stranger.get("/sign-in")
    waiting = dict(half.cookies)

    differing = []
    for path in [*EVERYWHERE, *ADMIN]:
        found = []
        for visitor, cookies in ((half, waiting), (stranger, dict(stranger.cookies))):
            visitor.cookies = dict(cookies)
            headers = {"X-CSRFToken": visitor.csrf_token, "Accept": "application/json"}
            method = "GET" if path.endswith(("me", "users", "/admin/", "export")) else "POST"
            answer = visitor.request(method, path, {} if method == "POST" else None, headers)
            found.append((answer.status, answer.headers.get("location")))
        if found[0] != found[1] or found[0][0] >= 500:
            differing.append((path, *found))
    assert differing == []
    half.cookies = waiting
    assert (
        site.proxied_app.ask(
            "/", {"Cookie": "; ".join(f"{n}={v}" for n, v in waiting.items())}
        ).status
        == 401
    )


def test_steps_cannot_be_skipped_emptied_or_replayed(
    site: Site, person: tuple[str, bytes, list[str]]
) -> None:
    email, secret, recovery = person
    half = half_in(site, email)
    for fields in ({}, {"code": ""}, {"code": " "}, {"passkey": "{}"},
                   {"passkey": "null", "code": ""},
                   {"code": "000000", "passkey": "[]"}):  # fmt: skip
        assert half.post(STEP, fields).status in {400, 401, 429}, fields
        assert half.get("/account/").status == 302
    # A later step without the earlier one, and another browser's step.
    alone = site.visitor()
    alone.get("/sign-in")
    late = alone.post(STEP, {"code": code_of(secret)})
    assert (late.status, late.headers["location"]) == (303, "/sign-in?notice=second-factor-over")
    # A pending sign-in cannot set up another factor.
    assert half.get(f"{STEP}/set-up").headers["location"] == STEP
    headers = {"X-CSRFToken": half.csrf_token, "Origin": "https://gate.example.com"}
    adding = half.send("POST", "/account/passkeys/options", "{}", headers)
    assert (adding.status, json.loads(adding.text)["code"]) == (401, "not_authenticated")
    # Signing out wipes what waits.
    half.post("/sign-out", {})
    gone = half.post(STEP, {"code": recovery[0]})
    assert gone.headers["location"] == "/sign-in?notice=second-factor-over"


def test_a_code_works_once_and_old_codes_never(
    site: Site, person: tuple[str, bytes, list[str]]
) -> None:
    email, secret, recovery = person
    for old in (-3, 3):
        assert half_in(site, email).post(STEP, {"code": code_of(secret, old)}).status == 401
    code = code_of(secret)
    first, second = half_in(site, email), half_in(site, email)
    waiting = dict(first.cookies)
    assert first.post(STEP, {"code": code}).headers["location"] == "/account/"
    assert second.post(STEP, {"code": code}).status == 401
    # The cookie of the waiting sign-in opens nothing after it, and is no session.
    replay = site.visitor(waiting)
    assert replay.get("/account/").status == 302
    assert replay.post(STEP, {"code": recovery[0]}).status == 303
    assert second.post(STEP, {"code": recovery[1]}).headers["location"] == "/account/"
    assert half_in(site, email).post(STEP, {"code": recovery[1]}).status == 401


def test_guesses_at_a_code_are_counted_for_the_account(
    site: Site, person: tuple[str, bytes, list[str]]
) -> None:
    email, _secret, recovery = person
    wrong = [half_in(site, email).post(STEP, {"code": "000000"}).status for _ in range(5)]
    assert wrong == [401] * 5

    another = half_in(site, email)

    assert another.post(STEP, {"code": recovery[0]}).status == 429
    assert another.get("/account/").status == 302
    body = {"email": email, "password": PASSWORD, "otp": recovery[0]}
    assert site.visitor().send("POST", "/api/v1/auth/token", body).status == 429


ENDED = ["password", "disabled", "demoted", "signed out"]


@pytest.mark.parametrize("change", ENDED)
def test_a_pending_sign_in_ends_with_the_account(
    site: Site, person: tuple[str, bytes, list[str]], change: str
) -> None:
    email, _secret, recovery = person
    half = half_in(site, email)
    acts = {
        "password": "set_password(actor=SYSTEM, user=user, new='seven quiet rivers under glass')",
        "disabled": "users.disable_user(actor=SYSTEM, user=user)",
        "demoted": "users.change_role(actor=SYSTEM, user=user, role='viewer')",
        "signed out": "end_sessions(actor=SYSTEM, user=user)",
    }
    site.user("owner")
    site.drive(
        "from accounts.actors import SYSTEM\nfrom accounts.services import users\n"
        "from accounts.services.passwords import set_password\n"
        "from accounts.services.sessions import end_sessions\n"
        f"user = User.objects.get(email={email!r})\n{acts[change]}"
    )

    answer = half.post(STEP, {"code": recovery[0]})

    assert (answer.status, answer.headers["location"]) == (
        303,
        "/sign-in?notice=second-factor-over",
    )
    assert half.get("/account/").status == 302

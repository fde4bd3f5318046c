"""Roles: no user raises their own, and no administrator changes users of their rank."""

import json
from typing import Any

import pytest

from tests.attacks.site import URL, Site, Visitor

PHRASE = "seven quiet rivers under glass"
RECORD = """
user = User.all_objects.get(pk={key!r})
names = [f.name for f in User._meta.concrete_fields
         if f.name not in ("last_login", "name", "username", "search_text")]
result = [{{name: str(getattr(user, name)) for name in names}}, user.authenticators.count(),
          user.tokens.count(), user.sessions.count() > 0]
"""
# Fields that users may not set, in the spellings that other frameworks read.
PRIVILEGES: dict[str, Any] = {
    "role": "owner", "roles": ["owner"], "is_staff": True, "isStaff": True, "is_superuser": True,
    "is_active": True, "email_verified": True, "is_verified": True,
    "email_verified_at": "2020-01-01",
    "banned_until": None, "score": 0, "groups": ["admin"], "user_permissions": [1], "id": "x",
    "pk": "x", "password": PHRASE, "date_joined": "2020-01-01",
    "created_at": "2020-01-01T00:00:00Z",
    "mfa_enabled": False, "credentials_valid_from": "2020-01-01T00:00:00Z",
    "email": "owner@evil.example",
    "user": {"role": "owner"}, "role_locked": True, "setup_completed": True,
}  # fmt: skip


def record(site: Site, key: str) -> Any:
    """All that is stored of an account, its name and last sign-in apart."""
    return site.drive(RECORD.format(key=key))


def key_of(site: Site, email: str) -> str:
    return str(site.drive(f"result = User.objects.get(email={email!r}).pk"))


def csrf(visitor: Visitor) -> dict[str, str]:
    return {"X-CSRFToken": visitor.csrf_token, "Origin": URL}


@pytest.mark.parametrize("role", ["none", "viewer", "admin"])
def test_users_cannot_raise_their_own_role(site: Site, role: str) -> None:
    email = site.user(role)
    browser, key = site.signed_in(email), key_of(site, email)
    before = record(site, key)
    headers = csrf(browser)

    for name, value in PRIVILEGES.items():
        for body in ({name: value}, {"name": "N", name: value}, {name: [value]}, {name: None}):
            said = browser.send("PATCH", "/api/v1/me", body, headers)
            assert said.status in {200, 402}, (name, said.text)
    for body, kind in [
        (f"role=owner&is_staff=1&email={email}x", "application/x-www-form-urlencoded"),
        ('[{"op": "replace", "path": "/role", "value": "owner"}]', "application/json-patch+json"),
        ('{"role": "owner"}', "application/merge-patch+json"),
        ('{"name": "N", "role": "owner"}', "text/plain"),
    ]:
        said = browser.send("PATCH", "/api/v1/me", body, {**headers, "Content-Type": kind})
        assert said.status == 415, kind
    doubled = '{"name": "a", "role": "viewer", "role": "owner", "name": "b"}'
    assert browser.send("PATCH", "/api/v1/me", doubled, headers).status == 400
    asked = browser.send("PATCH", "/api/v1/me?role=owner&is_staff=1", {"name": "N"}, headers)
    assert asked.status in {200, 400}
    texts = {name: str(value) for name, value in PRIVILEGES.items() if name != "password"}
    browser.post("/account/", {"name": "N", "username": "", **texts})
    browser.post("/account/?role=owner", {"name": "N", "username": "", "role": "owner"})

    assert record(site, key) == before
    assert browser.get("/account/").status == 200


def test_no_public_form_sets_a_role(site: Site) -> None:
    site.user("owner")
    more = {"role": "owner", "is_staff": "1", "is_superuser": "on", "is_verified": "1",
            "email_verified_at": "2020-01-01", "user": "1"}  # fmt: skip
    email = f"new-{site.user()}"
    visitor = site.visitor()
    visitor.get("/sign-up")
    assert (
        visitor.post("/sign-up", {"email": email, "name": "", "password": PHRASE, **more}).status
        == 200
    )
    invited = f"guest-{email}"
    path = str(
        site.drive(
            "from accounts.actors import SYSTEM\nfrom accounts.services.invitations import invite\n"
            f"result = invite(actor=SYSTEM, email={invited!r}, role='viewer').url"
        )
    ).removeprefix(URL)
    guest = site.visitor()
    guest.get(path)
    posted = guest.post(path, {"name": "", "password": PHRASE, "email": "me@evil.example", **more})
    assert posted.headers["location"] == "/account/"

    found = f"result = list(User.objects.filter(email__in={[email, invited]!r})"
    roles = site.drive(f"{found}.values_list('role', flat=True))")
    assert set(roles) == {"viewer"}
    assert site.drive("result = User.objects.filter(email='me@evil.example').count()") == 0


def test_no_key_is_created_for_others_or_beyond_the_own_role(site: Site) -> None:
    email, other = site.user("viewer"), site.user("owner")
    browser, victim = site.signed_in(email), key_of(site, other)
    headers = csrf(browser)
    for more in ({"user": victim}, {"user_id": victim}, {"owner": other}, {"role": "owner"},
                 {"hash": "0" * 64}, {"digest": "0" * 64}, {"prefix": "x"}, {"id": "a" * 10},
                 {"expires_at": "2999-01-01T00:00:00Z"}, {"created_at": "2020-01-01"}):  # fmt: skip
        body = {"name": "n", "scopes": ["read"], **more}
        # Such fields are ignored or rejected, and never applied.
        assert browser.send("POST", "/api/v1/api-keys", body, headers).status in {201, 402}, more
    for scopes in (["users"], ["moderation"], ["service"], ["*"], "users", [["users"]]):
        body = {"name": "n", "scopes": scopes}
        assert browser.send("POST", "/api/v1/api-keys", body, headers).status in {402, 403}, scopes
    anonymous = site.visitor().send("POST", "/api/v1/api-keys", {"name": "n", "user_id": victim})
    assert anonymous.status == 401
    assert site.drive(f"result = ApiKey.objects.filter(user__pk={victim!r}).count()") == 0
    made = f"result = list(ApiKey.objects.filter(user__email={email!r})"
    keys = site.drive(f"{made}.values_list('scopes', 'digest', 'id'))")
    assert {(*scopes,) for scopes, _digest, _id in keys} <= {("read",)}
    assert not {"0" * 64, "a" * 10} & {text for _scopes, *texts in keys for text in texts}


# Method, path below the user, body: all actions of an administrator on a user.
BY_API = [
    ("PATCH", "", {"role": "owner"}), ("PATCH", "", {"role": "none"}),
    ("PATCH", "", {"email": "a@b.example"}), ("PATCH", "", {"is_active": False}),
    ("PATCH", "", {"name": "x"}), ("PATCH", "", {"is_verified": True}), ("DELETE", "", None),
    ("POST", "/magic-link", {}), ("POST", "/password", {}),
    ("POST", "/password", {"password": PHRASE}), ("POST", "/ban", {"reason": "x"}),
    ("POST", "/unban", {}), ("DELETE", "/sessions", None),
]  # fmt: skip


@pytest.mark.parametrize("rank", ["admin", "owner"])
def test_an_administrator_cannot_change_users_of_their_rank(site: Site, rank: str) -> None:
    email, target = site.user("admin"), site.user(rank)
    there = site.signed_in(target)
    browser, key = site.signed_in(email), key_of(site, target)
    by_key = {"X-API-Key": site.api_key(email, ("read", "write", "users", "moderation"))}
    before = record(site, key)

    for headers, who in ((csrf(browser), browser), (by_key, site.visitor())):
        for method, path, body in BY_API:
            said = who.send(method, f"/api/v1/users/{key}{path}", body, headers)
            assert (said.status, json.loads(said.text)["code"]) == (403, "forbidden"), (path, body)
        for body in ({"user": key, "reason": "x"}, {"user": target, "reason": "x"}):
            said = who.send("POST", "/api/v1/moderation/bans", body, headers)
            assert said.status in {402, 403}, body
        for role in ("admin", "owner"):
            new = {"email": f"{role}-by-{email}", "role": role}
            for path in ("/api/v1/users", "/api/v1/invitations"):
                assert who.send("POST", path, new, headers).status == 403, (path, role)
    panel = f"/admin/accounts/user/{key}"
    form = {"email": "a@b.example", "name": "x", "username": "", "role": "viewer", "is_active": "",
            "post": "yes", "confirmed": "yes", "_save": "Save"}  # fmt: skip
    for page in ("/change/", "/delete/", "/password/"):
        browser.post(panel + page, form)
    actions = site.drive(
        "from accounts.admin.site import site\nfrom django.test import RequestFactory\n"
        "request = RequestFactory().get('/')\n"
        f"request.user = User.objects.get(email={email!r})\n"
        "result = sorted(site._registry[User].get_actions(request))"
    )
    assert len(actions) >= 5
    for action in actions:
        ticked = {"action": action, "index": "0", "_selected_action": key, "confirmed": "yes",
                  "post": "yes", "role": "viewer", "reason": "x", "duration": "1"}  # fmt: skip
        answer = browser.post("/admin/accounts/user/", ticked)
        assert answer.status < 500, action
        assert "/magic-link/" not in answer.text, action

    assert record(site, key) == before
    assert there.get("/account/").status == 200
    made = (
        f"result = User.objects.filter(email__endswith={email!r}).exclude(email={email!r}).count()"
    )
    assert site.drive(made) == 0


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_users_without_management_rights_see_no_other_users(site: Site, role: str) -> None:
    email, other = site.user(role), site.user("viewer")
    browser, key = site.signed_in(email), key_of(site, other)
    before = record(site, key)

    for path in ("users", f"users/{key}", "invitations", "audit-events", "moderation/bans",
                 "moderation/violations"):  # fmt: skip
        assert browser.send("GET", f"/api/v1/{path}").status == 403, path
    for method, path, body in BY_API:
        said = browser.send(method, f"/api/v1/users/{key}{path}", body, csrf(browser))
        assert said.status == 403, path
    for page in ("/admin/", "/admin/accounts/user/", f"/admin/accounts/user/{key}/change/",
                 "/settings/workspace/users"):  # fmt: skip
        assert other not in browser.get(page).text
    assert record(site, key) == before


def test_no_header_query_or_cookie_turns_sign_in_off(site: Site) -> None:
    asking = [{"X-Anonymous-Mode": "true"}, {"Anonymous-Mode": "1"}, {"X-Auth-Backend": "none"},
              {"Remote-User": "admin"}, {"X-Forwarded-User": "admin"}, {"X-Remote-Role": "owner"},
              {"Authorization": "Anonymous"}]  # fmt: skip
    for headers in asking:
        visitor = site.visitor({"anonymous_mode": "true", "ANONYMOUS_MODE": "1"})
        page = visitor.get("/account/?anonymous_mode=true&ANONYMOUS_MODE=1", headers)
        assert page.headers["location"].startswith("/sign-in"), headers
        said = visitor.send("GET", "/api/v1/me?anonymous_mode=true", None, headers)
        assert said.status == 401, headers
        assert site.proxied_app.ask("/?anonymous_mode=true", headers).status == 401, headers


def test_an_action_without_csrf_token_or_reauthentication_does_nothing(site: Site) -> None:
    email, other = site.user("admin"), site.user("viewer")
    browser, key = site.signed_in(email), key_of(site, other)
    before = record(site, key)
    ticked = {"action": "delete_selected", "index": "0", "_selected_action": key, "post": "yes"}

    bad = browser.request(
        "POST", "/admin/accounts/user/", {**ticked, "csrfmiddlewaretoken": "x" * 64}
    )
    assert bad.status == 403
    foreign = browser.request(
        "POST", "/admin/accounts/user/", ticked, {"Origin": "https://evil.example"}
    )
    assert foreign.status == 403
    without = browser.send("DELETE", f"/api/v1/users/{key}", None, {"Origin": URL})
    assert (without.status, json.loads(without.text)["code"]) == (403, "csrf_failed")
    # The sign-in is no longer fresh.
    cookie = browser.cookies["__Host-gatehouse_session"]
    site.drive(
        "from accounts.sessions.store import SessionStore\n"
        "from accounts.sessions.reauthentication import AUTHENTICATED_AT\n"
        f"session = SessionStore({cookie!r})\n"
        "session[AUTHENTICATED_AT] = (now() - timedelta(days=1)).isoformat()\nsession.save()"
    )
    stale = browser.send("POST", f"/api/v1/users/{key}/magic-link", {}, csrf(browser))
    assert (stale.status, json.loads(stale.text)["code"]) == (403, "confirmation_needed")
    again = browser.post("/admin/accounts/user/", ticked)
    assert again.headers["location"].startswith("/confirm?next=")
    assert record(site, key) == before


def test_no_url_of_the_admin_causes_an_error(site: Site) -> None:
    """What PostgreSQL does not take, SQLite does, and the other way round."""
    browser = site.signed_in(site.user("owner"))
    odd = ["q=%00", "q=%ff", "q=%ed%a0%80", "o=999.1", "p=99999999999999999999", "id=%00",
           "created_at__year=99999", "source__regex=(", "created=%00", "next=%00"]  # fmt: skip
    for table in ("accounts/user", "magiclinks/loginlink", "forward_auth/denial", "moderation/ban"):
        for query in odd:
            answer = browser.get(f"/admin/{table}/?{query}")
            assert answer.status in {200, 302, 400}, (table, query)
        for page in ("%00/change/", "%ff/change/", "%00/delete/", "9999999999999999/change/"):
            assert browser.get(f"/admin/{table}/{page}").status in {302, 400, 403}, (table, page)

"""The fast path responds as Django does, in every state."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.http import parse_cookie
from django.test import Client, RequestFactory, override_settings
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.access_policy import DenialReason
from accounts.actors import ANONYMOUS_ID
from accounts.models import BrowserSession, Group, Membership, User
from accounts.roles import Role
from accounts.services.anonymous import sync_anonymous_user
from accounts.sessions.store import SIGNED_IN_AT, SessionStore
from api.models import ApiKey, TokenFamily
from api.tokens import refresh_tokens
from core.invalidation.data_version import current_data_version
from core.web.request_context import RequestContext, use_context
from forward_auth import authentication
from forward_auth.authentication import (
    FastPathUnsupported,
    authenticate,
    extract_credentials,
)
from forward_auth.cache import CheckResult, credential_key
from forward_auth.checker import Checker
from forward_auth.conf import options
from forward_auth.decisions import AuthFailure, Principal
from forward_auth.django_authentication import authenticate_with_django
from forward_auth.models import AccessRule
from forward_auth.services.cookies import issue_forward_auth_cookie
from mfa.models import Authenticator
from moderation.models import Ban
from tests.api.keys import made
from tests.forward_auth.credentials import OF_APPS, key_at

pytestmark = pytest.mark.django_db
NOW = timezone.now
HOST = "app.example.com"
SHIPPED = ["moderation.access_checks.get_user_denial"]
CLOSED, OPEN = f"{__name__}.sign_in_required", f"{__name__}.sign_in_not_required"
Environ = dict[str, Any]

DAYS = st.sampled_from([None, timedelta(days=-1), timedelta(seconds=-1), timedelta(days=1)])
USERS = st.fixed_dictionaries({
    "role": st.sampled_from(list(Role)),
    "is_active": st.sampled_from([True, True, True, False]),
    "setup_completed": st.sampled_from([True, True, True, False]),
    "verified": st.booleans(),
    "credentials_valid_from": DAYS,
    "keys_valid_from": DAYS,
    "expires_at": st.one_of(st.none(), DAYS),
    "role_until": st.one_of(st.none(), DAYS),
    "role_after": st.sampled_from(list(Role)),
    "ban": st.sampled_from(["", "", "", "now", "over", "lifted", "endless"]),
    "new_password": st.sampled_from([False, False, True]),
    "has_factor": st.booleans(),
    "is_service": st.sampled_from([False, False, True]),
    "groups": st.lists(st.tuples(st.sampled_from(["finance", "staff"]), DAYS), max_size=3),
})  # fmt: skip
# Credentials of apps behind the proxy, and no credential at all.
BESIDE = st.sampled_from([
    {}, {}, {}, *OF_APPS, {"HTTP_COOKIE": "gatehouse_session=stale"},
])  # fmt: skip
CREDENTIALS = st.fixed_dictionaries({
    "kind": st.sampled_from(["key", "token", "session", "gate", "none"]),
    "place": st.sampled_from(["x-api-key", "bearer", "basic"]),
    "expires": DAYS,
    "is_ended": st.sampled_from([False, False, True]),
    "is_spoilt": st.sampled_from([False, False, False, True]),
    "scopes": st.lists(st.sampled_from(["read", "write", "users", "service"]), unique=True),
    "networks": st.sampled_from([[], [], ["127.0.0.0/8"], ["203.0.113.0/24"]]),
    "of_session": st.sampled_from(["no", "no", "live", "over"]),
    "signed_in": st.sampled_from([timedelta(0), timedelta(days=-400)]),
})  # fmt: skip
REQUESTS = st.fixed_dictionaries({
    "method": st.sampled_from(["GET", "HEAD", "POST", "DELETE", "", "PROPFIND", "QUERY", "MKCOL"]),
    "url": st.sampled_from([
        *("/", "/open/x", "/shut", "/admin/a", "/a%2e%2e/b", "", "/openly", "//shut", "/open//x"),
        *("/ledger", "/ledger/x", "//ledger"),
        *("/open/..;/admin", "/a%2Fshut", "/shut%2Fx", "/%C3%BC", "/\xc3\xbc", "/\xff", "/100%25"),
    ]),
    "style": st.sampled_from(["nginx", "nginx", "caddy", "mixed", "empty"]),
    "query": st.sampled_from(["", "role=admin", "role=viewer", "role=root", "role="]),
})  # fmt: skip
# A credential that nothing is wrong with.
PLAIN = {
    "place": "x-api-key", "expires": timedelta(days=1), "is_ended": False, "is_spoilt": False,
    "scopes": ["read"], "networks": [], "of_session": "no", "signed_in": timedelta(0),
}  # fmt: skip
# ACCESS_CHECKS with and without the built-in check, and further ones.
ACCESS_CHECKS = st.sampled_from(
    [*[SHIPPED] * 3, [*SHIPPED, CLOSED], [CLOSED], [*SHIPPED, OPEN], []]
)


def sign_in_required(_user: User) -> DenialReason:
    """A custom access check."""
    return DenialReason("strike", "Not today.")


def sign_in_not_required(_user: User) -> None:
    """Another one."""


@pytest.fixture(autouse=True)
def apps_domain(settings: Any) -> None:
    settings.FORWARD_AUTH_DOMAIN = "example.com"


@pytest.fixture
def rules(db: None, settings: Any, make_user: Callable[..., User]) -> None:
    # The signing key: what processes remember of it outlives an example, and so must its row.
    refresh_tokens.start_by_password(make_user("viewer", "first@example.com"), NOW())
    settings.MFA_REQUIRED_ROLES = ("admin",)
    rows = [("open", "public", "viewer", "/open"), ("shut", "deny", "viewer", "/shut"),
            ("admins", "role", "admin", "/admin"),
            ("finance", "role", "viewer", "/ledger")]  # fmt: skip
    finance, _staff = Group.objects.bulk_create([Group(name="finance"), Group(name="staff")])
    for position, (name, effect, role, path) in enumerate(rows):
        AccessRule.objects.create(
            position=position,
            name=name,
            effect=effect,
            role=role,
            path=path,
            host="app.example.com",
            group_ids=[str(finance.pk)] if name == "finance" else [],
        )


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    person=USERS, credential=CREDENTIALS, beside=BESIDE, asked=REQUESTS, access_checks=ACCESS_CHECKS
)
def test_fast_path_and_django_give_the_same_response(
    rules: None,
    make_user: Callable[..., User],
    person: Any,
    credential: Any,
    beside: Environ,
    asked: Any,
    access_checks: list[str],
) -> None:
    with transaction.atomic(), override_settings(ACCESS_CHECKS=access_checks):
        user = make_user("viewer", "p@example.com", password=None)
        environ = _environ(asked) | _together(beside, _offer(user, credential))
        _change(user, person)
        checker = Checker(current_data_version)
        # From the database, from what is known of the credential, from what was said before.
        answers = [_short(checker, environ) for _time in range(3)]
        long = _long(environ)
        transaction.set_rollback(True)

    for short in answers:
        assert short is None or _said(short) == _said(long)
    is_shipped = access_checks == SHIPPED
    # A session beside a credential is Django's work, and so is what has to be written.
    by_django = credential["kind"] in ("session", "gate") or "HTTP_COOKIE" in beside
    assert answers[0] is not None or not is_shipped or by_django
    if CLOSED in access_checks:
        assert long.decision.principal is None


def _short(checker: Checker, environ: Environ) -> CheckResult | None:
    try:
        return checker.check(environ)
    except FastPathUnsupported:
        return None


def _long(environ: Environ) -> CheckResult:
    request = RequestFactory().get("/auth/check")
    request.META.update(environ)
    request.COOKIES.update(parse_cookie(environ.get("HTTP_COOKIE", "")))
    with use_context(RequestContext(ip=environ["REMOTE_ADDR"], channel="web")):
        return Checker(current_data_version).decide(environ, authenticate_with_django(request))


def _said(checked: CheckResult) -> Any:
    """Everything that anybody outside can see."""
    code = checked.decision.code
    return checked.decision.status, code, checked.decision.requirement, checked.headers


def _environ(asked: Any) -> Environ:
    """As proxies say it: nginx, Caddy, one with the method of nginx, and one that is unreadable."""
    method, uri = asked["method"], asked["url"]
    original = {"HTTP_X_ORIGINAL_METHOD": method}
    forwarded = {
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": HOST,
        "HTTP_X_FORWARDED_URI": uri,
    }
    said = {
        "nginx": {"HTTP_X_ORIGINAL_URL": f"https://{HOST}{uri}", **original},
        "caddy": {**forwarded, "HTTP_X_FORWARDED_METHOD": method},
        "mixed": {**forwarded, **original},
        "empty": {**forwarded, "HTTP_X_ORIGINAL_URL": "", **original},
    }
    base = {"REMOTE_ADDR": "127.0.0.1", "QUERY_STRING": asked["query"]}
    return base | said[asked["style"]]


def _offer(user: User, credential: Any) -> Environ:
    match credential["kind"]:
        case "key":
            return key_at(credential["place"], _spoilt(_key(user, credential), credential))
        case "token":
            return {"HTTP_AUTHORIZATION": f"Bearer {_spoilt(_token(user, credential), credential)}"}
        case "session":
            cookie = _spoilt(_session(user, credential), credential)
            return {"HTTP_COOKIE": f"gatehouse_session={cookie}"}
        case "gate":
            cookie = _spoilt(_app_cookie(user, credential), credential)
            return {"HTTP_COOKIE": f"gatehouse_gate={cookie}"}
    return {}


def _together(beside: Environ, offer: Environ) -> Environ:
    """Both, with the cookies in one line."""
    cookies = [each["HTTP_COOKIE"] for each in (beside, offer) if "HTTP_COOKIE" in each]
    names = [cookie.partition("=")[0] for cookie in cookies]
    if len(set(names)) < len(names):
        return offer
    return beside | offer | ({"HTTP_COOKIE": "; ".join(cookies)} if cookies else {})


def _spoilt(text: str, credential: Any) -> str:
    return text[:-1] + ("A" if text[-1] != "A" else "B") if credential["is_spoilt"] else text


def _end(credential: Any) -> Any:
    return NOW() + (credential["expires"] or timedelta(days=1))


def _key(user: User, credential: Any) -> str:
    issued = made(user)
    ApiKey.objects.update(
        scopes=credential["scopes"],
        networks=credential["networks"],
        expires_at=None if credential["expires"] is None else _end(credential),
        revoked_at=NOW() if credential["is_ended"] else None,
    )
    return issued.text


def _token(user: User, credential: Any) -> str:
    pair = refresh_tokens.start_by_password(user, NOW())
    session_id = None
    if credential["of_session"] != "no":
        _session(user, {**credential, "expires": None, "is_ended": False})
        row = BrowserSession.objects.get()
        if credential["of_session"] == "over":
            BrowserSession.objects.update(expire_date=NOW() - timedelta(seconds=1))
        session_id = row.public_id
    TokenFamily.objects.update(
        expires_at=_end(credential),
        ended_at=NOW() if credential["is_ended"] else None,
        session_id=session_id,
    )
    return pair.access


def _app_cookie(user: User, credential: Any) -> str:
    key = _session(user, {**credential, "is_ended": False})
    token = issue_forward_auth_cookie(key)
    if credential["is_ended"]:
        BrowserSession.objects.all().delete()
    return token


def _session(user: User, credential: Any) -> str:
    client = Client()
    client.force_login(user)
    key = client.session.session_key
    assert key is not None
    store = SessionStore(key)
    store[SIGNED_IN_AT] = (NOW() + credential["signed_in"]).isoformat()
    store.save()
    BrowserSession.objects.update(expire_date=_end(credential))
    if credential["is_ended"]:
        BrowserSession.objects.all().delete()
    return key


def _join(user: User, groups: Any) -> None:
    for number, (name, end) in enumerate(groups):
        Membership.objects.create(
            user=user,
            group=Group.objects.get(name=name),
            source=f"provider:{number}",
            until=None if end is None else NOW() + end,
        )


def _change(user: User, person: Any) -> None:
    changed = {name: person[name] for name in ("role", "is_active", "setup_completed")}
    changed["email_verified_at"] = NOW() if person["verified"] else None
    for name in ("expires_at", "role_until"):
        changed[name] = None if person[name] is None else NOW() + person[name]
    changed["role_after"] = "" if person["role_until"] is None else person["role_after"]
    for name in ("credentials_valid_from", "keys_valid_from"):
        if person[name] is not None:
            changed[name] = NOW() + person[name]
    if person["has_factor"]:
        Authenticator.objects.create(user=user, kind="totp", name="phone")
    if person["is_service"] and Role.OWNER not in (person["role"], changed["role_after"]):
        changed |= {"kind": "service", "email": "bot", "username": "bot", "last_login": None}
        changed |= {"email_verified_at": None, "setup_completed": True, "responsible_id": user.pk}
    elif person["new_password"]:
        user.set_password("another horse battery staple")
        changed["password"] = user.password
    User.objects.filter(pk=user.pk).update(**changed)
    _join(user, person["groups"])
    if person["ban"]:
        until = {"endless": None, "over": NOW() - timedelta(seconds=1)}
        Ban.objects.create(
            user=user, kind="manual", created_at=NOW(),
            until=until.get(person["ban"], NOW() + timedelta(hours=1)),
            lifted_at=NOW() if person["ban"] == "lifted" else None,
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["key", "token", "session", "gate"])
@pytest.mark.parametrize("subject", ["account", "role", "group"])
@pytest.mark.parametrize("role", [Role.EDITOR, Role.ADMIN])
def test_no_answer_is_remembered_past_an_end(
    rules: None, make_user: Callable[..., User], kind: str, subject: str, role: Role
) -> None:
    """A role that lets in, and one (admin) that is refused for a missing second factor."""
    user = make_user("viewer", "p@example.com")
    plain = PLAIN | {"kind": kind}
    url = "/ledger" if subject == "group" else "/"
    asked = {"method": "GET", "url": url, "style": "nginx", "query": ""}
    environ = _environ(asked) | _offer(user, plain)
    # Whole seconds, because SQLite tells times to some microseconds.
    end = NOW().replace(microsecond=0) + timedelta(seconds=4)
    ends: dict[str, Any] = {
        "account": {"expires_at": end},
        "role": {"role_until": end, "role_after": "none"},
        "group": {},
    }[subject]
    if subject == "group":
        finance = Group.objects.get(name="finance")
        Membership.objects.create(user=user, group=finance, until=end)
    User.objects.filter(pk=user.pk).update(role=role, **ends)
    checker = Checker(current_data_version)

    answers = [checker.check(environ) for _time in range(3)]

    is_let_in = role == Role.EDITOR or kind == "key"
    refused = 401 if kind in ("session", "gate") else 403
    assert [answer.decision.status for answer in answers] == [204 if is_let_in else refused] * 3
    generation = checker._generation
    caches = (generation.good, generation.bad, generation.results)
    remembered = [until for cache in caches for until, _value in cache._values.values()]
    assert len(remembered) == 2
    assert max(remembered) <= end.timestamp() + 0.001
    _said_of, text = next(iter(extract_credentials(environ, options(), lambda _text: True)))
    later = authenticate(_said_of, text, credential_key(_said_of, text), end.timestamp() + 0.001)
    if subject == "account":
        expected = {"key": "account_expired", "token": "account_expired"}
        assert isinstance(later, AuthFailure)
        assert later.code == expected.get(kind, "not_authenticated")
    elif subject == "group":
        assert getattr(later, "groups", ()) == ()
    else:
        assert isinstance(later, Principal)
        assert later.role == Role.NONE


@pytest.mark.parametrize(
    ("kind", "column", "is_over"),
    [
        ("key", "expires_at", True),
        ("token", "expires_at", True),
        ("token", "session_end", True),
        ("session", "expires_at", True),
        # The longest time of a session, which SessionStore.is_past_absolute_end() has in full.
        ("session", "created_at", False),
    ],
)
def test_a_credential_ends_at_its_moment(
    make_user: Callable[..., User],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    column: str,
    is_over: bool,
) -> None:
    offer = _offer(make_user("viewer", "p@example.com"), PLAIN | {"kind": kind})
    (told, text), *_none = extract_credentials(offer, options(), lambda _text: True)
    end = NOW().timestamp() + 4
    time = end - options().session_seconds if column == "created_at" else end
    find_credential = authentication.find_credential

    def find_exactly(kind: str, key: str) -> Any:
        """SQLite tells times to some microseconds only."""
        row, owner = find_credential(kind, key) or (None, None)
        of_session = {"session_id": uuid4()} if column == "session_end" else {}
        return row and (replace(row, **{column: time}, **of_session), owner)

    monkeypatch.setattr(authentication, "find_credential", find_exactly)

    key = credential_key(told, text)
    found = [authenticate(told, text, key, end + seconds) for seconds in (-0.01, 0, 0.01)]

    assert [isinstance(each, Principal) for each in found] == [True, not is_over, False]


@pytest.mark.parametrize(
    ("role", "scopes", "reading", "writing"),
    [
        ("editor", [], 403, 403),
        ("editor", ["read"], 204, 403),
        ("editor", ["write"], 403, 204),
        ("editor", ["read", "write"], 204, 204),
        # No scope gives more than the role of the owner.
        ("viewer", ["read", "write"], 204, 403),
    ],
)
def test_a_key_is_limited_to_its_scopes_and_the_role_of_its_owner(
    rules: None,
    make_user: Callable[..., User],
    role: str,
    scopes: list[str],
    reading: int,
    writing: int,
) -> None:
    offer = _offer(make_user(role, "p@example.com"), PLAIN | {"kind": "key", "scopes": scopes})
    found = {}
    for method in ("GET", "POST"):
        environ = offer | _environ({"method": method, "url": "/", "style": "nginx", "query": ""})
        results = _short(Checker(current_data_version), environ), _long(environ)
        found[method] = [each and each.decision.status for each in results]

    assert found == {"GET": [reading] * 2, "POST": [writing] * 2}


@pytest.mark.parametrize("cookie", ["", "stale"])
@pytest.mark.parametrize("is_on", [False, True])
def test_with_sign_in_off_a_request_without_credential_is_the_anonymous_user(
    db: None, settings: Any, client: Client, is_on: bool, cookie: str
) -> None:
    client.cookies[options().forward_auth_cookie] = cookie
    settings.ANONYMOUS_ROLE, settings.ANONYMOUS_SETTINGS = (Role.EDITOR if is_on else None), ()
    sync_anonymous_user()

    answer = client.get("/auth/check", headers={"x-forwarded-method": "POST"})

    assert answer.status_code == (204 if is_on else 401)
    assert answer.get("Remote-Groups", "") == ("editor" if is_on else "")


def test_a_key_of_the_anonymous_user_works_only_while_sign_in_is_off(
    db: None, settings: Any
) -> None:
    settings.ANONYMOUS_ROLE, settings.ANONYMOUS_SETTINGS = Role.EDITOR, ()
    sync_anonymous_user()
    key = made(User.all_objects.get(pk=ANONYMOUS_ID)).text

    found = []
    for role in (Role.EDITOR, Role.VIEWER, None):
        settings.ANONYMOUS_ROLE = role
        found.append(authenticate("key", key, "", NOW().timestamp()))

    assert [isinstance(each, Principal) for each in found] == [True, False, False]
    assert [getattr(each, "code", "") for each in found[1:]] == ["account_disabled"] * 2

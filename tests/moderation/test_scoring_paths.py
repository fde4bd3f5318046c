"""Every path that scores, and those that must not: what the visitor did not cause."""

import ast
import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.models import User
from accounts.rate_limits import SCORED
from api.apikeys import key_format
from federation.ldap.failures import DirectoryError, Failures
from mail.models import OutboxMail
from moderation import signal_handlers
from moderation.models import Ban, Score, Violation
from tests.architecture.sources import APPS, ROOT
from tests.conftest import PASSWORD
from tests.moderation.conftest import AWAY

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
COUNTING = {"check_rate_limit", "check_mfa_rate_limit", "record_violation"}
# Each call that can score: module and function -> scopes. A new one has to be weighed and named.
# All of them want a form's token, or JSON that a foreign page may not send.
CALLS = {
    ("operations/demo/activity.py", "_violate_as"): ["record_violation"],
    ("operations/demo/activity.py", "_violate_from"): ["record_violation"],
    ("accounts/services/verification.py", "request_email_change"): ["sign-in", "verify-email"],
    ("accounts/services/verification.py", "resend_verification"): ["verify-email"],
    ("accounts/views/passwords.py", "check_own_password"): ["sign-in"],
    ("accounts/views/passwords.py", "change_password"): ["sign-in"],
    ("accounts/views/account.py", "delete"): ["sign-in"],
    ("accounts/views/email.py", "verify_email"): ["sign-in"],
    ("mfa/views/reauthenticate.py", "_by_password"): ["sign-in"],
    ("mfa/views/totp_setup.py", "check"): ["second-factor"],
    ("accounts/views/registration.py", "_check_sign_up"): ["sign-up"],
    ("accounts/views/passwords.py", "forgot_password"): ["reset-password"],
    ("accounts/views/login.py", "sign_in"): ["sign-in"],
    ("accounts/views/registration.py", "sign_up"): ["sign-up"],
    ("mfa/views/passkeys.py", "sign_in"): ["passkey"],
    ("mfa/views/verification.py", "verify_by_form"): ["second-factor"],
    ("mfa/views/totp_setup.py", "confirm_by_form"): ["second-factor"],
    ("api/tokens/password_grant.py", "_require_second_factor"): ["second-factor"],
    ("api/tokens/password_grant.py", "sign_in_by_password"): ["sign-in"],
    ("api/views/links.py", "post"): ["magic-link"],
    ("api/views/me.py", "delete"): ["sign-in"],
    ("magiclinks/views.py", "request_link"): ["magic-link"],
    # Reports of apps and administrators.
    ("api/views/moderation.py", "post"): ["record_violation"],
    ("moderation/signal_handlers.py", "score_exceeded_limit"): ["record_violation"],
    ("moderation/services/actions.py", "_record"): ["record_violation"],
}


def calls_of(path: Path) -> Iterator[tuple[str, str]]:
    """(function, scope) of each call that counts; record_violation() is a scope of its own."""
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        for call in ast.walk(function):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if name == "check_rate_limit":
                scope = call.args[1]
                yield function.name, getattr(scope, "value", getattr(scope, "id", "")).lower()
            elif name in COUNTING:
                yield function.name, {"check_mfa_rate_limit": "second-factor"}.get(name, name)


def test_every_path_that_scores_is_known() -> None:
    found: dict[tuple[str, str], list[str]] = {}
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            for function, scope in calls_of(path):
                if scope in SCORED or scope == "record_violation":
                    key = (str(path.relative_to(ROOT)), function)
                    found.setdefault(key, []).append(scope)

    assert {key: sorted(set(scopes)) for key, scopes in found.items()} == CALLS


def test_only_scoring_paths_have_a_violation_type(settings: Any) -> None:
    assert set(signal_handlers.TYPES) == SCORED
    assert set(settings.LIMITS) - SCORED == {
        "api-key", "app-credentials", "app-registrations", "app-requests", "callback",
        "device-code",
        "passkey-options", "provider", "recipient", "sign-in-account",
    }  # fmt: skip


# What a foreign page can send

FIELDS = {
    "login": "viewer@example.com",
    "email": "viewer@example.com",
    "password": PASSWORD + "x",
    "name": "N",
    "code": "123456",
    "otp": "123456",
    "purpose": "sign-in",
    "state": "x",
    "text": "x",
}
OTHER_ORIGIN = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
VALUES = {"uuid": "0190f5d4-0000-7000-8000-000000000000", "int": "1", "slug": "openid"}


def paths(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[str]:
    """Every path of ours, its places filled."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            yield from paths(pattern, prefix + filled(pattern))
        elif isinstance(pattern, URLPattern):
            yield prefix + filled(pattern)


def filled(pattern: URLPattern | URLResolver) -> str:
    text = str(pattern.pattern)
    for name, converter in pattern.pattern.converters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower()
        value = VALUES.get(kind, "x")
        for spelled in (f"<{kind}:{name}>", f"<{name}>"):
            text = text.replace(spelled, value)
    return text.replace("^", "").replace("$", "")


ALL_PATHS = sorted({path for path in paths() if "(?P" not in path and "\\" not in path})


@pytest.fixture
def tight(settings: Any) -> None:
    """Each limit is exceeded by the second attempt, and each violation bans."""
    settings.LIMITS = dict.fromkeys(settings.LIMITS, (1, timedelta(minutes=5)))
    settings.BAN_INTERVAL = 1
    settings.CORS_ALLOW_ALL_ORIGINS = True


def assert_nothing_counts() -> None:
    assert (Violation.objects.count(), Score.objects.count(), Ban.objects.count()) == (0, 0, 0)


def test_the_test_visits_every_form() -> None:
    forms = {"/sign-in", "/sign-up", "/magic-link", "/password/forgot", "/api/v1/auth/token",
             "/oauth/openid/callback", "/sign-in/passkey", "/auth/check"}  # fmt: skip

    assert forms <= set(ALL_PATHS)


@pytest.mark.usefixtures("tight")
def test_get_requests_are_not_scored(viewer: User, browser_of: Any) -> None:
    """Images of foreign pages, previews, scanners, restored tabs; signed in and not."""
    key = b64encode(f"x:{key_format.make().text}".encode()).decode()
    people = [
        Client(headers={"host": "localhost:8000"}, REMOTE_ADDR=AWAY),
        Client(headers={"authorization": f"Basic {key}"}, REMOTE_ADDR=AWAY),
        Client(headers={"x-api-key": key_format.make().text}, REMOTE_ADDR=AWAY),
        browser_of(viewer),
    ]

    for path in ALL_PATHS:
        for person in people:
            for _ in range(2):
                person.get(path, {"state": "x", "code": "x", "error": "x"})
            person.head(path)
            person.options(path)
    assert_nothing_counts()


@pytest.mark.usefixtures("tight")
def test_cross_site_forms_are_not_scored(viewer: User, browser_of: Any) -> None:
    signed_in = browser_of(viewer)
    signed_in.handler.enforce_csrf_checks = True
    people = [Client(enforce_csrf_checks=True, headers=OTHER_ORIGIN, REMOTE_ADDR=AWAY), signed_in]

    for path in ALL_PATHS:
        for person in people:
            for _ in range(2):
                person.post(path, FIELDS, headers=OTHER_ORIGIN)
            for kind in ("text/plain", "application/json", ""):
                sent = json.dumps(FIELDS)
                person.generic("POST", path, sent, content_type=kind, headers=OTHER_ORIGIN)

    assert_nothing_counts()


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize(
    "headers",
    [
        OTHER_ORIGIN,
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
def test_cross_site_json_is_limited_but_never_scored(headers: dict[str, str]) -> None:
    client = Client(headers=headers, REMOTE_ADDR=AWAY)
    body = {"email": "viewer@example.com", "password": "wrong words in a row"}

    codes = [
        client.post("/api/v1/auth/token", body, content_type="application/json").status_code
        for _ in range(3)
    ]

    assert codes == [401, 429, 429]
    assert_nothing_counts()


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
)
def test_programs_and_own_pages_are_scored(headers: dict[str, str]) -> None:
    client = Client(headers=headers, REMOTE_ADDR=AWAY)
    body = {"email": "viewer@example.com", "password": "wrong words in a row"}

    for _ in range(2):
        client.post("/api/v1/auth/token", body, content_type="application/json")

    assert [(row.type, row.network) for row in Violation.objects.all()] == [("login", AWAY)]


# What a server that is down can cause


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize("path", ["/sign-in", "/api/v1/auth/token"])
def test_failures_while_the_directory_is_down_are_not_scored(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def down(*_asked: object) -> None:
        raise DirectoryError(Failures.NO_ANSWER)

    monkeypatch.setattr("accounts.views.login.find_by_credentials", down)
    monkeypatch.setattr("api.tokens.password_grant.find_by_credentials", down)
    client = Client(REMOTE_ADDR=AWAY)
    fields: Any = {"login": "ada", "email": "ada", "password": PASSWORD}
    options = {} if path == "/sign-in" else {"content_type": "application/json"}

    codes = [client.post(path, fields, **options).status_code for _ in range(30)]

    assert codes == [503] + [429] * 29
    assert_nothing_counts()


@pytest.fixture
def waiting_mail(viewer: User) -> OutboxMail:
    return OutboxMail.objects.create(
        recipient=viewer.email, kind="x", created_at=timezone.now() - timedelta(minutes=2)
    )


@pytest.mark.usefixtures("tight", "waiting_mail")
@pytest.mark.parametrize("path", ["/magic-link", "/password/forgot"])
def test_repeated_requests_while_mail_is_down_are_not_scored(path: str) -> None:
    client = Client(REMOTE_ADDR=AWAY)

    codes = [client.post(path, {"email": "viewer@example.com"}).status_code for _ in range(30)]

    assert codes == [200] + [429] * 29
    assert_nothing_counts()


@pytest.mark.usefixtures("tight")
def test_one_failing_mailbox_does_not_stop_scoring(waiting_mail: OutboxMail) -> None:
    waiting_mail.pk, waiting_mail.status = None, OutboxMail.Status.SENT
    waiting_mail.id = OutboxMail().id
    waiting_mail.save(force_insert=True)
    client = Client(REMOTE_ADDR=AWAY)

    for _ in range(2):
        client.post("/magic-link", {"email": "viewer@example.com"})

    assert [row.type for row in Violation.objects.all()] == ["magic_link"]


@pytest.mark.usefixtures("tight")
def test_a_repeated_sign_in_before_verification_counts_once(
    make_user: Any, settings: Any, mails: Any
) -> None:
    settings.LIMITS = settings.LIMITS | {
        "sign-in": (50, timedelta(minutes=5)),
        "sign-in-client": (50, timedelta(1)),
    }
    settings.LIMITS = settings.LIMITS | {"sign-in-account": (50, timedelta(minutes=5))}
    user = make_user(is_verified=False)
    client = Client(REMOTE_ADDR=AWAY)

    for _ in range(30):
        client.post("/sign-in", {"login": user.email, "password": PASSWORD})

    assert [mail.kind for mail in mails()] == ["verify-email"]
    assert_nothing_counts()

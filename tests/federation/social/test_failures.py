"""Failed sign-ins by a provider: the page, the audit row, and no session."""

import json
import re
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from federation.oidc import authorization_request
from federation.role_mapping import ClaimPath, Requirement, RoleMapping
from tests.federation.social.conftest import LABELS, begin, call_callback, is_signed_in, sign_in

pytestmark = pytest.mark.django_db
KINDS = tuple(LABELS)
LARGE = b'{"x": "' + b"x" * 600_000 + b'"}'


def heading(answer) -> str:
    return re.findall(r"<h1>([^<]*)</h1>", answer.content.decode())[0].strip()


def refused(answer, stranger, status: int, title: str) -> None:
    """The page says so, and no one is signed in."""
    assert (answer.status_code, heading(answer)) == (status, title)
    assert "What you can do" in answer.content.decode()
    assert not is_signed_in(stranger)


def last_event() -> AuditEvent:
    return AuditEvent.objects.filter(action__startswith="account:").latest("seq")


@pytest.mark.parametrize("kind", KINDS)
def test_a_denied_consent_is_shown_as_such(kind, offer, double, stranger, owner) -> None:
    offer(kind)
    to, answer = double.agree(begin(stranger, kind))
    no = {"error": "access_denied", "state": answer["state"], "error_description": "<b>x</b>"}
    shown = call_callback(stranger, to, no, kind)
    refused(shown, stranger, 403, "You stopped the sign-in")
    assert b"<b>x" not in shown.content
    event = last_event()
    assert (event.result, event.detail["provider"]) == ("refused", kind)
    assert ExternalIdentity.objects.count() == 0


@pytest.mark.parametrize(
    ("error", "status", "heading"),
    [
        ("login_required", 403, "wants you to sign in there first"),
        ("interaction_required", 403, "wants you to sign in there first"),
        ("consent_required", 403, "wants you to sign in there first"),
        ("temporarily_unavailable", 503, "is not available at the moment"),
        ("server_error", 502, "reports an error"),
    ],
)
def test_errors_of_the_provider_are_shown_as_such(
    offer, double, stranger, owner, error: str, status: int, heading: str
) -> None:
    offer("github")
    to, answer = double.agree(begin(stranger, "github"))
    shown = call_callback(stranger, to, {"error": error, "state": answer["state"]}, "github")

    assert shown.status_code == status
    assert heading in shown.content.decode()
    assert "You stopped the sign-in" not in shown.content.decode()
    assert not is_signed_in(stranger)


def _without_state(answer, _browser, _double):
    return {"code": answer["code"]}


def _empty_state(answer, browser, _double):
    browser.cookies.clear()
    return {**answer, "state": ""}


def _state_of_another_browser(_answer, _browser, double):
    return double.agree(begin(Client(headers={"host": "localhost:8000"}), "google"))[1]


def _state_of_another_provider(_answer, browser, double):
    return double.agree(begin(browser, "github"))[1]


def _another_state(answer, _browser, _double):
    return {**answer, "state": "x" * 43}


@pytest.mark.parametrize(
    "change",
    [
        _without_state,
        _empty_state,
        _state_of_another_browser,
        _state_of_another_provider,
        _another_state,
    ],
)
def test_an_unsolicited_answer_is_rejected(change, offer, double, stranger, owner) -> None:
    offer("google", "github")
    _to, answer = double.agree(begin(stranger, "google"))
    shown = stranger.get("/oauth/google/callback", change(answer, stranger, double))
    refused(shown, stranger, 400, "This sign-in is over")
    assert [path for path, _form in double.asked if path.endswith("token")] == []
    assert last_event().detail["reason"].startswith("state_lost")


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_works_once(kind, offer, double, stranger, owner) -> None:
    offer(kind)
    to, answer = double.agree(begin(stranger, kind))
    waiting = stranger.cookies[authorization_request.cookie_name()].value
    call_callback(stranger, to, answer, kind)
    thief = Client(headers={"host": "localhost:8000"})
    thief.cookies[authorization_request.cookie_name()] = waiting
    shown = call_callback(thief, to, answer, kind)
    refused(shown, thief, 400, "This sign-in is over")


def test_an_answer_after_ten_minutes_is_rejected(offer, double, stranger, owner, at_time) -> None:
    offer("google")
    _to, answer = double.agree(begin(stranger, "google"))
    at_time(timedelta(minutes=10, seconds=1))
    shown = stranger.get("/oauth/google/callback", answer)
    refused(shown, stranger, 400, "This sign-in is over")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (401, b'{"error": "invalid_client"}'),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"access_token": 7}'),
        (200, b'{"access_token": "a\\r\\nX-A: b"}'),
        (200, b'{"error": "bad_verification_code"}'),
        (200, LARGE),
        (302, b"http://169.254.169.254/latest"),
    ],
)
def test_a_token_endpoint_without_a_token(
    kind, status, body, offer, double, stranger, owner
) -> None:
    offer(kind)
    double.answers[f"/{kind}/token"] = (status, body)
    shown = sign_in(stranger, double, kind)
    refused(shown, stranger, 502, f"{LABELS[kind]} reports an error")
    assert User.objects.count() == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "apple"])
@pytest.mark.parametrize(
    ("status", "body", "code", "title"),
    [
        (403, b"{}", 502, "{} reports an error"),
        (302, b"http://127.0.0.1:1/", 502, "{} reports an error"),
        (200, b"null", 502, "{} reports an error"),
        (200, b'{"email": "anna@example.org"}', 403, "The answer of {} was refused"),
        (200, b'{"id": true}', 403, "The answer of {} was refused"),
        (200, b'{"id": ""}', 403, "The answer of {} was refused"),
        (200, b'{"id": {"a": 1}}', 403, "The answer of {} was refused"),
    ],
)
def test_a_profile_without_an_id(
    kind, status, body, code, title, offer, double, stranger, owner
) -> None:
    offer(kind)
    double.answers[f"/{kind}/profile"] = (status, body)
    shown = sign_in(stranger, double, kind)
    refused(shown, stranger, code, title.format(LABELS[kind]))
    assert (User.objects.count(), ExternalIdentity.objects.count()) == (1, 0)


def test_a_silent_provider_times_out(offer, double, stranger, owner, monkeypatch) -> None:
    monkeypatch.setattr("core.http.POST_TIMEOUT_SECONDS", 0.2)
    offer("google")
    to, answer = double.agree(begin(stranger, "google"))
    double.wait.clear()
    shown = call_callback(stranger, to, answer)
    double.wait.set()
    refused(shown, stranger, 503, "Google does not answer")
    reason = last_event().detail["reason"]
    assert reason.startswith("provider_unreachable: oauth2.googleapis.com")
    assert answer["code"] not in reason


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://appleid.apple.com/"},
        {"iss": "https://evil.example"},
        {"aud": "client-other"},
        {"aud": ["client-apple", "client-other"]},
        {"nonce": "of another sign-in"},
        {"exp": 1_600_000_000},
        {"sub": ""},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
)
def test_an_apple_token_for_another_client_is_rejected(
    claims, offer, double, stranger, owner
) -> None:
    offer("apple")
    double.claims = claims
    shown = sign_in(stranger, double, "apple")
    refused(shown, stranger, 403, "The answer of Apple was refused")
    assert User.objects.count() == 1


@pytest.mark.parametrize("token", [None, 7, "", "a.b.c", "x" * 40_000])
def test_an_apple_answer_without_a_token_is_rejected(token, offer, double, stranger, owner) -> None:
    offer("apple")
    body = json.dumps({"access_token": "x", "id_token": token}).encode()
    double.answers["/apple/token"] = (200, body)
    refused(sign_in(stranger, double, "apple"), stranger, 403, "The answer of Apple was refused")


def test_a_token_signed_by_another_key_is_rejected(offer, double, stranger, owner) -> None:
    offer("apple")
    double.signing_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    refused(sign_in(stranger, double, "apple"), stranger, 403, "The answer of Apple was refused")


def test_an_unusable_key_of_apple_is_no_server_error(offer, double, stranger, owner) -> None:
    (provider,) = offer("apple")
    object.__setattr__(provider, "options", {**provider.options, "certificate_key": "no key"})
    shown = sign_in(stranger, double, "apple")
    refused(shown, stranger, 502, "Apple reports an error")


@pytest.mark.parametrize("email", ["", None, 7, "no address", "a@b@example.org"])
def test_a_user_without_an_address_gets_a_message(email, offer, double, stranger, owner) -> None:
    offer("google")
    double.users["google"]["email"] = email
    refused(sign_in(stranger, double, "google"), stranger, 403, "Your email address is missing")
    assert User.objects.count() == 1


def test_with_closed_registration_no_account_is_created(offer, double, stranger, owner) -> None:
    offer("google", allows_registration=False)
    refused(sign_in(stranger, double, "google"), stranger, 403, "You have no account here yet")
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    "email",
    [
        "u@corp.com.evil",
        "u@evil@corp.com",
        '"u@corp.com"@evil',
        "u@sub.corp.com",
        "u@xcorp.com",
        "u@corp.com\nx@evil.example",
    ],
)
def test_only_the_exact_domain_of_the_allow_list_registers(
    email, offer, double, stranger, owner, settings
) -> None:
    settings.ALLOWED_EMAILS = ("corp.com",)
    offer("google")
    double.users["google"]["email"] = email
    answer = sign_in(stranger, double, "google")
    assert (answer.status_code, User.objects.count()) == (403, 1)
    assert not is_signed_in(stranger)


@pytest.mark.parametrize(("verified", "people"), [(True, 2), (False, 1)])
def test_an_address_of_the_allow_list_counts_when_it_is_verified(
    verified, people, offer, double, stranger, owner, settings
) -> None:
    settings.ALLOWED_EMAILS = ("corp.com",)
    offer("google")
    double.users["google"] |= {"email": "U@CORP.com", "verified_email": verified}
    sign_in(stranger, double, "google")
    assert (User.objects.count(), is_signed_in(stranger)) == (people, verified)


@pytest.mark.parametrize("is_verified", [True, False])
def test_an_existing_account_is_not_taken_over(
    is_verified, offer, double, stranger, owner, make_user
) -> None:
    offer("google")
    anna = make_user(email="anna@example.org", is_verified=is_verified)
    shown = sign_in(stranger, double, "google")
    refused(shown, stranger, 403, "You have an account already")
    assert anna.identities.count() == 0
    assert b"connect Google on your account page" in shown.content


def test_a_user_who_lacks_the_requirement_gets_a_message(offer, double, stranger, owner) -> None:
    requirement = Requirement(ClaimPath("groups", "id"), frozenset({"team"}))
    offer("google", mapping=RoleMapping((requirement,), (), None))
    refused(sign_in(stranger, double, "google"), stranger, 403, "You have no access here")
    assert User.objects.count() == 1


def test_failure_pages_are_not_cached_and_link_back(offer, double, stranger, owner) -> None:
    offer("google")
    shown = stranger.get("/oauth/google/callback", {"state": "x"})
    assert "no-store" in shown["Cache-Control"]
    assert b'href="/sign-in?local=1"' in shown.content

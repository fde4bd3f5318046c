"""Further providers of allauth, against a double with their responses."""

import copy
import json
from collections.abc import Iterator
from email.message import Message
from itertools import product
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qsl, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.test import RequestFactory

from accounts.models import User
from audit.models import AuditEvent
from config.environment.registry.allauth_providers import usable_ids
from core import http
from federation.flow import SOCIAL
from federation.models import ExternalIdentity
from federation.oidc.authorization_request import AuthorizationRequest
from federation.oidc.errors import SignInFailed
from federation.system_checks import check_social_providers
from tests.federation.social.conftest import (
    begin,
    call_callback,
    is_signed_in,
    provider_of,
    sign_in,
    way_to,
)
from tests.federation.social.vendors import EMAIL, VENDORS

pytestmark = pytest.mark.django_db
WITH_ADDRESS = [kind for kind, vendor in VENDORS.items() if vendor.email]
WITH_PROFILE = [kind for kind in VENDORS if kind != "notion"]
# What allauth documents for these: a server or tenant that it cannot know.
NEED_SETTINGS = {
    "amazon_cognito", "auth0", "gumroad", "jupyterhub", "lemonldap", "netiq", "nextcloud", "okta",
    "salesforce",
}  # fmt: skip
REPLACEMENTS = (None, True, 1.5, 1e20, [], {}, "", "x" * 300, -1, [{"id": None}])


@pytest.fixture(autouse=True)
def _no_mail_needed(settings: Any) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True


@pytest.mark.parametrize("kind", WITH_ADDRESS)
def test_a_new_user_signs_in_and_gets_an_account(kind, offer, double, stranger, owner) -> None:
    (provider,) = offer(kind)
    answer = sign_in(stranger, double, kind, next="/account/email")

    assert (answer.status_code, answer["Location"]) == (302, "/account/email")
    identity, vendor = ExternalIdentity.objects.get(), VENDORS[kind]
    user = identity.user
    assert (identity.provider, identity.subject) == (kind, vendor.subject)
    assert (user.email, user.is_verified) == (EMAIL, vendor.is_verified)
    assert (user.name, user.username, user.role) == (vendor.name, None, "viewer")
    assert is_signed_in(stranger)
    event = AuditEvent.objects.filter(action="account:session:start").latest("seq")
    assert (event.result, event.detail["methods"]) == ("success", [kind])
    assert provider.label.encode() in stranger.get("/account/").content


@pytest.mark.parametrize("kind", WITH_ADDRESS)
def test_a_second_sign_in_uses_the_same_account(kind, offer, double, stranger, owner) -> None:
    offer(kind)
    for _time in range(2):
        sign_in(stranger, double, kind)
        assert is_signed_in(stranger)
        stranger.post("/sign-out")
    assert ExternalIdentity.objects.count() == 1


def test_nothing_is_written_to_the_tables_of_allauth(offer, double, stranger, owner) -> None:
    for kind in WITH_ADDRESS[:3]:
        offer(kind)
        sign_in(stranger, double, kind)
        stranger.post("/sign-out")
    rows = [model.objects.count() for model in (SocialAccount, SocialApp, SocialToken)]
    assert rows == [0, 0, 0]


def test_an_app_in_the_tables_of_allauth_is_not_used(offer, double, stranger, owner) -> None:
    SocialApp.objects.create(provider="gitlab", name="other", client_id="theirs", secret="theirs")
    offer("gitlab")
    assert "client_id=client-gitlab&" in begin(stranger, "gitlab")


def test_a_provider_without_addresses_registers_no_one_but_can_be_connected(
    offer, double, browser_of, viewer, stranger
) -> None:
    offer("reddit")
    assert sign_in(stranger, double, "reddit").status_code == 403

    browser = browser_of(viewer)
    to, answer = double.agree(way_to(browser.post("/account/identities/reddit/connect")))
    call_callback(browser, to, answer)
    sign_in(stranger, double, "reddit")
    assert ExternalIdentity.objects.get().subject == "None_shall_pass"
    assert b"viewer@example.com" in stranger.get("/account/").content


@pytest.mark.parametrize("said", [False, "true", "false", 1, None, "yes"])
@pytest.mark.parametrize(("kind", "path"), [("slack", ()), ("kakao", ("kakao_account",))])
def test_only_true_verifies_an_address(kind, path, said, offer, double, stranger, owner) -> None:
    offer(kind)
    place = double.documents[f"/{kind}/profile"]
    for name in path:
        place = place[name]
    place["is_email_verified" if kind == "kakao" else "email_verified"] = said
    sign_in(stranger, double, kind)
    assert User.objects.filter(email=EMAIL, email_verified_at__isnull=False).count() == 0


@pytest.mark.parametrize("kind", ["zoom", "dropbox", "microsoft"])
def test_an_address_counts_as_verified_if_configured(kind, offer, double, stranger, owner) -> None:
    (provider,) = offer(kind)
    object.__setattr__(provider, "assumes_email_verified", True)
    sign_in(stranger, double, kind)
    assert User.objects.get(email=EMAIL).is_verified


@pytest.mark.parametrize("kind", VENDORS)
def test_an_answer_of_another_browser_is_refused(kind, offer, double, client, owner) -> None:
    offer(kind)
    to, answer = double.agree(begin(client, kind))
    client.cookies.clear()
    assert call_callback(client, to, answer).status_code == 400
    assert [path for path, _form in double.asked if path.endswith("/token")] == []


@pytest.mark.parametrize("kind", VENDORS)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (401, b'{"error": "invalid_client"}'),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b""),
        (200, b"[" * 100_000),
        (200, b'{"access_token": null}'),
        (200, b'{"access_token": ["a"]}'),
        (200, b'{"access_token": "a\\r\\nX-A: b"}'),
        (200, b'{"access_token": "x", "expires_in": "soon"}'),
        (200, b'{"access_token": "x", "expires_in": 1e400}'),
        (200, b'{"x": "' + b"x" * 600_000 + b'"}'),
        (302, b"http://169.254.169.254/latest"),
    ],
    ids=range(13),
)
def test_a_token_endpoint_without_a_token(
    kind, status, body, offer, double, stranger, owner
) -> None:
    offer(kind)
    double.answers[f"/{kind}/token"] = (status, body)
    assert sign_in(stranger, double, kind).status_code == 502
    assert not is_signed_in(stranger)
    assert User.objects.count() == 1


@pytest.mark.parametrize("kind", WITH_PROFILE)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b"{}"),
        (404, b'{"id": 7, "account_id": "7"}'),
        (302, b"http://127.0.0.1:1/"),
        (200, b"null"),
        (200, b"[]"),
        (200, b'"x"'),
        (200, b"{}"),
        (200, b"[" * 100_000),
        (200, b'{"id": 1, "x": "' + b"x" * 600_000 + b'"}'),
        (200, b"\xff\xfe{"),
    ],
    ids=range(10),
)
def test_a_profile_without_an_id(kind, status, body, offer, double, stranger, owner) -> None:
    offer(kind)
    double.answers[f"/{kind}/profile"] = (status, body)
    assert sign_in(stranger, double, kind).status_code in {403, 502}
    assert not is_signed_in(stranger)
    assert (User.objects.count(), ExternalIdentity.objects.count()) == (1, 0)


def _changed(value: Any) -> Iterator[Any]:
    """`value` with each of its parts, one at a time, replaced by each of REPLACEMENTS."""
    places = value.items() if isinstance(value, dict) else enumerate(value)
    for place, part in list(places):
        for new in REPLACEMENTS:
            changed = copy.deepcopy(value)
            changed[place] = new
            yield changed
        for inner in _changed(part) if isinstance(part, (dict, list)) else ():
            changed = copy.deepcopy(value)
            changed[place] = inner
            yield changed


def _ids_in(value: Any) -> Iterator[str]:
    """The strings and whole numbers of a JSON value, as text."""
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _ids_in(part)
    elif isinstance(value, str) or type(value) is int:
        yield str(value)


def _subjects_in(kind: str, value: Any) -> set[str]:
    """What may be the id of a user: a part of the answer, or made of two of them."""
    pattern = {"slack": "{}_{}", "notion": "user-{}_workspace-{}"}.get(kind, "{}")
    ids = set(_ids_in(value))
    return {pattern.format(*each) for each in product(ids, repeat=pattern.count("{}"))}


@pytest.mark.parametrize("kind", VENDORS)
def test_a_malformed_answer_is_no_server_error_and_no_shared_id(
    kind, offer, double, rf: RequestFactory
) -> None:
    (provider,) = offer(kind)
    vendor = VENDORS[kind]
    pending = AuthorizationRequest("s" * 43, kind, "login", "", "", 2**40)
    url = SOCIAL.authorize_url(rf.get("/"), provider, pending)
    for what, document in vendor.documents.items():
        for changed in _changed(document):
            double.documents[f"/{kind}/{what}"] = changed
            _to, answer = double.agree(url)
            try:
                info = SOCIAL.finish(rf.get("/", answer), provider, pending)
            except SignInFailed:
                continue
            assert info.subject in {vendor.subject, *_subjects_in(kind, changed)}
            assert info.email in {vendor.email, *_ids_in(changed), ""}
            assert isinstance(info.name, str)
        double.documents[f"/{kind}/{what}"] = copy.deepcopy(document)


@pytest.mark.parametrize("kind", sorted(set(usable_ids()) - NEED_SETTINGS))
def test_every_provider_of_allauth_starts_by_two_variables(kind, settings, rf, double) -> None:
    provider = provider_of(kind, double)
    settings.SIGN_IN_PROVIDERS = (provider,)
    pending = AuthorizationRequest("s" * 43, kind, "login", "", "", 2**40)

    assert check_social_providers(None) == []
    url = SOCIAL.authorize_url(rf.get("/"), provider, pending)
    assert url.startswith("https://")
    assert f"state={pending.state}" in url
    assert "secret-" not in url


class Anything(dict):
    """An answer that has every name; each value is `value`."""

    def __init__(self, value: Any) -> None:
        names = "id uid sub user_id userId account_id open_id openid name login data user email"
        super().__init__(dict.fromkeys(names.split(), value) | {"access_token": "t", "ok": True})


@pytest.mark.parametrize("kind", sorted(set(usable_ids()) - NEED_SETTINGS))
def test_an_empty_profile_is_no_id_and_no_server_error(
    kind, settings, rf: RequestFactory, double, monkeypatch
) -> None:
    provider = provider_of(kind, double)
    settings.SIGN_IN_PROVIDERS = (provider,)
    pending = AuthorizationRequest("s" * 43, kind, "login", "", "", 2**40)
    values = (
        None,
        True,
        1.5,
        [],
        {},
        "",
        [None],
        [{}],
        {"id": None},
        {"user": {"id": None}},
        7,
        "u-1",
    )
    headers = Message()
    headers["Content-Type"] = "application/json"
    for document in (*map(Anything, values), {"access_token": "t"}, [], None, "t"):
        answer = http.Response(200, headers, json.dumps(document).encode())
        send = Mock(return_value=answer)
        monkeypatch.setattr("federation.social.session.http.send", send)
        request = rf.get("/", {"code": "c", "state": "s"})
        try:
            found = SOCIAL.finish(request, provider, pending).subject
        except SignInFailed:
            continue
        assert found in set(_ids_in(document)) - {""}, document


@pytest.mark.parametrize("kind", sorted(NEED_SETTINGS))
def test_a_provider_without_its_server_url_is_reported_and_not_offered(
    kind, settings, double, stranger, owner
) -> None:
    settings.SIGN_IN_PROVIDERS = (provider_of(kind, double),)
    (warning,) = check_social_providers(None)
    assert warning.id == "federation.W001"
    assert f"Set {kind.upper()}_SETTINGS to JSON" in warning.hint
    assert stranger.post(f"/oauth/{kind}/login").status_code == 502
    assert f"/oauth/{kind}/login" not in stranger.get("/sign-in").content.decode()


def test_the_log_names_the_failed_step_without_the_answer(
    offer, double, stranger, owner, caplog
) -> None:
    offer("gitlab")
    double.answers["/gitlab/token"] = (200, b'{"access_token": "t", "expires_in": "very-secret"}')
    sign_in(stranger, double, "gitlab")
    assert "gitlab: ValueError in " in caplog.text
    assert "oauth2/views.py" in caplog.text
    assert "very-secret" not in caplog.text
    reason = (
        AuditEvent.objects.filter(action="account:session:start").latest("seq").detail["reason"]
    )
    assert reason == "provider_error: ValueError"


def test_settings_of_a_provider_reach_allauth(settings, double, rf: RequestFactory) -> None:
    options = {
        "GITLAB_URL": "https://git.acme.test",
        "SCOPE": ["openid"],
        "AUTH_PARAMS": {"a": "b"},
    }
    provider = provider_of("gitlab", double)
    object.__setattr__(provider, "options", options)
    settings.SIGN_IN_PROVIDERS = (provider,)
    settings.SOCIALACCOUNT_PROVIDERS = {"gitlab": options | {"OAUTH_PKCE_ENABLED": False}}
    pending = AuthorizationRequest("s" * 43, "gitlab", "login", "", "", 2**40)

    parts = urlsplit(SOCIAL.authorize_url(rf.get("/"), provider, pending))
    query = dict(parse_qsl(parts.query))
    assert parts.netloc == "git.acme.test"
    assert (query["scope"], query["a"], "code_challenge" in query) == ("openid", "b", False)
    assert SOCIAL.token_url(provider) == "https://git.acme.test/oauth/token"


def test_the_same_id_at_another_server_is_another_user(
    offer, double, stranger, owner, settings
) -> None:
    (provider,) = offer("gitlab")
    sign_in(stranger, double, "gitlab")
    stranger.post("/sign-out")
    object.__setattr__(provider, "issuer", "https://git.acme.test")
    assert sign_in(stranger, double, "gitlab").status_code == 403
    assert ExternalIdentity.objects.get().issuer == ""

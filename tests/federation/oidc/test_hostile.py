"""Invalid answers of a provider: each is rejected, without a session, with one audit row.

Rows of docs: state (A091), mix-up (A093), addresses (A095), tokens (A097), discovery (A099),
allowed domains (A101), unknown providers (A105).
"""

import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import jwt
import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.groups.changes import create_group
from accounts.services.groups.reading import groups_of
from audit.models import AuditEvent
from core import http
from federation.models import ExternalIdentity
from federation.oidc.authorization_request import cookie_name
from federation.oidc.discovery import DISCOVERED, Discovery
from tests.api.external_jwt.providers import Clock, b64
from tests.conftest import PASSWORD
from tests.federation.oidc.conftest import (
    UseProviders,
    assert_not_signed_in,
    call_callback,
    leads_to,
    query_of,
    sign_in,
    start,
    use_openid,
)
from tests.federation.oidc.double import CLIENT, CODE, DISCOVERY, Double, SigningKey
from tests.servers.ldap import write_certificates

pytestmark = pytest.mark.django_db
CALLBACK = "/oauth/openid/callback"


def other_browser() -> Client:
    return Client(headers={"host": "localhost:8000"})


def test_the_same_subject_of_another_issuer_is_not_signed_in(
    as_openid: Double, use_providers: UseProviders, stranger: Client
) -> None:
    """The settings lead to another issuer, whose first subject is that of the admin here."""
    sign_in(stranger, as_openid)
    User.objects.filter(email="nora@example.com").update(role="admin")
    other = Double()
    try:
        use_openid(use_providers, other)
        other.give(
            lambda: {"id_token": other.id_token(email="eve@example.com"), "access_token": "opaque"}
        )
        eve = other_browser()
        sign_in(eve, other)
        assert b"eve@example.com" in eve.get("/account/").content
    finally:
        other.stop()

    assert eve.get("/admin/").status_code != 200
    assert User.objects.get(email="eve@example.com").role == "none"
    assert ExternalIdentity.objects.filter(subject="nora").count() == 2


def test_a_valid_answer_signs_in(as_openid: Double, stranger: Client) -> None:
    answer = sign_in(stranger, as_openid)

    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert stranger.get("/account/").status_code == 200
    user = User.objects.get(email="nora@example.com")
    assert (user.role, user.is_verified, user.has_usable_password()) == ("none", True, False)
    ((path, form, authorization),) = as_openid.posted
    assert (path, form["grant_type"], form["code"]) == ("/token", "authorization_code", CODE)
    assert form["redirect_uri"] == "http://localhost:8000/oauth/openid/callback"
    # "gate:s%3A+e%2Fc": each half form-encoded before base64.
    assert authorization == "Basic Z2F0ZTpzJTNBK2UlMkZj"
    assert len(form["code_verifier"]) == 43
    assert "client_secret" not in form


def test_client_secret_post_is_supported(as_openid: Double, stranger: Client) -> None:
    as_openid.describe(token_endpoint_auth_methods_supported=["client_secret_post"])

    sign_in(stranger, as_openid)

    ((_path, form, authorization),) = as_openid.posted
    assert (form["client_id"], form["client_secret"], authorization) == (CLIENT, "s: e/c", "")
    assert stranger.get("/account/").status_code == 200


# A091


@pytest.mark.parametrize("changes", [{"state": None}, {"state": ""}, {"state": "made-up"}])
def test_an_answer_without_state_is_rejected(
    as_openid: Double, stranger: Client, changes: dict[str, Any]
) -> None:
    answer = sign_in(stranger, as_openid, **changes)

    assert answer.status_code == 400
    assert as_openid.posted == []
    assert_not_signed_in(stranger, "state_lost")


def test_an_empty_state_without_any_cookie_is_refused(as_openid: Double, stranger: Client) -> None:
    answer = stranger.get(CALLBACK, {"code": CODE, "state": "", "iss": as_openid.issuer})

    assert answer.status_code == 400
    assert_not_signed_in(stranger, "state_lost")


def test_the_state_of_another_browser_is_refused(as_openid: Double, stranger: Client) -> None:
    """The attacker's own answer, given to a victim."""
    url = start(other_browser())

    answer = call_callback(stranger, as_openid, url)

    assert answer.status_code == 400
    assert as_openid.posted == []
    assert_not_signed_in(stranger, "state_lost")


def test_a_state_works_once_even_with_the_old_cookie(as_openid: Double, stranger: Client) -> None:
    url = start(stranger)
    cookie = stranger.cookies[cookie_name()].value
    assert call_callback(stranger, as_openid, url).status_code == 302

    thief = other_browser()
    thief.cookies[cookie_name()] = cookie
    answer = call_callback(thief, as_openid, url)

    assert answer.status_code == 400
    assert thief.get("/account/").status_code == 302
    assert len(as_openid.posted) == 1
    row = AuditEvent.objects.get(action="account:session:start", result="refused")
    assert row.detail["reason"] == "state_lost: state used before"


def test_a_request_of_one_user_connects_nothing_for_another(
    as_openid: Double, editor: User, viewer: User, browser_of: Callable[[User], Client]
) -> None:
    client = browser_of(editor)
    url = leads_to(client.post("/account/identities/openid/connect"))
    client.post("/sign-out")
    client.post("/sign-in", {"login": viewer.email, "password": PASSWORD})

    answer = call_callback(client, as_openid, url)

    assert answer.status_code == 400
    assert as_openid.posted == []
    assert ExternalIdentity.objects.count() == 0
    row = AuditEvent.objects.get(action="account:session:start", result="refused")
    assert row.detail["reason"] == "state_lost: started by another user"


def test_a_state_expires_after_ten_minutes(
    as_openid: Double, stranger: Client, at_time: Callable[[timedelta], Any]
) -> None:
    url = start(stranger)
    at_time(timedelta(minutes=10, seconds=1))

    answer = call_callback(stranger, as_openid, url)

    assert answer.status_code == 400
    assert_not_signed_in(stranger, "state_lost")


def test_a_changed_cookie_is_refused(as_openid: Double, stranger: Client) -> None:
    url = start(stranger)
    value = stranger.cookies[cookie_name()].value
    stranger.cookies[cookie_name()] = f"{value[:-6]}AAAAAA"

    answer = call_callback(stranger, as_openid, url)

    assert answer.status_code == 400
    assert_not_signed_in(stranger, "state_lost")


def test_two_tabs_can_wait_at_once(as_openid: Double, stranger: Client) -> None:
    first, _second = start(stranger), start(stranger)

    assert call_callback(stranger, as_openid, first).status_code == 302


def test_a_sign_in_is_started_only_by_post(as_openid: Double, stranger: Client) -> None:
    """A link, an image or a prefetch leads to a page with a button."""
    answer = stranger.get("/oauth/openid/login", {"next": "/account/"})

    assert answer.status_code == 200
    assert cookie_name() not in stranger.cookies
    assert as_openid.asked[DISCOVERY] == 0
    strict = Client(enforce_csrf_checks=True, headers={"host": "localhost:8000"})
    assert strict.post("/oauth/openid/login").status_code == 403


def test_a_form_post_answer_works_as_one_by_get(as_openid: Double, stranger: Client) -> None:
    url = start(stranger)
    as_openid.nonce = query_of(url)["nonce"]
    sent = {"code": CODE, "state": query_of(url)["state"], "iss": as_openid.issuer, "evil": "x"}
    strict = Client(enforce_csrf_checks=True, headers={"host": "localhost:8000"})

    bounced = strict.post(CALLBACK, sent)

    assert bounced.status_code == 303
    assert "evil" not in bounced["Location"]
    assert strict.get("/account/").status_code == 302
    assert stranger.get(bounced["Location"]).status_code == 302
    assert stranger.get("/account/").status_code == 200


# A093


@pytest.fixture
def two(use_providers: UseProviders, double: Double):
    """Two providers: the double as openid, another one as oidc."""
    other = Double()
    use_openid(
        use_providers,
        double,
        OIDC_CLIENT_ID=CLIENT,
        OIDC_CLIENT_SECRET="s",
        OIDC_DISCOVERY_URL=f"{other.issuer}/.well-known/openid-configuration",
    )
    yield double, other
    other.stop()


def test_the_answer_of_one_provider_is_refused_at_the_callback_of_another(
    two: tuple[Double, Double], stranger: Client
) -> None:
    ours, other = two

    answer = call_callback(stranger, ours, start(stranger, "openid"), provider="oidc")

    assert answer.status_code == 400
    assert (ours.posted, other.posted) == ([], [])
    assert_not_signed_in(stranger, "state_lost: state of another provider")


def test_an_answer_that_names_another_issuer_is_refused(
    two: tuple[Double, Double], stranger: Client
) -> None:
    ours, other = two

    answer = call_callback(stranger, ours, start(stranger), iss=other.issuer)

    assert answer.status_code == 403
    assert ours.posted == []
    assert_not_signed_in(stranger, "token_refused: the response of another provider")


def test_an_answer_without_the_announced_issuer_is_rejected(
    as_openid: Double, stranger: Client
) -> None:
    answer = sign_in(stranger, as_openid, iss=None)

    assert answer.status_code == 403
    assert as_openid.posted == []
    assert_not_signed_in(stranger, "token_refused: the response does not name")


def test_without_announcement_the_issuer_is_optional(as_openid: Double, stranger: Client) -> None:
    as_openid.describe(authorization_response_iss_parameter_supported=None)

    assert sign_in(stranger, as_openid, iss=None).status_code == 302


# A095


@pytest.mark.parametrize("trusted", ["", "openid"])
def test_an_account_registered_by_another_person_is_not_merged(
    use_providers: UseProviders, double: Double, stranger: Client, make_user, trusted: str
) -> None:
    use_openid(use_providers, double, TRUSTED_EMAIL_PROVIDERS=trusted)
    squatter = make_user("viewer", "nora@example.com", is_verified=False)

    answer = sign_in(stranger, double)

    assert answer.status_code == 403
    assert ExternalIdentity.objects.filter(user=squatter).count() == 0
    assert stranger.get("/account/").status_code == 302
    squatter.refresh_from_db()
    assert squatter.is_verified is False


def test_an_account_in_use_is_not_taken_over_by_its_address(
    as_openid: Double, stranger: Client, make_user
) -> None:
    make_user("owner", "nora@example.com")

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 403
    assert ExternalIdentity.objects.count() == 0
    assert stranger.get("/account/").status_code == 302
    row = AuditEvent.objects.get(action="account:identity:connect", result="refused")
    assert row.detail["provider"] == "openid"


def test_closed_registration_is_respected(
    use_providers: UseProviders, double: Double, stranger: Client
) -> None:
    use_openid(use_providers, double, OPENID_REGISTRATION="false")

    answer = sign_in(stranger, double)

    assert answer.status_code == 403
    assert_not_signed_in(stranger, "registration_closed")


def test_an_answer_without_an_address_is_no_server_error(
    as_openid: Double, stranger: Client
) -> None:
    as_openid.give(lambda: {"id_token": as_openid.id_token(email=None), "access_token": "opaque"})

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 403
    assert_not_signed_in(stranger, "email_missing")


# A097

BAD_CLAIMS = {
    "another audience": {"aud": "other"},
    "no audience": {"aud": None},
    "several audiences without a party": {"aud": [CLIENT, "other"]},
    "another party": {"azp": "other"},
    "another issuer": {"iss": "https://evil.example"},
    "another nonce": {"nonce": "other"},
    "no nonce": {"nonce": None},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "an endless subject": {"sub": "x" * 256},
    "no expiry": {"exp": None},
    "an expiry in words": {"exp": "tomorrow"},
    "another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("fault", BAD_CLAIMS)
def test_an_id_token_is_rejected_with(as_openid: Double, stranger: Client, fault: str) -> None:
    changes = BAD_CLAIMS[fault]
    as_openid.give(lambda: {"id_token": as_openid.id_token(**changes), "access_token": "opaque"})

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 403
    assert_not_signed_in(stranger, "token_refused")


def test_the_trailing_slash_of_the_issuer_counts(as_openid: Double, stranger: Client) -> None:
    as_openid.give(lambda: {"id_token": as_openid.id_token(iss=f"{as_openid.issuer}/")})

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 403
    assert_not_signed_in(stranger, "token_refused: issued by another issuer")


def _unsigned(double: Double) -> str:
    return jwt.encode({**double.claims(), "nonce": double.nonce}, None, "none")


def _by_the_secret(double: Double) -> str:
    claims = double.claims(iss=double.issuer, aud=CLIENT, nonce=double.nonce)
    return jwt.encode(claims, "s: e/c", "HS256", headers={"kid": double.key.kid})


def _by_the_public_key(double: Double) -> str:
    """The old trick: the public key as the secret of HS256."""
    header = b64({"alg": "HS256", "kid": double.key.kid})
    claims = b64(double.claims(iss=double.issuer, aud=CLIENT, nonce=double.nonce))
    signature = jwt.get_algorithm_by_name("HS256").sign(f"{header}.{claims}".encode(), b"public")
    return f"{header}.{claims}.{b64(signature)}"


def _by_another_key(double: Double) -> str:
    return double.id_token(key=SigningKey(kid=double.key.kid))


def _with_a_broken_signature(double: Double) -> str:
    token = double.id_token()
    return f"{token[:-8]}AAAAAAAA"


def _with_a_key_of_its_own(double: Double) -> str:
    key = SigningKey(kid="mine")
    return double.token(
        {"jwk": key.jwk, "jku": "http://127.0.0.1:1/jwks"}, key=key, iss=double.issuer, aud=CLIENT
    )


@pytest.mark.parametrize(
    "forge",
    [
        _unsigned,
        _by_the_secret,
        _by_the_public_key,
        _by_another_key,
        _with_a_broken_signature,
        _with_a_key_of_its_own,
        lambda _double: "",
        lambda _double: "not.a.token",
        lambda _double: "x" * 40_000,
        lambda _double: None,
    ],
)
def test_a_forged_id_token_is_refused(
    as_openid: Double, stranger: Client, forge: Callable[[Double], Any]
) -> None:
    as_openid.describe(id_token_signing_alg_values_supported=["RS256", "HS256", "none"])
    as_openid.give(lambda: {"id_token": forge(as_openid), "access_token": "opaque"})

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 403
    assert_not_signed_in(stranger, "token_refused")


@pytest.mark.parametrize(("minutes", "status"), [(-4.9, 302), (4.9, 302), (-16, 403), (5.2, 403)])
def test_clocks_can_differ_by_five_minutes(
    as_openid: Double, stranger: Client, minutes: float, status: int
) -> None:
    """minutes: how far the provider's clock is ahead; a token lives ten minutes there."""
    at = int(time.time() + minutes * 60)
    as_openid.give(lambda: {"id_token": as_openid.id_token(iat=at, exp=at + 600)})

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == status
    assert (stranger.get("/account/").status_code == 200) is (status == 302)


def test_an_old_token_that_is_still_valid_is_refused(as_openid: Double, stranger: Client) -> None:
    at = int(time.time()) - 3600
    as_openid.give(lambda: {"id_token": as_openid.id_token(iat=at, exp=at + 86_400)})

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 403
    assert_not_signed_in(stranger, "token_refused: issued long ago")


def test_userinfo_of_another_subject_is_rejected(as_openid: Double, stranger: Client) -> None:
    as_openid.describe(userinfo_endpoint=f"{as_openid.issuer}/me")
    as_openid.routes["/me"] = {"sub": "olga", "email": "olga@example.com", "email_verified": True}

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 403
    assert_not_signed_in(stranger, "token_refused: userinfo of another subject")


def test_userinfo_adds_claims_missing_in_the_token(as_openid: Double, stranger: Client) -> None:
    as_openid.describe(userinfo_endpoint=f"{as_openid.issuer}/me")
    as_openid.routes["/me"] = {"sub": "nora", "email": "nora@b.example", "email_verified": True}
    as_openid.give(lambda: {"id_token": as_openid.id_token(email=None), "access_token": "opaque"})

    sign_in(stranger, as_openid)

    assert User.objects.get(email="nora@b.example").is_verified is True
    assert stranger.get("/account/").status_code == 200


def test_a_role_in_an_unsigned_access_token_is_ignored(
    use_providers: UseProviders, double: Double, stranger: Client
) -> None:
    use_openid(
        use_providers, double, OPENID_ADMIN_ROLE="boss", OPENID_ADMIN_ROLE_TOKEN_KIND="access"
    )
    forged = jwt.encode({**double.claims(iss=double.issuer), "roles": ["boss"]}, None, "none")
    double.give(lambda: {"id_token": double.id_token(), "access_token": forged})

    sign_in(stranger, double)

    assert User.objects.get(email="nora@example.com").role == "none"


def test_a_role_in_the_signed_access_token_is_used(
    use_providers: UseProviders, double: Double, stranger: Client
) -> None:
    use_openid(
        use_providers, double, OPENID_ADMIN_ROLE="boss", OPENID_ADMIN_ROLE_TOKEN_KIND="access"
    )
    signed = double.token(iss=double.issuer, sub="nora", roles=["boss"])
    double.give(lambda: {"id_token": double.id_token(), "access_token": signed})

    sign_in(stranger, double)

    assert User.objects.get(email="nora@example.com").role == "admin"


def test_groups_come_from_a_claim_and_never_from_an_unsigned_token(
    use_providers: UseProviders, double: Double, stranger: Client
) -> None:
    for name in ("finance", "lab"):
        create_group(actor=SYSTEM, name=name)
    use_openid(use_providers, double, OPENID_GROUPS_MAPPING='{"Money": "finance", "Lab": "lab"}')
    forged = jwt.encode({**double.claims(iss=double.issuer), "groups": ["Lab"]}, None, "none")

    def sign_in_with(**claims: Any) -> None:
        double.give(lambda: {"id_token": double.id_token(**claims), "access_token": forged})
        sign_in(stranger, double)

    sign_in_with(groups=["Money", "x"])
    user = User.objects.get(email="nora@example.com")
    assert groups_of(user) == ("finance",)
    stranger.cookies.clear()
    sign_in_with()
    assert groups_of(user) == ()


def test_a_user_without_the_required_role_is_denied(
    use_providers: UseProviders, double: Double, stranger: Client
) -> None:
    use_openid(use_providers, double, OPENID_REQUIRED_ROLE="team")

    answer = sign_in(stranger, double)

    assert answer.status_code == 403
    assert_not_signed_in(stranger, "roles (id) holds none of the required")


# Keys and times


def test_a_new_key_of_the_provider_is_fetched(
    as_openid: Double, stranger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("federation.oidc.authorization_code.DISCOVERED", Discovery(clock=clock))
    sign_in(stranger, as_openid)
    new = SigningKey()
    as_openid.publish(new)
    as_openid.key = new
    as_openid.describe()
    clock.now += 6

    other = other_browser()
    sign_in(other, as_openid)

    assert other.get("/account/").status_code == 200
    assert as_openid.asked["/jwks"] == 2
    assert as_openid.asked[DISCOVERY] == 1


def test_unknown_key_ids_cause_one_fetch(
    as_openid: Double, stranger: Client, settings: Any
) -> None:
    settings.LIMITS = {**settings.LIMITS, "sign-in": (1000, timedelta(minutes=5))}
    forger = SigningKey()

    def forged() -> dict[str, str]:
        forger.kid = uuid4().hex
        return {"id_token": as_openid.id_token(key=forger)}

    as_openid.give(forged)

    for _time in range(5):
        assert sign_in(stranger, as_openid).status_code == 403

    assert as_openid.asked["/jwks"] == 1


def test_a_provider_that_is_down_has_its_own_page(as_openid: Double, stranger: Client) -> None:
    del as_openid.routes[DISCOVERY]

    answer = stranger.post("/oauth/openid/login")

    assert answer.status_code == 503
    assert cookie_name() not in stranger.cookies
    assert_not_signed_in(stranger, None)


def test_the_last_good_document_serves_while_the_provider_is_down(
    as_openid: Double, stranger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("federation.oidc.authorization_code.DISCOVERED", Discovery(clock=clock))
    url = start(stranger)
    del as_openid.routes[DISCOVERY]
    clock.now += 3600

    answer = call_callback(stranger, as_openid, url)

    assert answer.status_code == 302
    assert as_openid.asked[DISCOVERY] == 2


def test_a_failing_token_endpoint_has_its_own_page(as_openid: Double, stranger: Client) -> None:
    as_openid.give(lambda: {"error": "invalid_grant", "error_description": "secret"}, status=400)

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 502
    assert b"secret" not in answer.content
    assert_not_signed_in(stranger, "provider_error: token endpoint: 400 invalid_grant")


def test_a_silent_token_endpoint_times_out(
    as_openid: Double, stranger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "POST_TIMEOUT_SECONDS", 0.3)
    as_openid.routes["/token"] = lambda handler: handler.rfile.read(1)
    begun = time.monotonic()

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 503
    assert time.monotonic() - begun < 3
    assert_not_signed_in(stranger, "provider_unreachable")


def test_a_redirect_of_the_token_endpoint_is_not_followed(
    as_openid: Double, stranger: Client
) -> None:
    def away(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("Location", f"{as_openid.issuer}/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    as_openid.routes["/token"] = away

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 502
    assert as_openid.asked["/elsewhere"] == 0
    assert_not_signed_in(stranger, "provider_error")


# A099


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": "http://169.254.169.254/latest/meta-data"},
        {"jwks_uri": "https://169.254.169.254/latest/meta-data"},
        {"jwks_uri": "https://10.0.0.5/jwks"},
        {"jwks_uri": "https://[fd00::1]/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "//evil.example/jwks"},
        {"jwks_uri": ["https://id.example.com"]},
        {"jwks_uri": None},
        {"token_endpoint": "http://id.example.com/token"},
        {"token_endpoint": "ftp://id.example.com/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": "http://192.168.0.1/me"},
        {"end_session_endpoint": "javascript:alert(1)"},
    ],
)
def test_a_discovery_document_is_rejected_with(
    as_openid: Double, stranger: Client, changes: dict[str, Any]
) -> None:
    as_openid.describe(**changes)

    answer = stranger.post("/oauth/openid/login")

    assert answer.status_code == 503
    assert cookie_name() not in stranger.cookies
    assert_not_signed_in(stranger, None)


@pytest.mark.parametrize("part", [DISCOVERY, "/jwks", "/token"])
def test_an_endless_response_is_aborted(as_openid: Double, stranger: Client, part: str) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _chunk in range(800):
            handler.wfile.write(b"x" * 65_536)

    as_openid.routes[part] = flood
    begun = time.monotonic()

    answer = stranger.post("/oauth/openid/login")
    if part != DISCOVERY:
        as_openid.describe()
        answer = sign_in(stranger, as_openid)

    assert answer.status_code == 503
    assert time.monotonic() - begun < 5
    assert stranger.get("/account/").status_code == 302


def test_keys_behind_a_redirect_to_another_host_are_not_fetched(
    as_openid: Double, stranger: Client
) -> None:
    def away(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "http://169.254.169.254/keys")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    as_openid.routes["/jwks"] = away

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 503
    assert_not_signed_in(stranger, "provider_unreachable: the keys")


# A101


@pytest.mark.parametrize(
    "email",
    [
        "u@corp.com.evil",
        "u@evil@corp.com",
        '"u@corp.com"@evil',
        "u@corp.com\n",
        "u@sub.corp.com",
        "u@evilcorp.com",
    ],
)
def test_only_the_exact_domain_may_register(
    as_openid: Double, stranger: Client, settings: Any, email: str
) -> None:
    settings.ALLOWED_EMAILS = ("corp.com",)
    as_openid.give(lambda: {"id_token": as_openid.id_token(email=email)})

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 403
    assert_not_signed_in(stranger, None)
    assert User.objects.filter(email__contains="corp.com").count() == 0


def test_the_allowed_domain_is_the_same_in_capitals(
    as_openid: Double, stranger: Client, settings: Any
) -> None:
    settings.ALLOWED_EMAILS = ("corp.com",)
    as_openid.give(lambda: {"id_token": as_openid.id_token(email="u@CORP.com")})

    assert sign_in(stranger, as_openid).status_code == 302
    assert User.objects.filter(email="u@corp.com").count() == 1


# A105


@pytest.mark.parametrize("provider", ["nobody", "google", "OPENID", "ldap"])
def test_an_unknown_provider_is_not_found(
    as_openid: Double, stranger: Client, provider: str
) -> None:
    state = query_of(start(stranger))["state"]
    sent = {"code": CODE, "state": state, "iss": as_openid.issuer}

    answers = [
        stranger.get(f"/oauth/{provider}/login"),
        stranger.post(f"/oauth/{provider}/login"),
        stranger.get(f"/oauth/{provider}/callback", sent),
        stranger.post(f"/oauth/{provider}/callback", sent),
        stranger.get(f"/api/auth/callback/{provider}", sent),
    ]

    assert [answer.status_code for answer in answers] == [404] * 5
    assert_not_signed_in(stranger, None)


# The rest


@pytest.mark.parametrize("next_url", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_a_sign_in_redirects_only_to_own_pages(
    as_openid: Double, stranger: Client, next_url: str
) -> None:
    answer = call_callback(stranger, as_openid, start(stranger, next=next_url))

    assert (answer.status_code, answer["Location"]) == (302, "/account/")


def test_a_disabled_user_is_denied(as_openid: Double, stranger: Client) -> None:
    sign_in(other_browser(), as_openid)
    User.objects.filter(email="nora@example.com").update(is_active=False)

    answer = sign_in(stranger, as_openid)

    assert answer.status_code == 403
    assert stranger.get("/account/").status_code == 302


def test_anonymous_clients_are_redirected_automatically_if_configured(
    as_openid: Double, stranger: Client, settings: Any
) -> None:
    settings.AUTO_REDIRECT = "openid"

    sent_on = stranger.get("/sign-in", {"next": "/account/password"})
    stays = stranger.get("/sign-in", {"local": "1"})
    with_notice = stranger.get("/sign-in", {"notice": "signed-out"})

    assert f"{as_openid.issuer}/auth?".encode() in sent_on.content
    assert [b"/auth?" in answer.content for answer in (stays, with_notice)] == [False, False]
    DISCOVERED.forget()
    del as_openid.routes[DISCOVERY]
    assert b'action="/sign-in"' in stranger.get("/sign-in").content


@pytest.mark.parametrize(
    ("next_url", "to"),
    [
        ("/account/password", "/account/password"),
        ("https://wiki.example.com/a?b=c", "https://wiki.example.com/a?b=c"),
        ("https://evil.example.org/", "/account/"),
    ],
)
def test_the_automatic_redirect_keeps_next(
    as_openid: Double, stranger: Client, settings: Any, next_url: str, to: str
) -> None:
    settings.AUTO_REDIRECT, settings.FORWARD_AUTH_DOMAIN = "openid", "example.com"
    settings.PUBLIC_SCHEME = "https"

    page = stranger.get("/sign-in", {"next": next_url})
    answer = call_callback(stranger, as_openid, leads_to(page))

    assert (answer.status_code, answer["Location"]) == (302, to)


def test_a_sign_out_does_not_start_the_next_sign_in(
    as_openid: Double, stranger: Client, settings: Any
) -> None:
    settings.AUTO_REDIRECT = "openid"
    sign_in(stranger, as_openid)

    stranger.post("/sign-out")
    twice = stranger.post("/sign-out", follow=True)
    again = stranger.get("/sign-in", {"next": "/account/"})
    pressed = stranger.post("/oauth/openid/login")
    afterwards = stranger.get("/sign-in")

    assert [b"/auth?" in answer.content for answer in (twice, again)] == [False, False]
    assert [b"/auth?" in answer.content for answer in (pressed, afterwards)] == [True, True]


def test_no_code_and_no_token_is_logged(
    as_openid: Double, stranger: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    sign_in(stranger, as_openid, code="a-very-secret-code")
    sign_in(other_browser(), as_openid, state="a-very-secret-state")

    assert "a-very-secret" not in caplog.text
    assert "eyJ" not in caplog.text
    details = str(list(AuditEvent.objects.values_list("detail", flat=True)))
    assert "a-very-secret" not in details


def test_a_configured_callback_path_works_too(as_openid: Double, stranger: Client) -> None:
    """LobeChat's path, for any provider."""
    url = start(stranger)
    query = query_of(url)
    as_openid.nonce = query["nonce"]
    sent = {"code": CODE, "state": query["state"], "iss": as_openid.issuer}

    assert urlsplit(url).path == "/auth"
    assert stranger.get("/api/auth/callback/openid", sent).status_code == 302


@pytest.mark.parametrize(
    ("claims", "trusts", "verified"),
    [
        ({"email_verified": False}, "true", True),
        ({"email_verified": None}, "true", True),
        ({"email_verified": False}, "false", False),
        # A user name that looks like an address is chosen by the person.
        ({"email": None, "preferred_username": "nora@example.com"}, "true", False),
    ],
)
def test_an_address_counts_as_verified_if_configured(
    double: Double,
    use_providers: UseProviders,
    stranger: Client,
    settings: Any,
    claims: dict[str, Any],
    trusts: str,
    verified: bool,
) -> None:
    use_openid(use_providers, double, OPENID_TRUST_EMAIL=trusts)
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    double.give(lambda: {"id_token": double.id_token(**claims), "access_token": "opaque"})

    sign_in(stranger, double)

    assert User.objects.get(email="nora@example.com").is_verified is verified


def test_a_provider_is_reached_by_its_internal_url(
    double: Double,
    use_providers: UseProviders,
    stranger: Client,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As between containers: the public name leads nowhere from here."""
    inner = double.issuer
    monkeypatch.setattr(Double, "issuer", "https://id.corp.invalid")
    double.describe()
    use_openid(use_providers, double)
    settings.PROVIDER_INTERNAL_URLS = {"https://id.corp.invalid": inner}

    url = start(stranger)
    answer = call_callback(stranger, double, url)

    assert url.startswith("https://id.corp.invalid/auth?")
    assert answer.status_code == 302
    assert ExternalIdentity.objects.get().issuer == "https://id.corp.invalid"


def test_a_certificate_of_a_configured_authority_is_trusted(tmp_path: Path, settings: Any) -> None:
    write_certificates(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    provider = Double()
    try:
        provider.socket = context.wrap_socket(provider.socket, server_side=True)
        url = f"https://127.0.0.1:{provider.server_address[1]}{DISCOVERY}"
        with pytest.raises(http.FetchError, match="CERTIFICATE_VERIFY_FAILED"):
            http.fetch_json(url)
        settings.PROVIDER_CA_FILE = str(tmp_path / "ca.pem")

        assert "issuer" in http.fetch_json(url)
    finally:
        provider.stop()

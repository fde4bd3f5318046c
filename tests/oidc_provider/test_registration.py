"""Apps register themselves: RFC 7591, and reading and deleting of RFC 7592."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.groups.changes import create_group, delete_group
from applications.models import App, AppSecret
from applications.services.apps import edit_app, find_app
from audit.models import AuditEvent
from audit.sentences import sentence
from core.errors import Forbidden, RecordInvalid
from core.http.guarded import AddressRefused
from oidc_provider.models import InitialAccessToken, Registration
from oidc_provider.services import logout_notices, registration
from oidc_provider.services.registration import create_token
from tests.api.calls import call
from tests.oidc_provider.relying_party import (
    CALLBACK,
    RelyingParty,
    answer_of,
    decide,
)
from tests.oidc_provider.test_client_assertions import JWK

pytestmark = pytest.mark.django_db
PATH, PAGE = "/openid/register", "/admin/oidc_provider/initialaccesstoken/"
WIKI = {"client_name": "Wiki", "redirect_uris": [CALLBACK]}
BrowserOf = Callable[[User], Client]
AtTime = Callable[[timedelta], Any]


def made(owner: User, **values: Any) -> str:
    """An initial access token for ten apps."""
    given = {"name": "Build server", "openid_role": "viewer", "max_uses": 10} | values
    return create_token(actor=owner, values=given, lifetime=timedelta(days=1)).text


@pytest.fixture
def token(owner: User) -> str:
    return made(owner)


def send(metadata: Any, token: str | None, **options: Any) -> Any:
    body = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    given = {"content_type": "application/json", **options}
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    http = Client(headers={"host": "localhost:8000"}, enforce_csrf_checks=True)
    return http.post(PATH, body, headers=headers, **given)


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def party_of(given: dict[str, Any]) -> RelyingParty:
    party = RelyingParty(App.objects.get(client_id=given["client_id"]))
    party.secret = given.get("client_secret", "")
    return party


def test_nothing_is_registered_until_an_owner_makes_a_token(owner: User, stranger: Client) -> None:
    """And discovery names the endpoint only while a token works."""

    def endpoint() -> Any:
        document = stranger.get("/.well-known/openid-configuration").json()
        return document.get("registration_endpoint")

    assert endpoint() is None
    for token in (None, "", "gtia_wrong"):
        answer = send(WIKI, token)
        assert error_of(answer) == (401, "invalid_token")
        assert answer["WWW-Authenticate"] == 'Bearer realm="Gatehouse", error="invalid_token"'
    text = made(owner, max_uses=1)
    assert endpoint() == "http://localhost:8000/openid/register"

    assert send(WIKI, text).status_code == 201

    assert endpoint() is None
    assert error_of(send(WIKI, text)) == (401, "invalid_token")
    assert App.objects.count() == 1


def test_a_web_app_registers_itself_and_signs_people_in(
    token: str, browser: Client, viewer: User
) -> None:
    answer = send({**WIKI, "client_uri": "https://wiki.example.com", "logo_uri": 7}, token)

    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    given = answer.json()
    app = App.objects.get()
    shown = dict(given)
    assert shown.pop("client_secret").startswith("gths_")
    assert shown.pop("registration_access_token").startswith("gtra_")
    assert shown == {
        "client_id": app.client_id,
        "client_id_issued_at": int(app.created_at.timestamp()),
        "client_secret_expires_at": 0,
        "client_name": "Wiki",
        "client_uri": "https://wiki.example.com",
        "redirect_uris": [CALLBACK],
        "application_type": "web",
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "subject_type": "public",
        "id_token_signed_response_alg": "ES256",
        "require_pushed_authorization_requests": False,
        "scope": "openid profile email groups offline_access",
        "registration_client_uri": f"http://localhost:8000{PATH}/{app.client_id}",
    }
    assert (app.openid_kind, app.is_self_registered) == ("web", True)
    assert (app.is_trusted, app.is_listed) == (False, False)
    party = party_of(given)
    page = party.authorize(browser)
    assert "it registered itself" in page.content.decode()
    tokens = party.redeem(answer_of(decide(browser, page, "allow"))["code"]).json()
    assert party.introspect(tokens["access_token"])["sub"] == str(viewer.pk)


def test_the_audit_log_says_who_let_it_and_holds_no_secret(token: str) -> None:
    given = send(WIKI, token).json()

    events = list(AuditEvent.objects.order_by("seq"))
    texts = [sentence(event, actor="Olga") for event in events]
    assert [event.action for event in events[-3:]] == [
        "openid:registration-token:create", "sso:app:create", "openid:app:register",
    ]  # fmt: skip
    assert texts[-3].startswith(
        "Olga made the registration token “Build server”: lowest role: viewer; apps at most: 10; "
    )
    assert texts[-1] == "The app “Wiki” registered itself with the token “Build server”."
    stored = json.dumps([*AuditEvent.objects.values_list("detail", flat=True)])
    stored += str([*InitialAccessToken.objects.values(), *Registration.objects.values()])
    stored += str([*AppSecret.objects.values()])
    for secret in (token, given["client_secret"], given["registration_access_token"]):
        assert secret not in stored


@pytest.mark.parametrize(
    ("metadata", "kind", "fields"),
    [
        ({"token_endpoint_auth_method": "none"}, "spa", {}),
        ({"application_type": "native", "redirect_uris": ["com.example.app:/cb"],
          "client_uri": "https://app.example.com"}, "native", {}),
        ({"token_endpoint_auth_method": "client_secret_post"}, "web", {}),
        ({"subject_type": "pairwise", "id_token_signed_response_alg": "RS256",
          "userinfo_signed_response_alg": "RS256", "response_types": ["code"],
          "require_pushed_authorization_requests": True,
          "post_logout_redirect_uris": ["https://wiki.example.com/bye"],
          "backchannel_logout_uri": "https://wiki.example.com/out"}, "web",
         {"subject_type": "pairwise", "id_token_algorithm": "RS256", "signed_userinfo": True,
          "requires_pushed_requests": True, "logout_uris": ["https://wiki.example.com/bye"],
          "backchannel_logout_uri": "https://wiki.example.com/out"}),
        ({"redirect_uris": None, "client_uri": "https://tv.example.com",
          "token_endpoint_auth_method": "none", "response_types": [],
          "grant_types": ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]}, "spa",
         {"redirect_uris": [], "allows_device_flow": True}),
        ({"token_endpoint_auth_method": "private_key_jwt",
          "jwks": {"keys": [JWK]}}, "web",
         {"client_authentication": "private_key_jwt", "client_keys": [JWK]}),
    ],
)  # fmt: skip
def test_metadata_becomes_the_fields_of_an_app(
    metadata: dict[str, Any], kind: str, fields: dict[str, Any], token: str
) -> None:
    answer = send({**WIKI, **metadata}, token)

    assert answer.status_code == 201, answer.content
    app, given = App.objects.get(), answer.json()
    assert app.openid_kind == kind
    assert {name: getattr(app, name) for name in fields} == fields
    # What is told is what was asked for.
    sent = {name: value for name, value in {**WIKI, **metadata}.items() if value}
    sent.pop("grant_types", None)
    assert {name: given[name] for name in sent} == sent
    has_secret = kind == "web" and "jwks" not in metadata
    assert ("client_secret" in given) is has_secret
    assert AppSecret.objects.count() == has_secret


BAD_URIS = [
    "javascript:alert(1)", "JavaScript://wiki.example.com/%0aalert(1)", "data:text/html,x",
    "https://wiki.example.com/*", "https://wiki.example.com/#x", "http://wiki.example.com/cb",
    "https://user@wiki.example.com/", "file:///etc/passwd", "", "//wiki.example.com/cb",
    "com.example.app:/cb", "https://wiki.example.com/\u0000", "https://[::1",
]  # fmt: skip


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_redirect_uri_is_held_to_the_rules_of_apps_made_by_hand(
    uri: str, token: str, settings: Any
) -> None:
    settings.IS_HTTPS = True

    private = {"client_uri": "https://wiki.example.com"} if uri.startswith("com.") else {}
    answer = send({"redirect_uris": [uri], **private}, token)

    wrong = "invalid_client_metadata" if "\0" in uri else "invalid_redirect_uri"
    assert error_of(answer) == (400, wrong)
    assert not App.objects.exists()
    assert InitialAccessToken.objects.get().uses == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"redirect_uris": CALLBACK}, "redirect_uris"),
        ({"redirect_uris": [[CALLBACK]]}, "redirect_uris"),
        ({"redirect_uris": [CALLBACK] * 100}, "redirect_uris"),
        ({"client_name": ["Wiki"]}, "client_name"),
        ({"client_name": "x" * 81}, "client_name"),
        ({"client_name": "W\u202eiki"}, "client_name"),
        ({"client_uri": "javascript:alert(1)"}, "client_uri"),
        ({"grant_types": ["implicit"]}, "grant_types"),
        ({"grant_types": ["client_credentials"]}, "grant_types"),
        ({"grant_types": ["refresh_token"]}, "grant_types"),
        ({"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"]}, "grant_types"),
        ({"response_types": ["code id_token"]}, "response_types"),
        ({"response_types": ["token"]}, "response_types"),
        ({"application_type": "service"}, "application_type"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
        ({"application_type": "native", "token_endpoint_auth_method": "client_secret_basic"},
         "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks"),
        ({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct"}]}},
         "jwks"),
        ({"token_endpoint_auth_method": "private_key_jwt",
          "jwks": {"keys": [JWK | {"x5t": 1e999}]}}, "JSON"),
        ({"token_endpoint_auth_method": "private_key_jwt",
          "jwks_uri": "https://169.254.169.254/keys"}, "jwks_uri"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
        ({"userinfo_signed_response_alg": "RS256"}, "userinfo_signed_response_alg"),
        ({"subject_type": "other"}, "subject_type"),
        ({"post_logout_redirect_uris": ["javascript:alert(1)"]}, "post_logout_redirect_uris"),
        ({"backchannel_logout_uri": "javascript:alert(1)"}, "backchannel_logout_uri"),
        ({"frontchannel_logout_uri": "data:text/html,x"}, "frontchannel_logout_uri"),
        ({"require_pushed_authorization_requests": "yes"}, "require_pushed"),
    ],
)  # fmt: skip
def test_bad_metadata_is_refused_by_name_and_uses_nothing_up(
    change: dict[str, Any], named: str, token: str
) -> None:
    answer = send(json.dumps({**WIKI, **change}).replace("Infinity", "1e999").encode(), token)

    expected = "invalid_redirect_uri" if named == "redirect_uris" else "invalid_client_metadata"
    assert error_of(answer) == (400, expected), answer.content
    assert named in answer.json()["error_description"]
    assert not App.objects.exists()
    assert InitialAccessToken.objects.get().uses == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'{"a": 1, "a": 2}', b"\xff", b"[" * 60_000,
     b'{"client_name": "\\ud800"}', b'{"x": "\\u0000"}', b'{"x": NaN}'],
)  # fmt: skip
def test_a_body_that_is_no_object_is_refused(body: bytes, token: str) -> None:
    assert error_of(send(body, token)) == (400, "invalid_client_metadata")


def test_oversized_and_foreign_bodies_are_refused(token: str) -> None:
    long = json.dumps({**WIKI, "x": "y" * 70_000}).encode()
    huge = json.dumps({**WIKI, "x": "y" * 3_000_000}).encode()
    for body in (long, huge):
        assert error_of(send(body, token)) == (413, "invalid_client_metadata")
    form = send(b"client_name=Wiki", token, content_type="application/x-www-form-urlencoded")
    assert error_of(form) == (400, "invalid_client_metadata")
    assert Client(headers={"host": "localhost:8000"}).get(PATH).status_code == 405
    assert not App.objects.exists()


def test_what_nobody_knows_here_is_ignored(token: str) -> None:
    """Also what would give the app more than the token says."""
    more = {
        "is_trusted": True, "openid_role": "owner", "openid_people": ["x"], "custom_scopes": ["x"],
        "client_id": "mine", "client_secret": "mine", "software_statement": "x.y.z",
        "contacts": [1], "scope": "openid admin", "client_name#de": "Wiki",
    }  # fmt: skip

    given = send({**WIKI, **more}, token).json()

    app = App.objects.get()
    assert (app.is_trusted, app.openid_role, app.openid_people) == (False, "viewer", [])
    assert app.custom_scopes == []
    assert app.client_id == given["client_id"] != "mine"
    assert given["client_secret"] != "mine"
    assert "software_statement" not in given


def test_the_token_says_who_may_enter(owner: User, browser: Client) -> None:
    group = create_group(actor=owner, name="finance")
    text = made(owner, openid_role="editor", openid_group_ids=[str(group.pk)])

    party = party_of(send(WIKI, text).json())

    assert (party.app.openid_role, party.app.openid_group_ids) == ("editor", [str(group.pk)])
    page = party.authorize(browser)
    assert page.status_code == 403
    delete_group(actor=owner, group=group, confirmed=True)
    # The group would be missing, so the app would be open to nobody.
    assert error_of(send(WIKI, text)) == (400, "invalid_client_metadata")
    assert App.objects.count() == 1


def test_a_token_that_has_ended_or_is_deleted_registers_nothing(
    owner: User, token: str, at_time: AtTime
) -> None:
    other = made(owner, name="Other")
    row = InitialAccessToken.objects.get(name="Other")
    registration.delete_token(actor=owner, token=row)
    assert error_of(send(WIKI, other)) == (401, "invalid_token")
    at_time(timedelta(days=1, seconds=1))
    assert error_of(send(WIKI, token)) == (401, "invalid_token")

    assert not App.objects.exists()
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.result) == ("openid:registration-token:use", "refused")
    assert sentence(event) == (
        "An app could not register itself with the token “Build server”. Reason: it had ended."
    )


def test_an_app_reads_and_deletes_itself_and_no_other(token: str) -> None:
    one, two = (send({**WIKI, "client_name": name}, token).json() for name in ("One", "Two"))
    http = Client(headers={"host": "localhost:8000"})

    def ask(method: str, given: dict[str, Any], access: str) -> Any:
        path = given["registration_client_uri"].removeprefix("http://localhost:8000")
        return http.generic(method, path, headers={"authorization": f"Bearer {access}"})

    access = one["registration_access_token"]
    read = ask("GET", one, access)
    assert (read.status_code, read["Cache-Control"]) == (200, "no-store")
    secret = ("client_secret", "client_secret_expires_at")
    assert read.json() == {name: value for name, value in one.items() if name not in secret}
    for method in ("GET", "DELETE"):
        for wrong in (token, "", two["registration_access_token"], one["client_secret"]):
            assert error_of(ask(method, one, wrong)) == (401, "invalid_token")
    assert ask("PUT", one, access).status_code == 405
    assert App.objects.count() == 2

    assert ask("DELETE", one, access).status_code == 204

    assert App.objects.get().name == "Two"
    assert error_of(ask("GET", one, access)) == (401, "invalid_token")
    assert AuditEvent.objects.latest("seq").action == "sso:app:delete"


def test_a_registered_app_learns_nothing_of_keys_and_sessions(
    token: str, browser: Client, owner: User
) -> None:
    """Other apps may ask whose credential they were sent; no owner has let this one."""
    party = party_of(send(WIKI, token).json())
    cookie = browser.cookies["gatehouse_session"].value

    assert party.introspect(cookie) == {"active": False}
    App.objects.update(is_self_registered=False)
    assert party.introspect(cookie)["active"] is True


def test_its_address_names_no_request_of_a_proxy(token: str, browser: Client) -> None:
    send(WIKI, token)

    assert find_app("wiki.example.com", "/") is None
    assert "Wiki" not in browser.get("/account/").content.decode()


def test_it_is_told_of_sign_outs_at_public_addresses_only(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def refuse(_url: str, *, allowed: Any, **_options: Any) -> Any:
        asked.append(allowed)
        raise AddressRefused

    monkeypatch.setattr(logout_notices, "send_guarded", refuse)
    app = App.objects.get(client_id=send(WIKI, token).json()["client_id"])
    for is_self_registered in (True, False):
        app.is_self_registered = is_self_registered
        notice = logout_notices.LogoutNotice(app=app, user_id=app.pk, sid=app.pk)
        logout_notices._attempt(app, notice)

    assert asked == [(), logout_notices.PRIVATE]


def test_requests_are_limited_before_a_token_is_judged(token: str, settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "app-registrations": (2, timedelta(minutes=10))}
    assert [send(WIKI, "gtia_wrong").status_code for _time in range(2)] == [401, 401]

    answer = send(WIKI, token)

    assert error_of(answer) == (429, "slow_down")
    assert answer["Retry-After"]
    assert not App.objects.exists()


def test_registered_apps_leave_room_for_those_of_owners(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "MAX_REGISTERED", 1)
    assert send(WIKI, token).status_code == 201

    assert error_of(send(WIKI, token)) == (400, "invalid_client_metadata")
    assert (App.objects.count(), InitialAccessToken.objects.get().uses) == (1, 1)


def test_with_a_shared_secret_nobody_registers(token: str, settings: Any) -> None:
    settings.JWT_SECRET = "x" * 40

    assert error_of(send(WIKI, token)) == (403, "access_denied")


def test_owners_make_and_delete_tokens_in_the_panel(
    owner: User, admin: User, browser_of: BrowserOf
) -> None:
    create_group(actor=owner, name="finance")
    form = {
        "name": "CI", "openid_role": "editor", "openid_group_ids": "finance", "max_uses": "3",
        "days": "7",
    }  # fmt: skip
    assert browser_of(admin).post(f"{PAGE}add/", form).status_code == 403
    browser = browser_of(owner)
    wrong = browser.post(f"{PAGE}add/", {**form, "max_uses": "51", "openid_group_ids": "x"})
    assert set(wrong.context["adminform"].form.errors) == {"max_uses", "openid_group_ids"}

    page = browser.post(f"{PAGE}add/", form)

    assert (page.status_code, "no-store" in page["Cache-Control"]) == (200, True)
    row = InitialAccessToken.objects.get()
    text = str(page.context["token"])
    assert text in page.content.decode()
    assert send(WIKI, text).status_code == 201
    listed = browser_of(admin).get(PAGE).content.decode()
    assert "1 of 3" in listed
    assert text not in listed
    assert browser.get(f"{PAGE}{row.pk}/change/").status_code == 200
    assert browser_of(admin).post(f"{PAGE}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert browser.post(f"{PAGE}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not InitialAccessToken.objects.exists()
    # The app stays, and says where it came from.
    app = App.objects.get()
    shown = browser.get(f"/admin/applications/app/{app.pk}/change/").content.decode()
    assert "The app has registered itself, with the token “CI”." in shown


def test_registered_apps_are_marked_and_found(
    token: str, owner: User, browser_of: BrowserOf
) -> None:
    send(WIKI, token)
    browser, apps = browser_of(owner), "/admin/applications/app/"

    assert "Registered itself" in browser.get(apps).content.decode()
    for choice, count in (("by-itself", 1), ("by-owners", 0)):
        assert browser.get(apps, {"added": choice}).context["cl"].result_count == count
    for value, count in (("true", 1), ("false", 0)):
        found = call(browser, "GET", f"apps?is_self_registered={value}").json()["results"]
        assert [each["is_self_registered"] for each in found] == [True] * count
    app = App.objects.get()
    body = {"is_self_registered": False}
    assert call(browser, "PATCH", f"apps/{app.pk}", body).status_code == 402


def test_an_owner_may_change_a_registered_app(token: str, owner: User) -> None:
    given = send(WIKI, token).json()
    app = App.objects.get()

    edit_app(actor=owner, app=app, changes={"openid_kind": "", "redirect_uris": []})

    path = given["registration_client_uri"].removeprefix("http://localhost:8000")
    access = given["registration_access_token"]
    http = Client(headers={"host": "localhost:8000"})
    answer = http.get(path, headers={"authorization": f"Bearer {access}"})
    assert error_of(answer) == (401, "invalid_token")


def test_only_owners_make_tokens_of_sound_values(owner: User, admin: User) -> None:
    with pytest.raises(Forbidden):
        made(admin)
    for change, field in (
        ({"name": " "}, "name"), ({"openid_role": "none"}, "openid_role"),
        ({"max_uses": 0}, "max_uses"), ({"max_uses": 51}, "max_uses"),
        ({"openid_group_ids": ["x"]}, "openid_group_ids"),
    ):  # fmt: skip
        with pytest.raises(RecordInvalid) as error:
            made(owner, **change)
        assert set(error.value.errors) == {field}
    assert not InitialAccessToken.objects.exists()

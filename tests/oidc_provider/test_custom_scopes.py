"""Scopes that owners make: who may ask for them, what becomes of them in tokens and consent."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services.service_accounts import create_service_account
from api.permissions import Scope
from applications import custom_scopes
from applications.models import App, CustomScope
from applications.services.apps import edit_app
from applications.services.custom_scopes import create_scope, delete_scope, edit_scope
from oidc_provider import scopes
from oidc_provider.models import Consent, DeviceCode, Grant
from oidc_provider.subjects import subject_of
from tests.oidc_provider.relying_party import TOKEN, RelyingParty, answer_of, decide, make_client

pytestmark = pytest.mark.django_db
READ, WRITE, ASKED = "books:read", "books:write", "openid books:read books:write"


@pytest.fixture
def books(owner: User) -> list[CustomScope]:
    """Two scopes, made before the sign-ins of the test."""
    made = [
        create_scope(actor=owner, values={"name": READ, "description": "read your books"}),
        create_scope(actor=owner, values={"name": WRITE, "description": "lend your books"}),
    ]
    CustomScope.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    return made


@pytest.fixture
def reader(books: list[CustomScope], owner: User) -> RelyingParty:
    """An app with a secret that may ask for both."""
    app = make_client("web", is_trusted=False, custom_scopes=[READ, WRITE])
    return RelyingParty(app, owner)


def allowed(party: RelyingParty, browser: Client, scope: str = ASKED) -> dict[str, Any]:
    """The tokens of a sign-in that the user has allowed."""
    answer = party.authorize(browser, scope=scope, prompt="consent")
    tokens: dict[str, Any] = party.redeem(
        answer_of(decide(browser, answer, "allow"))["code"]
    ).json()
    return tokens


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def test_people_read_what_they_allow_and_tokens_carry_it(
    reader: RelyingParty, browser: Client
) -> None:
    page = reader.authorize(browser, scope=f"{ASKED} books:burn").content.decode()
    for text in ("read your books", "lend your books"):
        assert page.count(f"<li>{text}</li>") == 1
    assert "books:burn" not in page.partition("<form")[0]

    tokens = allowed(reader, browser, f"{ASKED} books:burn")

    assert tokens["scope"] == ASKED
    assert Grant.objects.get().scope == ASKED
    for name in ("access_token", "refresh_token"):
        assert reader.introspect(tokens[name])["scope"] == ASKED
    assert reader.userinfo(tokens["access_token"]).status_code == 200
    account = browser.get("/account/apps").content.decode()
    assert "<li>read your books</li>" in account
    assert browser.get("/api/v1/me/app-access").json()["results"][0]["scopes"] == ASKED.split()
    # Asked once: what was allowed is remembered, and anything more is asked for.
    assert "code" in answer_of(reader.authorize(browser, scope=f"openid {READ}"))


def test_a_scope_is_worth_nothing_to_an_app_that_may_not_ask_for_it(
    reader: RelyingParty, browser: Client
) -> None:
    other = RelyingParty(make_client(custom_scopes=[READ]))

    tokens = other.sign_in(browser, scope=ASKED)

    assert tokens["scope"] == f"openid {READ}"
    assert Grant.objects.get().scope == f"openid {READ}"
    more = other.refresh(tokens["refresh_token"], scope=f"openid {WRITE}")
    assert error_of(more) == (400, "invalid_scope")


def test_a_refresh_narrows_and_widens_within_what_was_allowed(
    reader: RelyingParty, browser: Client
) -> None:
    tokens = allowed(reader, browser)

    less = reader.refresh(tokens["refresh_token"], scope=READ).json()
    assert less["scope"] == READ
    assert reader.introspect(less["access_token"])["scope"] == READ
    assert reader.userinfo(less["access_token"]).status_code == 403
    again = reader.refresh(less["refresh_token"], scope=f"openid {WRITE}").json()
    assert again["scope"] == f"openid {WRITE}"


@pytest.mark.parametrize("how", ["deleted", "taken from the app"])
def test_a_scope_that_is_gone_is_in_no_token_that_was_given_before(
    how: str, reader: RelyingParty, browser: Client, books: list[CustomScope], owner: User
) -> None:
    tokens = allowed(reader, browser)
    code = reader.code(browser, scope=ASKED)

    if how == "deleted":
        delete_scope(actor=owner, scope=books[1])
        reader.app.refresh_from_db()
        assert reader.app.custom_scopes == [READ]
    else:
        edit_app(actor=owner, app=reader.app, changes={"custom_scopes": [READ]})

    left = f"openid {READ}"
    for name in ("access_token", "refresh_token"):
        assert reader.introspect(tokens[name])["scope"] == left
    assert reader.redeem(code).json()["scope"] == left
    # The app may go on to send what it was given.
    fresh = reader.refresh(tokens["refresh_token"], scope=ASKED).json()
    assert fresh["scope"] == left
    only = reader.refresh(fresh["refresh_token"], scope=WRITE)
    assert error_of(only) == (400, "invalid_scope")
    assert reader.refresh(fresh["refresh_token"]).json()["scope"] == left
    assert "lend your books" not in browser.get("/account/apps").content.decode()


def test_a_scope_of_the_same_name_revives_nothing(
    reader: RelyingParty, browser: Client, books: list[CustomScope], owner: User
) -> None:
    """Neither in tokens nor in remembered consent: the new one may mean something else."""
    tokens = allowed(reader, browser)
    delete_scope(actor=owner, scope=books[1])
    create_scope(actor=owner, values={"name": WRITE, "description": "burn your books"})
    edit_app(actor=owner, app=reader.app, changes={"custom_scopes": [READ, WRITE]})

    assert reader.introspect(tokens["access_token"])["scope"] == f"openid {READ}"
    assert reader.refresh(tokens["refresh_token"]).json()["scope"] == f"openid {READ}"
    assert Consent.objects.get().scope == ASKED
    page = reader.authorize(browser, scope=ASKED)
    assert "<li>burn your books</li>" in page.content.decode()


def test_a_deleted_scope_takes_no_single_claim_away(
    reader: RelyingParty, browser: Client, books: list[CustomScope], owner: User
) -> None:
    claims = '{"userinfo": {"email": null}}'
    page = reader.authorize(browser, scope=ASKED, claims=claims)
    tokens = reader.redeem(answer_of(decide(browser, page, "allow"))["code"]).json()

    delete_scope(actor=owner, scope=books[1])

    assert "email" in reader.userinfo(tokens["access_token"]).json()


def test_the_api_of_a_scope_asks_about_its_tokens_and_learns_only_that(
    reader: RelyingParty, browser: Client, books: list[CustomScope], owner: User, viewer: User
) -> None:
    library = RelyingParty(make_client("", subject_type="pairwise"), owner)
    other = RelyingParty(make_client(""), owner)
    edit_scope(actor=owner, scope=books[0], changes={"audience_id": library.app.pk})
    tokens = allowed(reader, browser, f"{ASKED} profile email groups")

    told = library.introspect(tokens["access_token"])

    assert told.pop("exp") == reader.introspect(tokens["access_token"])["exp"]
    assert told == {
        "active": True,
        "token_type": "access_token",
        "iss": "http://localhost:8000",
        "sub": subject_of(library.app, viewer.pk),
        "client_id": reader.app.client_id,
        "aud": library.app.client_id,
        "scope": READ,
    }
    nothing = {"active": False}
    assert library.introspect(tokens["refresh_token"]) == nothing
    assert other.introspect(tokens["access_token"]) == nothing
    # Whose token has no scope of the API, or not any more.
    less = reader.refresh(tokens["refresh_token"], scope=f"openid {WRITE}").json()
    assert library.introspect(less["access_token"]) == nothing
    edit_app(actor=owner, app=reader.app, changes={"custom_scopes": [WRITE]})
    assert library.introspect(tokens["access_token"]) == nothing


def test_pushed_requests_and_devices_ask_for_them_too(
    reader: RelyingParty, browser: Client, owner: User
) -> None:
    form = reader.parameters(scope=ASKED, client_secret=reader.secret)
    uri = reader.post("/openid/par", form).json()["request_uri"]
    brought = {"client_id": reader.app.client_id, "request_uri": uri}
    assert "<li>read your books</li>" in browser.get("/openid/authorize", brought).content.decode()

    App.objects.update(allows_device_flow=True)
    proof = {"client_id": reader.app.client_id, "client_secret": reader.secret}
    asked = {**proof, "scope": f"{ASKED} books:burn"}
    codes = reader.post("/openid/device-authorization", asked).json()
    assert DeviceCode.objects.get().scope == ASKED
    page = browser.post("/openid/device", {"user_code": codes["user_code"]}).content.decode()
    assert "<li>lend your books</li>" in page
    browser.post("/openid/device", {"user_code": codes["user_code"], "choice": "allow"})
    grant_type = "urn:ietf:params:oauth:grant-type:device_code"
    form = {**proof, "grant_type": grant_type, "device_code": codes["device_code"]}
    assert reader.post(TOKEN, form).json()["scope"] == ASKED


def test_a_program_asks_for_them_by_name(
    books: list[CustomScope], owner: User, admin: User
) -> None:
    """Without the parameter it gets none; with one that it may not have, no token."""
    account = create_service_account(
        actor=owner, username="job", responsible=admin, role="viewer", name="Job"
    )
    fields = {"redirect_uris": [], "service_account": str(account.pk), "custom_scopes": [READ]}
    program = RelyingParty(make_client("service", **fields), owner)
    backend = RelyingParty(make_client(""), owner)
    form = {
        "grant_type": "client_credentials",
        "client_id": program.app.client_id,
        "client_secret": program.secret,
    }

    assert program.post(TOKEN, form).json()["scope"] == "profile groups"
    for refused in (WRITE, "openid", f"{READ} openid", "books:burn"):
        assert error_of(program.post(TOKEN, {**form, "scope": refused})) == (400, "invalid_scope")
    given = program.post(TOKEN, {**form, "scope": READ}).json()
    assert given["scope"] == READ
    assert backend.introspect(given["access_token"])["scope"] == READ
    delete_scope(actor=owner, scope=books[0])
    assert backend.introspect(given["access_token"])["scope"] == ""


def test_discovery_names_public_ones_only(
    books: list[CustomScope], owner: User, stranger: Client
) -> None:
    edit_scope(actor=owner, scope=books[1], changes={"is_public": False})

    found = stranger.get("/.well-known/openid-configuration").json()["scopes_supported"]

    assert found == [*scopes.NAMES, READ]


def test_all_scopes_at_once_fit_into_a_token(owner: User, browser: Client) -> None:
    names = [f"{'x' * 57}:{number:02}" for number in range(custom_scopes.MAX_SCOPES)]
    CustomScope.objects.bulk_create(
        CustomScope(name=name, description=name, created_at=timezone.now() - timedelta(minutes=1))
        for name in names
    )
    party = RelyingParty(make_client("web", custom_scopes=names), owner)

    tokens = party.sign_in(browser, scope=" ".join(["openid", *names]))

    assert tokens["scope"].split() == ["openid", *names]
    assert party.introspect(tokens["access_token"])["scope"] == tokens["scope"]


def test_standard_names_and_those_of_api_keys_are_taken() -> None:
    assert {*scopes.NAMES} <= {*custom_scopes.STANDARD}
    assert {*custom_scopes.OF_KEYS} == {*Scope}

"""Secrets of apps: rotation with an overlap, revocation, the panel, the API, and what a wrong one
leaves behind."""

import base64
import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote_plus

import pytest
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from applications.errors import InvalidClient
from applications.models import App, AppSecret
from applications.services.apps import create_app, delete_app
from applications.services.client_credentials import client_credentials, require_app
from applications.services.secrets import (
    app_of_credentials,
    create_secret,
    live_secrets,
    revoke_secret,
)
from audit.models import AuditEvent
from core.errors import Forbidden, NotFound, RateLimited, RecordInvalid
from core.row_cache import reuse_rows
from tests.api.calls import call, problem

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
AtTime = Callable[[timedelta], object]
PAGE = "/admin/applications/app"


@pytest.fixture
def app(owner: User) -> App:
    return create_app(actor=owner, app=App(name="Wiki", url="https://wiki.example.com"))


def basic(client_id: str, secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def test_a_secret_finds_its_app_and_is_stored_as_a_digest(app: App, owner: User) -> None:
    issued = create_secret(actor=owner, app=app)

    assert app_of_credentials(app.client_id, issued.text) == app
    row = AppSecret.objects.get()
    assert (row.expires_at, row.revoked_at) == (None, None)
    assert row.last_used_at is not None
    assert row.ending == issued.text[-4:]
    assert re.fullmatch(r"gths_[0-9A-Za-z]{49}", issued.text)
    assert re.fullmatch(r"app_[0-9a-z]{20}", app.client_id)
    assert issued.text not in f"{vars(row)} {issued!r}"
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.actor_id, event.target_id) == (
        "sso:app:secret-create",
        owner.pk,
        app.pk,
    )
    assert event.detail == {"name": "Wiki", "ending": row.ending}


def test_a_secret_of_one_app_is_none_of_another(
    app: App, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    other = create_app(actor=owner, app=App(name="Other", url="https://other.example.com"))
    text = create_secret(actor=owner, app=app).text

    wrong = [
        (other.client_id, text),
        (app.client_id, text[:-1]),
        (app.client_id, text.swapcase()),
        ("app_unknown", text),
        (f"{app.client_id}:", text),
        (app.client_id, ""),
        ("\0", "\0"),
    ]
    for client_id, secret in wrong:
        with django_assert_num_queries(1):  # an unknown client is as much work as a wrong secret
            assert app_of_credentials(client_id, secret) is None
    assert app_of_credentials("a" * 256, text) is None
    assert app_of_credentials(app.client_id, "x" * 513) is None


def test_the_row_of_a_secret_is_reused_until_it_is_revoked(
    app: App, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    issued = create_secret(actor=owner, app=app)
    with reuse_rows():
        for _again in range(2):  # the second time begins with the note of the first use
            assert app_of_credentials(app.client_id, issued.text) == app
        with django_assert_num_queries(0):
            assert app_of_credentials(app.client_id, issued.text) == app
        revoke_secret(actor=owner, app=app, secret_id=issued.secret.pk)
        assert app_of_credentials(app.client_id, issued.text) is None


def test_a_new_secret_ends_the_old_one_after_the_overlap(
    app: App, owner: User, at_time: AtTime
) -> None:
    old = create_secret(actor=owner, app=app)
    new = create_secret(actor=owner, app=app)

    with pytest.raises(RecordInvalid) as third:
        create_secret(actor=owner, app=app)
    assert set(third.value.errors) == {"record"}
    event = AuditEvent.objects.latest("seq")
    assert event.action == "sso:app:secret-rotate"
    assert (event.detail["before"], event.detail["overlap_hours"]) == (old.secret.ending, 168)
    assert app_of_credentials(app.client_id, old.text) == app
    at_time(timedelta(days=7, seconds=1))
    assert app_of_credentials(app.client_id, old.text) is None
    assert app_of_credentials(app.client_id, new.text) == app
    assert live_secrets(app, timezone.now()) == [new.secret]


def test_an_overlap_of_nothing_ends_every_secret_at_once(app: App, owner: User) -> None:
    known = [create_secret(actor=owner, app=app).text for _twice in range(2)]
    new = create_secret(actor=owner, app=app, overlap=timedelta())

    assert [app_of_credentials(app.client_id, text) for text in known] == [None, None]
    assert app_of_credentials(app.client_id, new.text) == app


def test_a_bad_overlap_changes_nothing(app: App, owner: User) -> None:
    for overlap in (timedelta(seconds=-1), timedelta(days=90, seconds=1)):
        with pytest.raises(RecordInvalid):
            create_secret(actor=owner, app=app, overlap=overlap)

    assert not AppSecret.objects.exists()


def test_only_owners_make_and_revoke_secrets(app: App, owner: User, admin: User) -> None:
    secret = create_secret(actor=owner, app=app).secret
    for call_of_admin in (
        lambda: create_secret(actor=admin, app=app),
        lambda: revoke_secret(actor=admin, app=app, secret_id=secret.pk),
    ):
        with pytest.raises(Forbidden):
            call_of_admin()

    assert live_secrets(app, timezone.now()) == [secret]


def test_a_revoked_secret_is_revoked_once_and_goes_with_its_app(app: App, owner: User) -> None:
    other = create_app(actor=owner, app=App(name="Other", url="https://other.example.com"))
    secret = create_secret(actor=owner, app=app).secret

    with pytest.raises(NotFound):
        revoke_secret(actor=owner, app=other, secret_id=secret.pk)
    revoke_secret(actor=owner, app=app, secret_id=secret.pk)
    with pytest.raises(NotFound):
        revoke_secret(actor=owner, app=app, secret_id=secret.pk)
    actions = AuditEvent.objects.filter(action="sso:app:secret-revoke")
    assert [event.detail["ending"] for event in actions] == [secret.ending]
    delete_app(actor=owner, app=app)
    assert not AppSecret.objects.exists()


def test_credentials_are_read_from_the_header_or_the_body() -> None:
    special = ("app a:b", "s+ec ret%")
    form = {"client_id": "app_a", "client_secret": "x"}

    assert client_credentials(basic(*special), {}) == special
    assert client_credentials(None, form) == ("app_a", "x")
    assert client_credentials(basic("app_a", "x"), {"client_id": "app_a"}) == ("app_a", "x")
    for header in ("Bearer x", "Basic ", "Basic %%", "Basic YQ==", "Basic " + "YQ" * 5000, ""):
        assert client_credentials(header, {}) is None
    assert client_credentials(None, {"client_id": "app_a"}) is None
    for twice in (form, {"client_id": "app_b"}):
        with pytest.raises(RecordInvalid):
            client_credentials(basic("app_a", "x"), twice)
    assert "hush" not in repr(client_credentials(None, {"client_id": "a", "client_secret": "hush"}))


def test_wrong_credentials_are_audited_and_limited_and_right_ones_never_refused(
    app: App, owner: User, rf: RequestFactory
) -> None:
    text = create_secret(actor=owner, app=app).text
    before = AuditEvent.objects.count()

    def ask(client_id: str, secret: str) -> App:
        return require_app(rf.post("/", HTTP_AUTHORIZATION=basic(client_id, secret)), {})

    with pytest.raises(InvalidClient):
        ask("app_unknown", text)  # no row: it would hold what a stranger wrote
    with pytest.raises(InvalidClient):
        require_app(rf.post("/"), {})
    assert AuditEvent.objects.count() == before
    for _attempt in range(19):
        with pytest.raises(InvalidClient):
            ask(app.client_id, "wrong")
    for _attempt in range(5):
        with pytest.raises(RateLimited):
            ask(app.client_id, "wrong")
    assert ask(app.client_id, text) == app
    events = AuditEvent.objects.filter(action="sso:app:authenticate", target_id=app.pk)
    assert {(event.result, event.detail["name"]) for event in events} == {("refused", "Wiki")}
    assert AuditEvent.objects.count() == before + 19


def test_owners_make_and_revoke_a_secret_by_the_api(
    app: App, owner: User, admin: User, browser_of: BrowserOf
) -> None:
    browser, path = browser_of(owner), f"apps/{app.pk}/secrets"
    made = call(browser, "POST", path, {"overlap_hours": 1})

    assert made.status_code == 201, made.content
    record = made.json()
    assert app_of_credentials(record["client_id"], record["client_secret"]) == app
    assert record["client_id"] == app.client_id
    listed = call(browser_of(admin), "GET", path)
    assert "gths_" not in listed.content.decode()
    assert [(row["id"], row["state"]) for row in listed.json()["results"]] == [
        (record["id"], "live")
    ]
    refused = call(browser_of(admin), "POST", path, {})
    assert problem(refused) == (403, "forbidden")
    invalid = call(browser, "POST", path, {"overlap_hours": -1})
    assert problem(invalid) == (402, "record_invalid")
    assert set(invalid.json()["errors"]) == {"overlap_hours"}
    assert call(browser, "DELETE", f"{path}/{record['id']}").status_code == 204
    assert call(browser, "DELETE", f"{path}/{record['id']}").status_code == 404
    assert call(browser, "GET", path).json()["results"][0]["state"] == "revoked"


def test_the_page_shows_a_secret_once_and_revokes_it(
    app: App, owner: User, admin: User, browser_of: BrowserOf
) -> None:
    browser, change = browser_of(owner), f"{PAGE}/{app.pk}/change/"
    new = f"{PAGE}/{app.pk}/secret/"
    empty = browser.get(change).content.decode()
    assert app.client_id in empty
    assert "The app has no secret." in empty
    assert 'name="overlap_days"' not in browser.get(new).content.decode()

    shown = browser.post(new)

    found = re.search(r'value="(gths_\w+)"', shown.content.decode())
    assert found is not None
    assert "no-store" in shown["Cache-Control"]
    assert app_of_credentials(app.client_id, found[1]) == app
    assert found[1] not in browser.get(change).content.decode()
    assert 'name="overlap_days"' in browser.get(new).content.decode()
    assert browser.post(new, {"overlap_days": "0"}).status_code == 200
    assert app_of_credentials(app.client_id, found[1]) is None
    secret = live_secrets(app, timezone.now())[0]
    refused = browser_of(admin)
    assert refused.get(new).status_code == 403
    assert refused.post(new).status_code == 403
    assert refused.post(f"{new}{secret.pk}/revoke/").status_code == 403
    assert f"{new}{secret.pk}/revoke/" not in refused.get(change).content.decode()
    assert f"{new}{secret.pk}/revoke/" in browser.get(change).content.decode()
    assert browser.post(f"{new}{secret.pk}/revoke/")["Location"] == change
    assert live_secrets(app, timezone.now()) == []


def test_the_page_names_a_third_secret_as_the_fault(
    app: App, owner: User, browser_of: BrowserOf
) -> None:
    for _twice in range(2):
        create_secret(actor=owner, app=app)

    refused = browser_of(owner).post(f"{PAGE}/{app.pk}/secret/", {"overlap_days": "7"})

    assert "Revoke one of them first." in refused.content.decode()
    assert AppSecret.objects.count() == 2

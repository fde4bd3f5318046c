"""Apps by the API."""

import uuid
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from applications.models import App
from audit.models import AuditEvent
from audit.sentences import sentence
from forward_auth.models import AccessRule
from tests.api.calls import call, problem

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
WIKI = {"name": " The  wiki ", "url": "Wiki.Example.com/", "proxy": "caddy", "upstream": "app:80"}


@pytest.fixture
def browser(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def test_an_app_is_made_read_changed_and_deleted(browser: Client, owner: User) -> None:
    answer = call(browser, "POST", "apps", WIKI)

    assert answer.status_code == 201, answer.content
    app = App.objects.get()
    assert answer["Location"] == f"http://localhost:8000/api/v1/apps/{app.pk}"
    record = answer.json()
    assert record.pop("created_at")
    assert record.pop("client_id") == app.client_id
    assert record == {
        "id": str(app.pk),
        "position": 10,
        "name": "The wiki",
        "slug": "the-wiki",
        "url": "https://wiki.example.com",
        "description": "",
        "initials": "",
        "is_listed": True,
        "proxy": "caddy",
        "upstream": "app:80",
        "openid_kind": "",
        "redirect_uris": [],
        "logout_uris": [],
        "backchannel_logout_uri": "",
        "frontchannel_logout_uri": "",
        "is_trusted": False,
        "openid_role": "viewer",
        "openid_people": [],
        "openid_second_factor": False,
        "id_token_algorithm": "",
        "signed_userinfo": False,
        "subject_type": "public",
        "openid_group_ids": [],
        "openid_networks": [],
        "openid_hours": [],
        "service_account": "",
        "client_authentication": "secret",
        "client_keys": [],
        "client_keys_url": "",
        "requires_pushed_requests": False,
        "allows_device_flow": False,
        "custom_scopes": [],
        "is_self_registered": False,
    }
    assert call(browser, "GET", "apps").json()["results"][0]["id"] == str(app.pk)

    changed = call(browser, "PATCH", f"apps/{app.pk}", {"is_listed": False, "position": 5})
    assert (changed.status_code, changed.json()["is_listed"]) == (200, False)
    assert call(browser, "PATCH", f"apps/{app.pk}", changed.json()).status_code == 200
    assert call(browser, "DELETE", f"apps/{app.pk}").status_code == 204
    assert call(browser, "GET", f"apps/{app.pk}").status_code == 404
    actions = AuditEvent.objects.filter(action__startswith="sso:app:", actor_id=owner.pk)
    assert list(actions.order_by("seq").values_list("action", flat=True)) == [
        "sso:app:create",
        "sso:app:change",
        "sso:app:delete",
    ]


def test_bad_fields_are_named_and_unknown_ones_refused(browser: Client) -> None:
    answer = call(browser, "POST", "apps", {"name": "x", "url": "a b", "role": "viewer"})

    assert answer.status_code == 402
    assert set(answer.json()["errors"]) == {"url", "role"}
    assert not App.objects.exists()


def test_admins_read_and_do_not_write(admin: User, browser: Client, browser_of: BrowserOf) -> None:
    call(browser, "POST", "apps", WIKI)
    app = App.objects.get()
    other = browser_of(admin)

    assert call(other, "GET", "apps").status_code == 200
    for method, path, body in (
        ("POST", "apps", WIKI),
        ("PATCH", f"apps/{app.pk}", {"name": "x"}),
        ("DELETE", f"apps/{app.pk}", None),
    ):
        assert problem(call(other, method, path, body)) == (403, "forbidden")
    assert App.objects.get().name == "The wiki"


def test_a_rule_belongs_to_an_app(browser: Client) -> None:
    call(browser, "POST", "apps", WIKI)
    app = App.objects.get()
    rule = {"name": "Wiki", "effect": "deny", "app_id": str(app.pk)}

    made = call(browser, "POST", "access-rules", rule).json()
    assert made["app_id"] == str(app.pk)
    wrong = call(browser, "PATCH", f"access-rules/{made['id']}", {"app_id": str(uuid.uuid4())})
    assert (wrong.status_code, set(wrong.json()["errors"])) == (402, {"app_id"})
    simulated = {"url": "https://wiki.example.com/x"}
    assert call(browser, "POST", "access-rules/simulate", simulated).json()["app_id"] == str(app.pk)
    assert call(browser, "PATCH", f"access-rules/{made['id']}", {"app_id": None}).status_code == 200
    assert AccessRule.objects.get().app is None


def test_other_ids_of_people_have_to_be_confirmed(browser: Client) -> None:
    """Only once the app can know people; the change is audited, and can be taken back."""
    call(browser, "POST", "apps", WIKI)
    app = App.objects.get()
    path = f"apps/{app.pk}"
    first = {"subject_type": "pairwise", "openid_kind": "spa", "redirect_uris": ["https://w.test/"]}
    assert call(browser, "PATCH", path, first).json()["subject_type"] == "pairwise"
    change = {"subject_type": "public", "name": "Other"}
    for query in ("", "?confirm=false"):
        refused = call(browser, "PATCH", f"{path}{query}", change)
        assert refused.status_code == 402
        [text] = refused.json()["errors"]["subject_type"]
        assert "people get new, empty accounts in the app" in text
    assert call(browser, "PATCH", f"{path}?confirmed=true", change).status_code == 400
    app.refresh_from_db()
    assert (app.name, app.subject_type) == ("The wiki", "pairwise")
    assert call(browser, "PATCH", path, {"subject_type": "other"}).status_code == 402

    assert call(browser, "PATCH", f"{path}?confirm=true", change).json()["subject_type"] == "public"
    event = AuditEvent.objects.latest("seq")
    assert event.detail["before"] == {"name": "The wiki", "subject_type": "pairwise"}
    assert sentence(event, actor="Olga").endswith(
        "from name: The wiki; ids of people: pairwise to name: Other; ids of people: public."
    ), sentence(event, actor="Olga")

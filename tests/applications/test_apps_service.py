"""Services of apps: rank, audit, short names, and what a deletion leaves."""

import pytest

from accounts.models import User
from applications.models import App
from applications.services import apps
from audit.models import AuditEvent
from core.errors import Forbidden, NotFound, RecordInvalid
from forward_auth.models import AccessRule, Denial
from forward_auth.services.rules import create_rule, edit_rule

pytestmark = pytest.mark.django_db


def wiki(owner: User, **fields: str) -> App:
    values = {"name": "Wiki", "url": "https://wiki.example.com", **fields}
    return apps.create_app(actor=owner, app=App(**values))


def test_an_app_is_stored_after_the_others_with_an_audit_row(owner: User) -> None:
    first = wiki(owner)
    second = wiki(owner, url="https://wiki.example.com/two")

    assert (first.slug, first.position, first.host) == ("wiki", 10, "wiki.example.com")
    assert (second.slug, second.position) == ("wiki-2", 20)
    event = AuditEvent.objects.filter(action="sso:app:create").earliest("seq")
    assert event.actor_id == owner.pk
    assert event.target_id == first.pk
    assert event.detail["name"] == "Wiki"
    assert event.detail["after"]["url"] == "https://wiki.example.com"


def test_only_owners_change_apps(owner: User, admin: User, editor: User) -> None:
    app = wiki(owner)
    before = (list(App.objects.values()), AuditEvent.objects.count())

    for actor in (admin, editor):
        with pytest.raises(Forbidden):
            wiki(actor)
        with pytest.raises(Forbidden):
            apps.edit_app(actor=actor, app=app, changes={"name": "x"})
        with pytest.raises(Forbidden):
            apps.delete_app(actor=actor, app=app)

    assert (list(App.objects.values()), AuditEvent.objects.count()) == before


def test_a_change_names_what_changed_and_an_equal_value_writes_nothing(owner: User) -> None:
    app = wiki(owner)
    seen = AuditEvent.objects.count()

    apps.edit_app(actor=owner, app=app, changes={"name": " Wiki "})
    assert AuditEvent.objects.count() == seen
    apps.edit_app(actor=owner, app=app, changes={"url": "https://other.example.com/w"})

    app.refresh_from_db()
    assert (app.url, app.host, app.path) == (
        "https://other.example.com/w",
        "other.example.com",
        "/w",
    )
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.detail["before"], event.detail["after"]) == (
        "sso:app:change",
        {"url": "https://wiki.example.com"},
        {"url": "https://other.example.com/w"},
    )


def test_bad_values_name_their_fields_and_store_nothing(owner: User) -> None:
    with pytest.raises(RecordInvalid) as caught:
        wiki(owner, name=" ", url="x y", upstream="z", slug="A B")

    assert set(caught.value.errors) == {"name", "url", "upstream", "slug"}
    assert not App.objects.exists()


def test_a_short_name_is_given_once(owner: User) -> None:
    wiki(owner)
    other = wiki(owner, name="Other")

    with pytest.raises(RecordInvalid) as caught:
        apps.edit_app(actor=owner, app=other, changes={"slug": "wiki"})

    assert set(caught.value.errors) == {"slug"}
    other.refresh_from_db()
    assert other.slug == "other"


def test_there_is_a_limit(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "MAX_APPS", 1)
    wiki(owner)

    with pytest.raises(RecordInvalid):
        wiki(owner)

    assert App.objects.count() == 1


def test_deleting_an_app_leaves_its_rules_in_force(owner: User) -> None:
    app = wiki(owner)
    rule = create_rule(actor=owner, rule=AccessRule(name="Wiki", effect="deny", app=app))
    Denial.objects.create(reference="ABCD2345", status=403, code="forbidden", why="x", rule=rule)

    apps.delete_app(actor=owner, app=app)

    assert not App.objects.exists()
    rule.refresh_from_db()
    assert (rule.app, rule.effect, rule.is_enabled) == (None, "deny", True)
    assert Denial.objects.get().rule == rule
    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.target_id) == ("sso:app:delete", app.pk)
    with pytest.raises(NotFound):
        apps.delete_app(actor=owner, app=app)
    with pytest.raises(NotFound):
        apps.edit_app(actor=owner, app=app, changes={"name": "x"})


def test_a_rule_of_an_app_that_is_gone_is_refused(owner: User) -> None:
    app = wiki(owner)
    apps.delete_app(actor=owner, app=app)

    with pytest.raises(RecordInvalid) as caught:
        create_rule(actor=owner, rule=AccessRule(name="Wiki", effect="deny", app_id=app.pk))
    assert set(caught.value.errors) == {"app_id"}
    rule = create_rule(actor=owner, rule=AccessRule(name="Wiki", effect="deny"))
    with pytest.raises(RecordInvalid):
        edit_rule(actor=owner, rule=rule, changes={"app_id": app.pk})

    assert AccessRule.objects.get().app_id is None

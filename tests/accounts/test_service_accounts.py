"""Service accounts: what they are, who may do what with them, and where they never count."""

import io
import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from access_reviews.scopes import accounts_in_scope
from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services import users
from accounts.services.bulk.exports import ExportFilter, export_users
from accounts.services.bulk.imports import import_users
from accounts.services.bulk.planning import ImportOptions, Outcome
from accounts.services.ended_access import send_reminders
from accounts.services.second_factors import lacks_required_factor
from accounts.services.service_accounts import (
    create_service_account,
    hand_over,
    hand_over_all,
    has_responsible,
)
from accounts.services.signup import needs_first_admin
from accounts.services.undo import find_event, undo
from accounts.services.users import Profile
from api.apikeys.services import KeyRequest, create_key, revoke_key
from api.models import ApiKey
from audit.models import AuditEvent
from core.errors import CannotUndo, Forbidden, LastOwner, RecordInvalid
from mail.models import OutboxMail
from mail.outbox import enqueue_mail
from tests.api.keys import call_with, made, problem

pytestmark = pytest.mark.django_db
Create = Callable[..., User]
CHECK = {"x-original-url": "https://app.example.com/", "x-original-method": "GET"}


@pytest.fixture
def service(admin: User) -> User:
    """A service account of `admin`, for which they answer."""
    return create_service_account(
        actor=SYSTEM, username="Deploy-Bot", responsible=admin, role="editor", name="Deployments"
    )


def last_event(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("seq")


# What it is


def test_a_new_service_account_has_a_name_and_nothing_to_sign_in_with(
    admin: User, service: User
) -> None:
    assert (service.kind, service.email, service.username) == (
        "service",
        "deploy-bot",
        "deploy-bot",
    )
    assert (service.address, service.is_verified, service.has_usable_password()) == (
        None, False, False,
    )  # fmt: skip
    assert (service.responsible, service.role) == (admin, "editor")
    event = last_event("account:service:create")
    assert (event.target_id, event.detail) == (
        service.pk,
        {"role": "editor", "responsible": str(admin.pk), "source": "operator"},
    )
    assert not OutboxMail.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"password": "pbkdf2_sha256$1$x$y"}, {"email": "bot@example.com"}, {"email": "other"},
        {"username": None}, {"email_verified_at": timezone.now()}, {"last_login": timezone.now()},
        {"role": "owner"}, {"setup_completed": False}, {"kind": "person"},
        {"role_until": timezone.now(), "role_after": "owner"},
    ],
)  # fmt: skip
def test_the_database_refuses_what_a_service_account_cannot_have(
    service: User, change: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=service.pk).update(**change)


@pytest.mark.parametrize("change", [{"email": "viewer"}, {"kind": "service"}])
def test_the_database_refuses_a_person_without_an_address(
    viewer: User, change: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=viewer.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=viewer.pk).update(responsible=viewer)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"username": "a b"}, "username"),
        ({"username": "bot@example.com"}, "username"),
        ({"username": "VERA"}, "username"),
        ({"role": "owner"}, "role"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expires_at"),
        ({"responsible": None}, "responsible"),
    ],
)
def test_bad_input_names_the_field(
    owner: User, viewer: User, fields: dict[str, Any], wrong: str
) -> None:
    given = {"username": "bot", "responsible": owner} | fields
    with pytest.raises(RecordInvalid) as refused:
        create_service_account(actor=owner, **given)

    assert list(refused.value.errors) == [wrong]
    assert not User.objects.service_accounts().exists()
    assert not AuditEvent.objects.exists()


def test_no_mail_is_sent_to_it(service: User) -> None:
    service.expires_at = timezone.now() + timedelta(hours=20)
    service.save(update_fields=["expires_at"])
    enqueue_mail(kind="password-changed", recipient=service.email, user=service, context={})
    made(service)
    users.edit_profile(actor=SYSTEM, user=service, profile=Profile(name="Another purpose"))
    send_reminders()

    assert not OutboxMail.objects.filter(recipient=service.email).exists()


# Who may


def test_it_is_created_below_the_own_role(admin: User, owner: User, editor: User) -> None:
    for actor, role in ((admin, "admin"), (editor, "viewer")):
        with pytest.raises(Forbidden):
            create_service_account(actor=actor, username="bot", responsible=owner, role=role)
    made_one = create_service_account(
        actor=admin, username="bot", responsible=editor, role="editor"
    )

    assert list(User.objects.service_accounts()) == [made_one]


def test_it_never_becomes_owner(owner: User, service: User, admin: User) -> None:
    until = timezone.now() + timedelta(days=1)
    for change in ({}, {"until": until, "then": "viewer"}):
        with pytest.raises(RecordInvalid) as refused:
            users.change_role(actor=owner, user=service, role="owner", **change)
        assert list(refused.value.errors) == ["role"]
    with pytest.raises(CommandError, match="cannot be owner"):
        call_command("setrole", "deploy-bot", "owner", stdout=StringIO())
    with pytest.raises(RecordInvalid):
        users.check_profile(service, Profile(email="bot@example.com"))
    with pytest.raises(RecordInvalid):
        users.check_profile(User.objects.get(pk=service.pk), Profile(username="other"))

    assert User.objects.get(pk=service.pk).role == "editor"


def test_it_counts_neither_as_owner_nor_as_a_person(owner: User, service: User) -> None:
    users.change_role(actor=owner, user=service, role="admin")

    assert list(User.objects.active_owners()) == [owner]
    assert service not in User.objects.people()
    with pytest.raises(LastOwner):
        users.disable_user(actor=owner, user=owner)
    User.objects.people().delete()
    assert needs_first_admin()


def test_keys_are_created_by_managers_and_the_responsible_person(
    make_user: Callable[..., User], owner: User, editor: User, viewer: User
) -> None:
    bot = create_service_account(actor=owner, username="bot", responsible=editor, role="editor")
    lead = make_user("admin", "lead@example.com")
    wanted = KeyRequest(name="ci")
    for actor in (SYSTEM, owner, lead, editor):
        create_key(actor=actor, user=bot, key_request=wanted)
    with pytest.raises(Forbidden):
        create_key(actor=viewer, user=bot, key_request=wanted)
    # Its role is now above that of the responsible person, who would gain it by a key.
    users.change_role(actor=owner, user=bot, role="admin")
    for actor in (lead, editor):
        with pytest.raises(Forbidden):
            create_key(actor=actor, user=User.objects.get(pk=bot.pk), key_request=wanted)

    assert ApiKey.objects.filter(user=bot).count() == 4
    # Whoever answers for it may always end a key.
    key = ApiKey.objects.filter(user=bot).select_related("user").first()
    assert key is not None
    revoke_key(actor=editor, key=key)
    assert ApiKey.objects.get(pk=key.pk).revoked_at is not None
    other = ApiKey.objects.filter(user=bot, revoked_at=None).select_related("user").first()
    assert other is not None
    with pytest.raises(Forbidden):
        revoke_key(actor=viewer, key=other)


# Who answers for it


def test_it_is_handed_over_and_back(owner: User, editor: User, viewer: User, service: User) -> None:
    admin_id = str(service.responsible_id)
    with pytest.raises(Forbidden):
        hand_over(actor=editor, user=service, responsible=editor)
    hand_over(actor=owner, user=service, responsible=editor)
    event = last_event("account:service:hand-over")

    assert event.detail == {"before": admin_id, "after": str(editor.pk)}
    assert User.objects.get(pk=service.pk).responsible == editor
    found = find_event(event.seq)
    assert found is not None
    undo(actor=owner, event=found)
    assert str(User.objects.get(pk=service.pk).responsible_id) == admin_id
    with pytest.raises(CannotUndo):
        undo(actor=owner, event=found)


@pytest.mark.parametrize("unfit", ["service", "disabled", "expired", "nobody"])
def test_only_an_active_person_answers_for_one(
    owner: User, editor: User, service: User, unfit: str
) -> None:
    changes = {"disabled": {"is_active": False}, "expired": {"expires_at": timezone.now()}}
    User.objects.filter(pk=editor.pk).update(**changes.get(unfit, {}))
    taker = {"service": service, "nobody": None}.get(unfit, editor)
    before = AuditEvent.objects.count()
    with pytest.raises(RecordInvalid) as refused:
        hand_over(actor=owner, user=service, responsible=taker)

    assert list(refused.value.errors) == ["responsible"]
    assert AuditEvent.objects.count() == before
    with pytest.raises(RecordInvalid):
        hand_over(actor=owner, user=editor, responsible=owner)


@pytest.mark.parametrize("loss", ["disable", "expire", "delete"])
def test_nothing_ends_with_the_responsible_person_and_the_account_is_listed(
    owner: User, admin: User, service: User, loss: str
) -> None:
    key = made(service)
    now = timezone.now()
    assert not User.objects.without_responsible(now).exists()
    match loss:
        case "disable":
            users.disable_user(actor=owner, user=admin)
        case "expire":
            User.objects.filter(pk=admin.pk).update(expires_at=now)
        case "delete":
            users.delete_user(actor=owner, user=admin)

    assert list(User.objects.without_responsible(now)) == [service]
    assert not has_responsible(User.objects.get(pk=service.pk))
    assert call_with(key.text).status_code == 200


def test_all_accounts_of_a_person_are_handed_over_by_rank(
    make_user: Callable[..., User], owner: User, admin: User, service: User
) -> None:
    lead = make_user("admin", "lead@example.com")
    high = create_service_account(actor=owner, username="high", responsible=admin, role="admin")
    done = hand_over_all(actor=lead, giver=admin, taker=lead)

    assert (done.done, done.skipped) == (1, ("high",))
    assert User.objects.get(pk=service.pk).responsible == lead
    assert User.objects.get(pk=high.pk).responsible == admin


# Its keys


def test_its_key_works_at_the_api_and_the_proxy_without_factor_or_verified_address(
    service: User, client: Client, settings: Any
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = False
    settings.MFA_REQUIRED_ROLES = ("editor",)
    key = made(service, scopes=["read", "write"]).text
    answer = client.get("/auth/check?token=1", headers={**CHECK, "x-api-key": key})

    assert not lacks_required_factor(service)
    assert answer.status_code == 204
    assert {name: answer[name] for name in answer.headers if name.startswith("Remote-")} == {
        "Remote-User": "deploy-bot", "Remote-Email": "", "Remote-Name": "Deployments",
        "Remote-Groups": "editor", "Remote-Id": str(service.pk),
        "Remote-Token": answer["Remote-Token"],
    }  # fmt: skip
    me = call_with(key).json()
    assert (me["kind"], me["email"], me["username"], me["is_verified"]) == (
        "service", None, "deploy-bot", False,
    )  # fmt: skip
    users.disable_user(actor=SYSTEM, user=service)
    assert client.get("/auth/check", headers={**CHECK, "x-api-key": key}).status_code in (401, 403)
    assert problem(call_with(key))[0] == 403


def test_its_key_changes_neither_its_name_nor_deletes_it(service: User) -> None:
    key = made(service, scopes=["read", "write"]).text
    assert call_with(key, "PATCH", "me", {"username": "other"}).status_code == 402
    assert call_with(key, "DELETE", "me", {"password": "-"}).status_code == 403
    assert call_with(key, "PATCH", "me", {"name": "CI"}).json()["name"] == "CI"


def test_an_admin_service_account_acts_by_its_key(owner: User, editor: User) -> None:
    bot = create_service_account(actor=owner, username="bot", responsible=owner, role="admin")
    key = made(bot, scopes=["read", "users"]).text
    answer = call_with(key, "PATCH", f"users/{editor.pk}", {"role": "viewer"})

    assert (answer.status_code, answer.json()["role"]) == (200, "viewer")
    assert last_event("account:role:change").actor_id == bot.pk


# Lists and reviews


def test_reviews_contain_it_but_not_as_unused_or_without_a_factor(service: User) -> None:
    User.objects.update(created_at=timezone.now() - timedelta(days=400))
    now = timezone.now()
    made(service)
    found = {
        scope: service in list(accounts_in_scope(scope, "viewer", now))
        for scope in ("all", "role", "api-keys", "unused", "no-second-factor")
    }

    assert found == {
        "all": True, "role": True, "api-keys": True, "unused": False, "no-second-factor": False,
    }  # fmt: skip


# Files


def test_an_export_has_it_and_an_import_creates_it_again(owner: User, service: User) -> None:
    lines = list(export_users(actor=owner, chosen=ExportFilter()))
    assert any(",deploy-bot,editor,active,no," in line for line in lines)
    users.delete_user(actor=owner, user=service)
    file = "".join(lines).encode()
    result = import_users(io.BytesIO(file), actor=owner, options=ImportOptions())

    assert (result.counts[Outcome.NEW], result.errors) == (1, [])
    stored = User.objects.service_accounts().get()
    assert (stored.email, stored.role, stored.name) == ("deploy-bot", "editor", "Deployments")
    assert stored.responsible_id == service.responsible_id
    assert not stored.has_usable_password()


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ("bot@example.com,bot,viewer,service,admin@example.com,", "email"),
        (",,viewer,service,admin@example.com,", "email"),
        (",bot,owner,service,admin@example.com,", "role"),
        (",bot,viewer,service,,", "responsible"),
        (",bot,viewer,service,nobody@example.com,", "responsible"),
        (",bot,viewer,service,admin@example.com,pbkdf2_sha256$1$a$b", "password_hash"),
        (",bot,viewer,robot,,", "kind"),
        ("new@example.com,,viewer,person,admin@example.com,", "responsible"),
    ],
)
def test_an_import_says_what_a_service_account_cannot_have(
    owner: User, admin: User, cells: str, field: str
) -> None:
    file = f"email,username,role,kind,responsible,password_hash\n{cells}\n".encode()
    options = ImportOptions(allow_owners=True)
    result = import_users(io.BytesIO(file), actor=owner, options=options)

    assert field in {error.field for error in result.errors}
    assert (User.objects.count(), AuditEvent.objects.count()) == (2, 0)


# Commands


def test_the_command_creates_an_account_with_a_key(admin: User) -> None:
    out = StringIO()
    call_command(
        "createserviceaccount", "ci", "--responsible", admin.email, "--role", "editor",
        "--for", "Builds", "--expires", "2999-01-01", "--key", "runner", "--scope", "read",
        "--json", stdout=out,
    )  # fmt: skip
    told = json.loads(out.getvalue())

    assert (told["kind"], told["username"], told["email"]) == ("service", "ci", None)
    assert told["responsible_id"] == str(admin.pk)
    assert call_with(told["key"]).json()["role"] == "editor"
    listed = StringIO()
    call_command("listusers", "--kind", "service", stdout=listed)
    assert "service account" in listed.getvalue()
    assert admin.email not in listed.getvalue()
    with pytest.raises(CommandError, match="Another account"):
        call_command("createserviceaccount", "ci", "--responsible", admin.email)


def test_the_command_creates_nothing_if_the_key_is_refused(admin: User) -> None:
    with pytest.raises(CommandError, match="scopes"):
        call_command(
            "createserviceaccount", "ci", "--responsible", admin.email, "--key", "x",
            "--scope", "users",
        )  # fmt: skip

    assert not User.objects.service_accounts().exists()

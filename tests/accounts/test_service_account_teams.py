"""A group that answers for a service account: who may do what with its keys, and for how long."""

import io
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Group, Membership, User
from accounts.services.groups.changes import create_group, delete_group
from accounts.services.groups.members import add_member, remove_member
from accounts.services.service_accounts import (
    answers_for,
    create_service_account,
    give_to_team,
    has_responsible,
    may_manage_keys,
)
from accounts.services.undo import find_event, undo
from accounts.services.users import disable_user
from audit.models import AuditEvent
from core.errors import Forbidden, RecordInvalid
from tests.api.keys import made

pytestmark = pytest.mark.django_db


@pytest.fixture
def ops(db: None) -> Group:
    return create_group(actor=SYSTEM, name="ops")


@pytest.fixture
def bot(admin: User, ops: Group) -> User:
    return create_service_account(
        actor=SYSTEM, username="bot", responsible=admin, role="editor", team=ops
    )


def now_of(user: User) -> User:
    return User.objects.get(pk=user.pk)


def test_people_of_the_group_manage_keys_up_to_their_role_and_while_they_are_in_it(
    bot: User, ops: Group, editor: User, viewer: User, browser_of: Callable[[User], Client]
) -> None:
    page = f"/account/service-accounts/{bot.pk}"
    assert browser_of(editor).get(page).status_code == 404
    for person in (editor, viewer):
        add_member(actor=SYSTEM, user=person, group=ops, until=None)
    assert [may_manage_keys(person, bot) for person in (editor, viewer)] == [True, False]
    assert answers_for(viewer, bot)

    form = {"name": "x", "scopes": ["read"], "life": "30"}
    assert browser_of(editor).post(page, form).status_code == 200
    assert browser_of(viewer).post(page, form).status_code == 403
    key = bot.api_keys.get()
    revoked = browser_of(viewer).post(f"{page}/keys/{key.pk}/revoke")
    assert revoked.status_code == 303

    Membership.objects.filter(user=editor).update(until=timezone.now())
    remove_member(actor=SYSTEM, user=viewer, group=ops)
    for person in (editor, viewer):
        assert (browser_of(person).get(page).status_code, may_manage_keys(person, bot)) == (
            404,
            False,
        )


def test_a_program_in_the_group_answers_for_nothing(bot: User, ops: Group, owner: User) -> None:
    other = create_service_account(actor=SYSTEM, username="x", responsible=owner, role="editor")
    for program in (other, bot):
        add_member(actor=SYSTEM, user=program, group=ops)
        assert not may_manage_keys(program, bot)
    key = made(other, "k", scopes=["read", "write"]).text
    refused = Client(headers={"x-api-key": key}).get(f"/api/v1/users/{bot.pk}/api-keys")
    assert refused.status_code == 403


def test_the_group_answers_when_the_person_is_gone(
    bot: User, ops: Group, admin: User, editor: User, owner: User
) -> None:
    add_member(actor=SYSTEM, user=editor, group=ops, until=timezone.now() + timedelta(days=1))
    disable_user(actor=SYSTEM, user=admin)
    assert has_responsible(now_of(bot))
    assert not User.objects.without_responsible(timezone.now()).exists()

    assert User.objects.without_responsible(timezone.now() + timedelta(days=2)).get() == bot
    disable_user(actor=SYSTEM, user=editor)
    assert not has_responsible(now_of(bot))
    with pytest.raises(RecordInvalid, match="Service account"):
        delete_group(actor=owner, group=ops)
    delete_group(actor=owner, group=ops, confirmed=True)
    assert now_of(bot).responsible_group_id == ops.pk
    assert not answers_for(editor, now_of(bot))


def test_the_group_is_changed_by_who_may_manage_the_account_and_undone(
    bot: User, ops: Group, admin: User, editor: User
) -> None:
    with pytest.raises(Forbidden):
        give_to_team(actor=editor, user=bot, team=None)
    give_to_team(actor=admin, user=bot, team=ops)
    count = AuditEvent.objects.count()
    give_to_team(actor=admin, user=bot, team=None)

    event = AuditEvent.objects.latest("seq")
    assert (event.action, event.detail["before"], event.detail["after"]) == (
        "account:service:team",
        "ops",
        "",
    )
    assert AuditEvent.objects.count() == count + 1
    found = find_event(event.seq)
    assert found is not None
    undo(actor=admin, event=found)
    assert now_of(bot).responsible_group_id == ops.pk
    with pytest.raises(RecordInvalid):
        give_to_team(actor=admin, user=editor, team=ops)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=editor.pk).update(responsible_group_id=ops.pk)


def test_panel_api_and_command_take_a_group(
    ops: Group, owner: User, browser_of: Callable[[User], Client]
) -> None:
    browser = browser_of(owner)
    path = "/api/v1/service-accounts"
    body = {"username": "a", "responsible_group_id": str(ops.pk)}
    made_by_api = browser.post(path, body, content_type="application/json").json()
    assert made_by_api["responsible_group_id"] == str(ops.pk)
    wrong = {**body, "username": "b", "responsible_group_id": str(owner.pk)}
    refused = browser.post(path, wrong, content_type="application/json")
    assert [*refused.json()["errors"]] == ["responsible_group_id"]
    user_path = f"/api/v1/users/{made_by_api['id']}"
    changed = browser.patch(
        user_path, {"responsible_group_id": None}, content_type="application/json"
    )
    assert changed.json()["responsible_group_id"] is None

    page = f"/admin/accounts/serviceaccount/{made_by_api['id']}/change/"
    form = {"name": "A", "responsible": owner.email, "role": "viewer", "team": str(ops.pk)}
    assert browser.post(page, form).status_code == 302
    assert User.objects.get(username="a").responsible_group_id == ops.pk
    assert (
        "Service account “a”"
        in browser.get(f"/admin/accounts/group/{ops.pk}/change/").content.decode()
    )

    out = io.StringIO()
    call_command(
        *("createserviceaccount", "c", "--responsible", owner.email, "--team", "ops", "--json"),
        stdout=out,
    )
    assert json.loads(out.getvalue())["responsible_group_id"] == str(ops.pk)

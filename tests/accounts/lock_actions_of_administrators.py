"""Actions on the instance: rules, moderation, first run, the directory, mails, signing keys."""

import io
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from access_reviews.models import AccessReview, ReviewItem
from access_reviews.scopes import access_of
from access_reviews.services import decisions, due, reviews
from access_reviews.services import exports as review_exports
from accounts.actors import ANONYMOUS_ID, SYSTEM
from accounts.admin.users import actions as user_actions
from accounts.models import ApprovalRequest, Group, Invitation, Membership, User
from accounts.roles import Role
from accounts.services import (
    anonymous,
    ended_access,
    first_run,
    offboard,
    sessions,
    signup,
    undo,
    users,
)
from accounts.services import mail as mail_services
from accounts.services.approvals import requests as approvals
from accounts.services.approvals import rule as approval_rule
from accounts.services.approvals.rule import TwoPersonRequired
from accounts.services.branding import change_branding
from accounts.services.bulk import exports, imports
from accounts.services.groups import changes as group_changes
from accounts.services.groups import members, sources
from api.apikeys import services
from api.models import ApiKey
from api.tokens import algorithms, signing_keys
from applications.importing.client import ImportedClient
from applications.models import App
from applications.services import apps, custom_scopes, secrets
from audit import audit_log
from audit.models import AuditEvent
from core.errors import GatehouseError
from core.locks import lock_users
from federation.group_mapping import MappedGroups
from federation.ldap import sign_in, sync
from federation.ldap.conf import LDAPConfig
from federation.ldap.filters import parse_filter
from federation.ldap.users import DirectoryUser, Groups
from federation.models import ExternalIdentity
from federation.providers import SignInSource
from federation.role_mapping import ClaimPath, Requirement, RoleMapping, RoleRule
from federation.services import groups as provider_groups
from federation.services import identities, identity_moves, profile_updates, switching
from federation.services.profile_updates import ProfileUpdate
from forward_auth.models import AccessRule, Denial
from forward_auth.services import app_setup, denials, key_usage, rules
from mail import outbox
from mail.models import OutboxMail
from moderation.services import actions, bans, violations
from operations.as_code import apply as as_code
from operations.importing import clients
from operations.rescue import RescueOptions, rescue
from tests.accounts.lock_table import LOCAL, PREPARATIONS, act, person, with_local_settings
from webhooks.models import NoticeChoice
from webhooks.services import derivation, notices, sending
from webhooks.services import endpoints as webhook_endpoints

with_local_settings(
    actions, algorithms, anonymous, first_run, outbox, sign_in, signing_keys, switching, sync
)
with_local_settings(webhook_endpoints, sending, approval_rule)
MAPPING = RoleMapping(
    requirements=(Requirement(ClaimPath("authorization_filter"), frozenset({"met"})),),
    rules=(RoleRule(ClaimPath("group_names"), frozenset({"editors"}), Role.EDITOR),),
    default=Role.VIEWER,
    updates=True,
)
DIRECTORY = LDAPConfig(
    url="ldap://directory.invalid",
    base_dn="dc=example,dc=com",
    user_filter=parse_filter("(uid={{username}})", "username"),
    source=SignInSource("ldap", "Directory", allows_registration=True, mapping=MAPPING),
)
# A variable that a configuration file refers to.
SECRET = "SECRET_OF_RACES"
os.environ[SECRET] = "a-secret-of-an-app-elsewhere"


class FreshInstance:
    """In a thread where it is on, no user exists yet."""

    def __init__(self) -> None:
        self._here = threading.local()
        self._needs_admin, self._is_first_owner = signup.needs_first_admin, sign_in.is_first_owner

    def install(self) -> None:
        for module in (sign_in, first_run, signup):
            vars(module)["needs_first_admin"] = lambda: self.is_on or self._needs_admin()
        vars(sign_in)["is_first_owner"] = lambda *asked: self.is_on or self._is_first_owner(*asked)

    @property
    def is_on(self) -> bool:
        return getattr(self._here, "is_on", False)

    @contextmanager
    def on(self) -> Iterator[None]:
        """What was made without an account waits for the first person, too."""
        giver = User.all_objects.get(pk=ANONYMOUS_ID)
        services.create_key(
            actor=giver, user=giver, key_request=services.KeyRequest(name="x", scopes=["read"])
        )
        self._here.is_on = True
        try:
            yield
        finally:
            self._here.is_on = False
            ApiKey.objects.filter(user_id=ANONYMOUS_ID).delete()


class DirectoryOfOne:
    """What the directory says of dora, instead of a server that is asked."""

    def __init__(self) -> None:
        self.here = threading.local()

    def install(self) -> None:
        vars(sync)["_is_our_turn"] = lambda: True
        vars(sign_in)["look_up"] = lambda *_asked: self.dora()
        vars(sync)["_read"] = lambda _directory, wanted, _progress: iter(
            [self.dora()] if "dora" in wanted else []
        )

    def dora(self, **changes: Any) -> DirectoryUser:
        said = {
            "dn": "uid=dora,dc=example,dc=com",
            "subject": "dora",
            "username": "dora",
            "email": "dora@example.com",
            "name": "Dora",
            "is_admitted": True,
            "groups": Groups((), ()),
        }
        return DirectoryUser(**(said | getattr(self.here, "changes", {}) | changes))


FRESH = FreshInstance()
DIRECTORY_DOUBLE = DirectoryOfOne()
PREPARATIONS.extend([FRESH.install, DIRECTORY_DOUBLE.install])


def invited(email: str) -> str:
    """Signing in with this address accepts an invitation."""
    now = timezone.now()
    Invitation.objects.create(
        email=email, role="editor", digest=uuid.uuid4().hex, by_system=True,
        created_at=now, expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    return email


@act
def sign_in_by_directory() -> None:
    for changes in (
        {"groups": Groups(("cn=editors",), ("editors",))},
        {"email": invited("dora.other@example.com"), "name": "Dora Other"},
        {"email": ""},
        {"email": invited("anna@example.com")},
        {},
    ):
        sign_in.sign_in(DIRECTORY, DIRECTORY_DOUBLE.dora(**changes))


@act
def sign_in_with_address_of_another_user() -> None:
    """The address of dora has been reassigned to a new user."""
    DIRECTORY_DOUBLE.here.changes = {"email": invited("dora.other@example.com")}
    new = DIRECTORY_DOUBLE.dora(subject=uuid.uuid4().hex, email="dora@example.com", username="new")
    try:
        user = sign_in.sign_in(DIRECTORY, new)
    finally:
        DIRECTORY_DOUBLE.here.changes = {}
    users.delete_user(actor=SYSTEM, user=user)


if find_spec("ldap") is not None:
    with_local_settings(import_module("federation.ldap.backend"))

    @act
    def rehearse_a_sign_in_by_the_directory() -> None:
        """As `ldaptest`: a known user, with other groups, and a new user."""
        rehearsal = import_module("federation.ldap.rehearsal")
        with LOCAL.using(LDAP=DIRECTORY):
            backend = rehearsal.RehearsalBackend(verifies_password=False)
            for changes in (
                {"groups": Groups(("cn=editors",), ("editors",))},
                {"email": invited("dora.other@example.com"), "name": "Dora Other"},
                {"subject": uuid.uuid4().hex, "email": "new@example.com", "username": "new"},
            ):
                backend.account_of(DIRECTORY_DOUBLE.dora(**changes))


@act
def switch_the_directory() -> None:
    """Two owners do it at once; dora may sign in by the directory meanwhile."""
    with LOCAL.using(LDAP=DIRECTORY):
        switching.switch_off(actor=person("owner"), provider_id="ldap")
        switching.switch_on(actor=person("owner"), provider_id="ldap")


@act
def ask_the_directory_before_links() -> None:
    DIRECTORY_DOUBLE.here.changes = {"email": invited("dora.other@example.com")}
    try:
        with LOCAL.using(LDAP=DIRECTORY):
            sign_in.why_no_links(["dora@example.com", "anna@example.com"])
    finally:
        DIRECTORY_DOUBLE.here.changes = {}


@act
def import_and_export_people() -> None:
    for skips in (False, True):
        group = Group.objects.create(name=uuid.uuid4().hex[:12])
        text = f"""email,name,role,state,groups
{uuid.uuid4().hex}@example.com,New,viewer,active,{group.name}
bert@example.com,{uuid.uuid4().hex},editor,disabled,
anna@example.com,{uuid.uuid4().hex},viewer,active,{group.name}
"""
        wanted = imports.ImportOptions(update=True, skip_errors=skips)
        stream = io.BytesIO(text.encode())
        imports.import_users(stream, actor=person("owner"), options=wanted)
        group.delete()
    list(exports.export_users(actor=person("owner"), chosen=exports.ExportFilter(role="owner")))


@act
def sync_the_directory() -> None:
    for changes in (
        {
            "groups": Groups(("cn=editors",), ("editors",)),
            "email": invited("dora.other@example.com"),
        },
        {"is_admitted": False},
        {},
    ):
        DIRECTORY_DOUBLE.here.changes = changes
        try:
            sync.apply(sync.plan(DIRECTORY))
        finally:
            DIRECTORY_DOUBLE.here.changes = {}
    DIRECTORY_DOUBLE.here.changes = {"is_admitted": False}
    try:
        sync.apply(sync.plan(DIRECTORY))
    finally:
        DIRECTORY_DOUBLE.here.changes = {}
    sync.undo()


@act
def sync_the_directory_live() -> None:
    DIRECTORY_DOUBLE.here.changes = {"is_admitted": False}
    ExternalIdentity.objects.filter(subject="dora").update(last_used_at=timezone.now())
    User.objects.filter(email="dora@example.com").update(last_login=timezone.now())
    try:
        with LOCAL.using(LDAP=DIRECTORY):
            sync.sync_live()
    finally:
        DIRECTORY_DOUBLE.here.changes = {}


@act
def follow_a_profile() -> None:
    """What a provider says anew, of the address of dora and of another account's."""
    identity = ExternalIdentity.objects.select_related("user").get(provider="ldap", subject="dora")
    profile_updates.note_reassigned_email(
        "dora@example.com", provider="ldap", issuer="", subject=uuid.uuid4().hex
    )
    profile_updates.release_address(identity)
    update = ProfileUpdate("dora@example.com", True, "Dora", "dora", is_source=True)
    profile_updates.update_profile(identity, update)


@act
def move_identities_to_another_issuer() -> None:
    user = person("anna")
    old, new = uuid.uuid4().hex, uuid.uuid4().hex
    for subject in ("s", "t"):
        ExternalIdentity.objects.create(user=user, provider="openid", subject=subject, issuer=old)
    identity_moves.move_identities(
        actor=SYSTEM,
        old=identity_moves.Namespace("openid", old),
        new=identity_moves.Namespace("openid", new),
    )
    ExternalIdentity.objects.filter(issuer=new).delete()


@act
def refuse_at_a_provider() -> None:
    source = SignInSource("ldap", "Directory", mapping=MAPPING)
    identity = ExternalIdentity.objects.select_related("user").get(provider="ldap", subject="dora")
    claims = {"authorization_filter": "met", "group_names": ["editors"]}
    decision = MAPPING.decide({"ldap": claims})
    identities.apply_role(source, identity.user, decision)
    info = identities.ExternalUserInfo(subject="dora", disabled="locked there")
    try:
        identities.resolve_user(source, info)
    except identities.DisabledAtSource:
        return


@act
def claim_the_instance() -> None:
    owner = User.objects.create(
        email=f"{uuid.uuid4().hex}@example.com", role=Role.OWNER, setup_completed=False
    )
    first_run.ensure_owner()
    issued = first_run.issue_setup_link(owner)
    assert issued is not None
    details = signup.SignUp(owner.email, "Owner", "nine quiet rivers under glass")
    with FRESH.on():
        user = first_run.claim_owner(issued.token, details)
    users.delete_user(actor=SYSTEM, user=user)


@act
def make_the_first_owner() -> None:
    with LOCAL.using(
        DEFAULT_OWNER_EMAIL=f"{uuid.uuid4().hex}@example.com", DEFAULT_OWNER_USERNAME=""
    ):
        User.objects.filter(role=Role.OWNER, setup_completed=False).exists()
        first_run.ensure_owner()
    anonymous.sync_anonymous_user()


@act
def sign_up_as_the_first() -> None:
    details = signup.SignUp(
        f"{uuid.uuid4().hex}@example.com", "First", "nine quiet rivers under glass"
    )
    with FRESH.on():
        user = signup.sign_up_first(details, set_up_code="", is_localhost=True)
    assert user is not None
    users.delete_user(actor=SYSTEM, user=user)


@act
def become_the_first_owner_of_the_directory() -> None:
    User.objects.create(
        email=f"{uuid.uuid4().hex}@example.com", role=Role.OWNER, setup_completed=False
    )
    with FRESH.on():
        sign_in.sign_in(DIRECTORY, DIRECTORY_DOUBLE.dora())


@act
def switch_the_anonymous_mode() -> None:
    with LOCAL.using(ANONYMOUS_ROLE=Role.EDITOR, ANONYMOUS_SETTINGS=("ANONYMOUS_MODE",)):
        anonymous.sync_anonymous_user()
    anonymous.sync_anonymous_user()


@act
def change_groups() -> None:
    admin, anna, bert, soon = (
        person("admin"),
        person("anna"),
        person("bert"),
        timezone.now() + timedelta(hours=1),
    )
    name = uuid.uuid4().hex[:12]
    group = group_changes.create_group(actor=admin, name=name)
    members.add_member(actor=admin, user=anna, group=group, until=soon)
    members.add_member(actor=admin, user=bert, group=group)
    members.remove_member(actor=admin, user=bert, group=group)
    sources.set_groups_of_source(user=person("dora"), source="directory", names={name})
    with transaction.atomic():
        lock_users(person("dora").pk)
        sources.move_groups([person("dora").pk], "directory", "provider:x")
    mapped = MappedGroups(frozenset({name}), frozenset({"other"}), "cut")
    provider_groups.update_groups("x", person("dora"), mapped)
    provider_groups.forget_groups("x", person("dora"))
    sources.forget_groups_of_source(user=person("dora"), source="provider:x")
    group_changes.change_group(actor=admin, group=group, changes={"label": "Other"})
    Membership.objects.filter(group=group, user=anna).update(until=timezone.now())
    members.end_memberships()
    members.add_member(actor=admin, user=bert, group=group)
    group_changes.delete_group(actor=admin, group=group)
    undo.undo(actor=admin, event=AuditEvent.objects.get(
        action="account:group:delete", target_id=group.pk
    ))  # fmt: skip
    group_changes.delete_group(actor=admin, group=group)


@act
def change_groups_by_commands() -> None:
    name, people = uuid.uuid4().hex[:12], ["anna@example.com", "bert@example.com"]
    with suppress(CommandError):
        call_command("addtogroup", name, *people, "--create", stdout=io.StringIO())
        call_command("removefromgroup", name, *people, stdout=io.StringIO())
    for group in Group.objects.filter(name=name):
        group_changes.delete_group(actor=person("admin"), group=group)


@act
def change_rules() -> None:
    owner = person("owner")
    made = []
    for place in range(2):
        rule = AccessRule(name=f"r{place}", effect="role", role="viewer", host="app.example.com")
        made.append(rules.create_rule(actor=owner, rule=rule))
    first = made[0]
    first.path = "/x"
    rules.change_rule(actor=owner, rule=first)
    rules.set_rule_enabled(actor=owner, rule=first, is_enabled=False)
    rules.edit_rule(actor=owner, rule=first, changes={"is_enabled": True, "name": "r"})
    rules.move_rule(actor=owner, rule=made[1], places=-1)
    change_branding(actor=owner, changes={"name": "Example", "color": "#1d4ed8"})
    rules.move_rule_to(actor=owner, rule=made[1], position=2)
    Denial.objects.bulk_create(
        Denial(reference=uuid.uuid4().hex[:8].upper(), status=403, code="x", why="", rule=rule)
        for rule in made
    )
    for rule in made:
        rules.delete_rule(actor=owner, rule=rule)


def _review() -> dict[str, ReviewItem]:
    """A new review of everyone; its items by the name of the person."""
    wanted = reviews.ReviewRequest(
        "Quarter", timezone.now() + timedelta(days=9), reviewers=[person("owner").pk]
    )
    review = reviews.start_review(actor=person("owner"), wanted=wanted)
    names = {person(name).pk: name for name in ("owner", "admin", "anna", "bert")}
    return {names[item.user_id]: item for item in review.items.filter(user_id__in=names)}


def _seen(name: str) -> str:
    user = person(name)
    return access_of([user])[user.pk].fingerprint


@act
def review_access() -> None:
    owner, items = person("owner"), _review()
    # A person whom another action has disabled a moment ago is not listed.
    for name in items.keys() & {"anna"}:
        decisions.postpone(actor=owner, item=items[name])
        key = services.create_key(
            actor=SYSTEM,
            user=person(name),
            key_request=services.KeyRequest(name="x", scopes=["read"]),
        ).key
        removal = decisions.Removal(keys=[key.pk])
        decisions.take_away(actor=owner, item=items[name], seen=_seen(name), removal=removal)
    for name in items.keys() & {"bert"}:
        decisions.confirm_many(actor=owner, seen=[(items[name], _seen(name))])
    for name in items.keys() & {"admin"}:
        decisions.confirm(actor=owner, item=items[name], seen=_seen(name))
    review = AccessReview.objects.order_by("-pk")[0]
    list(review_exports.export_csv(actor=owner, review=review))
    list(review_exports.export_records(actor=owner, review=review))
    reviews.close_review(actor=owner, review=review, reason="enough")


@act
def handle_due_reviews() -> None:
    _review()
    AccessReview.objects.filter(closed_at=None).update(
        due_at=timezone.now() - timedelta(hours=1), disable_undecided=True
    )
    due.send_review_reminders()
    due.handle_due_reviews()


@act
def change_webhooks() -> None:
    owner = person("owner")
    values = {"name": "w", "url": "https://127.0.0.1/"}
    with LOCAL.using(WEBHOOK_ALLOWED_NETWORKS=(ip_network("127.0.0.0/8"),)):
        row = webhook_endpoints.create_endpoint(actor=owner, values=values).endpoint
        webhook_endpoints.edit_endpoint(actor=owner, endpoint=row, changes={"name": "x"})
    webhook_endpoints.rotate_secret(actor=owner, endpoint=row)
    sent = sending.send_test(actor=owner, endpoint=row)
    sending.deliver_due(3)  # refused, because without the setting no private address is allowed
    for is_enabled in (False, True):  # which gives it up
        webhook_endpoints.edit_endpoint(
            actor=owner, endpoint=row, changes={"is_enabled": is_enabled}
        )
    sending.resend(actor=owner, delivery=sent)
    webhook_endpoints.edit_endpoint(actor=owner, endpoint=row, changes={"is_enabled": False})
    derivation.erase_payloads()
    sending.purge_deliveries(timezone.now())
    webhook_endpoints.delete_endpoint(actor=owner, endpoint=row)


@act
def change_apps() -> None:
    owner = person("owner")
    name = uuid.uuid4().hex
    app = app_setup.protect_app(
        actor=owner,
        app=App(name=name, url=f"https://{name}.example.com", proxy="nginx"),
        access=app_setup.Access(Role.VIEWER, ("/open",), ("10.0.0.0/8",)),
    )
    other = App(name=name, url="https://wiki.example.com")
    apps.create_app(actor=owner, app=other)
    apps.edit_app(actor=owner, app=app, changes={"description": "x"})
    values = {"name": name, "description": "read your books"}
    scope = custom_scopes.create_scope(actor=owner, values=values)
    apps.edit_app(actor=owner, app=other, changes={"custom_scopes": [name]})
    custom_scopes.edit_scope(actor=owner, scope=scope, changes={"description": "x"})
    custom_scopes.delete_scope(actor=owner, scope=scope)
    first = secrets.create_secret(actor=owner, app=app)
    secrets.create_secret(actor=owner, app=app)
    secrets.revoke_secret(actor=owner, app=app, secret_id=first.secret.pk)
    secrets.app_of_credentials(app.client_id, first.text)
    mine = AccessRule.objects.filter(app=app)
    for row in list(mine):
        rules.edit_rule(actor=owner, rule=row, changes={"app_id": other.pk})
    for row in list(AccessRule.objects.filter(app=other)):
        rules.delete_rule(actor=owner, rule=row)
    apps.delete_app(actor=owner, app=app)
    apps.delete_app(actor=owner, app=other)


@act
def import_clients() -> None:
    owner, name = person("owner"), uuid.uuid4().hex
    address = f"https://{name}.example.com"
    found = [
        ImportedClient(
            name, name, addresses=(address,), kind="web", redirect_uris=(address,), secret=name
        ),
        ImportedClient(name, addresses=(address,), is_proxied=True),
    ]
    clients.plan_clients(found, actor=owner, options=clients.ImportOptions())
    for made in clients.import_clients(found, actor=owner, options=clients.ImportOptions()):
        for row in list(AccessRule.objects.filter(app=made.app)):
            rules.delete_rule(actor=owner, rule=row)
        apps.delete_app(actor=owner, app=made.app)


@act
def apply_a_configuration() -> None:
    """Of others that are applied at the same time, it takes away what they have made."""
    name = uuid.uuid4().hex[:12]
    address = f"https://{name}.example.com"
    document = {
        "version": 1,
        "groups": [{"name": f"g-{name}"}],
        "people": [
            {"email": "anna@example.com", "role": "viewer", "groups": [f"g-{name}"]},
            {"email": f"{name}@example.com", "groups": [f"g-{name}"]},
            {"email": f"{name}-guest@example.com", "invite": True},
        ],
        "service_accounts": [
            {"username": f"s-{name}", "responsible": "bert@example.com", "team": f"g-{name}"}
        ],
        "apps": [{"slug": name, "name": name, "url": address}],
        "access_rules": [{"name": name, "effect": "deny", "app": name}],
        "webhooks": [{"name": name, "url": address}],
        "branding": {"support": f"{name}@example.com"},
    }
    options = as_code.Options(Path("/"), prunes=True)
    changed = document | {
        "service_accounts": [
            {"username": f"s-{name}", "responsible": "anna@example.com", "name": name}
        ],
        "apps": [{"slug": name, "name": name, "url": address, "client_secret": {"env": SECRET}}],
    }
    with suppress(GatehouseError):
        as_code.apply_configuration(json.dumps(document).encode(), options)
        as_code.plan_configuration(json.dumps(changed).encode(), options)
    with suppress(GatehouseError):
        as_code.apply_configuration(b"version: 1", options)


@act
def undo_changes() -> None:
    """Of a user, a ban and a rule, each with the undo of its undo."""
    owner, bert = person("owner"), person("bert")
    rule = AccessRule(name="undone", effect="deny", host="app.example.com")
    rules.create_rule(actor=owner, rule=rule)
    changes: list[Callable[[], Any]] = [
        lambda: users.change_role(actor=owner, user=bert, role="editor"),
        lambda: bans.ban(actor=owner, network="198.51.100.9", duration=None, reason=""),
        lambda: bans.ban(actor=owner, user=bert, duration=None, reason=""),
        lambda: rules.delete_rule(actor=owner, rule=rule),
    ]
    app = App(name=uuid.uuid4().hex, url="https://undone.example.com")
    apps.create_app(actor=owner, app=app)
    changes += [
        lambda: apps.edit_app(actor=owner, app=app, changes={"description": "x"}),
        lambda: switching.switch_off(actor=owner, provider_id="ldap"),
    ]
    with LOCAL.using(LDAP=DIRECTORY):
        for change in changes:
            with audit_log.collected() as events:
                change()
            for event in events[-1:]:  # none if another one has just done the same
                done = undo.undo(actor=owner, event=event)
                undo.undo(actor=owner, event=undo.undo(actor=owner, event=done))
    switching.switch_on(actor=owner, provider_id="ldap")
    rules.delete_rule(actor=owner, rule=rule)
    apps.delete_app(actor=owner, app=app)


@act
def choose_and_send_notices() -> None:
    owner = person("owner")
    notices.choose_notices(user=owner, groups=["factors"], language="en")
    NoticeChoice.objects.filter(user=owner).update(last_mail_at=None)
    notices.send_notices()
    # The row goes with its user only, so nobody else deletes it without their lock.
    with transaction.atomic():
        lock_users(owner.pk)
        NoticeChoice.objects.filter(user=owner).delete()


@act
def write_denials() -> None:
    user = person("bert")
    row = Denial(reference=uuid.uuid4().hex[:8].upper(), status=403, code="x", why="", user=user)
    denials._waiting.new[row.reference] = row
    denials.write_denials()
    denials.purge_denials(timezone.now() + timedelta(days=30))


@act
def note_uses_of_keys() -> None:
    user = person("bert")
    fields = services.KeyRequest(name="x", scopes=["read"])
    key = services.create_key(actor=user, user=user, key_request=fields).key
    key_usage._waiting.uses[key.pk] = (timezone.now(), "203.0.113.9")
    key_usage.write_notes()
    services.revoke_key(actor=person("owner"), key=key)
    ApiKey.objects.filter(user=user).delete()


@act
def count_actions_of_an_app() -> None:
    rate = (1, timedelta(minutes=1))
    limits = {"x": {"user": rate, "ip": rate, "concurrent": rate}}
    doer = actions.ActionSubject(user=person("anna"), network="203.0.113.77", reported_by=SYSTEM)
    with LOCAL.using(ACTIONS=limits):
        for tried in (actions.count_action, actions.start_action):
            for _turn in range(2):
                try:
                    tried("x", doer)
                except actions.LimitExceeded:
                    continue


@act
def ban_user_and_network_at_once() -> None:
    for name in ("bert", "anna"):
        row = bans.ban(
            actor=person("admin"), user=person(name), network="198.51.100.77", reason="x",
            duration=None,
        )  # fmt: skip
        bans.lift(actor=person("owner"), ban=row)
    violations.record_violation(
        type="x", user=person("owner"), score=100, reported_by=person("admin")
    )


def _try_once() -> None:
    """Another act may enable the account meanwhile; do not wait for a refusal then."""
    offboard.PATIENCE_SECONDS = 0.0


PREPARATIONS.append(_try_once)


@act
def limit_access() -> None:
    end = timezone.now() + timedelta(hours=1)
    for name in ("bert", "anna"):
        users.set_expiry(actor=person("owner"), user=person(name), expires_at=end)
        users.change_role(
            actor=person("owner"), user=person(name), role="admin", until=end, then="viewer"
        )
    # Past the service, which notes the reminders of an end that is near.
    User.objects.filter(email="bert@example.com").update(expires_at=end + timedelta(hours=1))
    ended_access.send_reminders()


@act
def write_down_what_has_ended() -> None:
    past = timezone.now() - timedelta(seconds=1)
    User.objects.filter(email="anna@example.com").update(expires_at=past)
    User.objects.filter(email="bert@example.com").update(role_until=past, role_after="none")
    ended_access.write_down_ended()


@act
def offboard_people() -> None:
    for name in ("bert", "anna"):
        offboard.offboard(actor=person("owner"), user=person(name))
        users.enable_user(actor=person("owner"), user=person(name))


@act
def rescue_people() -> None:
    for name in ("bert", "anna"):
        users.disable_user(actor=SYSTEM, user=person(name))
        rescue(person(name), RescueOptions())


@act
def decide_about_requests() -> None:
    """The admin has become owner, and decides; each request is about another act on anna."""
    with LOCAL.using(TWO_PERSON_RULE=True):
        User.objects.filter(email="admin@example.com").update(role="owner")
        owner, second, anna = person("owner"), person("admin"), person("anna")
        # Nobody decides about this one.
        with suppress(TwoPersonRequired):
            users.change_role(actor=owner, user=person("bert"), role="owner")
        for decide, decider in (
            (approvals.decline, second),
            (approvals.withdraw, owner),
            # Last, because anna is owner then.
            (approvals.confirm, second),
        ):
            try:
                users.change_role(actor=owner, user=anna, role="owner")
            except TwoPersonRequired as held:
                with suppress(approvals.RequestClosed):
                    decide(actor=decider, request_id=held.request.pk)
        ApprovalRequest.objects.update(expires_at=timezone.now())
        approvals.expire_requests()
        approvals.purge_requests(timezone.now() + 2 * approvals.KEEP)


@act
def act_in_admin() -> None:
    people = [person("bert"), person("anna")]
    for run in (
        users.disable_user,
        users.enable_user,
        sessions.end_sessions,
        user_actions.start_reset,
    ):
        user_actions.run_on_users(person("owner"), people, run)


class Refusing:
    """A mail service that takes no mail."""

    def send(self, message: outbox.Message) -> None:
        raise outbox.MailFailed("no such mailbox", is_permanent=True)

    def diagnose(self, message: outbox.Message | None = None) -> outbox.Examined:
        return outbox.Examined(())


@act
def retry_and_give_up_mails() -> None:
    user = person("anna")
    mail = outbox.enqueue_mail(kind="password-changed", recipient=user.email, user=user, context={})
    mail_services.retry_mail(mail, actor=person("owner"))
    OutboxMail.objects.filter(pk=mail.pk).update(
        status=OutboxMail.Status.SENDING, attempts=99, next_attempt_at=timezone.now(),
        lease_until=timezone.now(),
    )  # fmt: skip
    with LOCAL.using(MAIL_TRANSPORT=f"{__name__}.{Refusing.__name__}"):
        outbox.deliver_due(3)
    mail_services.send_test_mail(actor=SYSTEM, email="anna@example.com")
    OutboxMail.objects.filter(pk=mail.pk).delete()


@act
def change_signing_keys() -> None:
    # Of another kind than before, so that there is none yet.
    with LOCAL.using(JWT_ALGORITHM="EdDSA"):
        signing_keys.published_keys()
        signing_keys.AccessKeys().signer()
    signing_keys.rotate(actor=SYSTEM)
    signing_keys.rotate_now(actor=SYSTEM)
    signing_keys.replace_all(actor=SYSTEM)
    with LOCAL.using(JWT_KEY_MAX_AGE=timedelta()):
        signing_keys.rotate_when_due()
    signing_keys.purge_keys(timezone.now())

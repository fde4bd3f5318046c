"""Acts on the instance: rules, moderation, first run, the directory, mails, signing keys."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts import outbox
from accounts.actors import SYSTEM
from accounts.admin import user_acts
from accounts.anonymous import ANONYMOUS_ID
from accounts.directory.filters import parse_filter
from accounts.directory.people import Groups, Person
from accounts.directory.values import Directory
from accounts.models import Identity, Invitation, OutboxMail, User
from accounts.providers import Door
from accounts.rolemaps import ClaimPath, Requirement, RoleMapping, RoleRule
from accounts.roles import Role
from accounts.services import (
    anonymous,
    directory,
    directory_sync,
    identities,
    identity_moves,
    profile_updates,
    setup,
    signup,
    testmail,
    users,
)
from accounts.services.profile_updates import Told
from api.models import ApiKey
from api.services import apikeys, signing
from moderation.services import actions, bans, violations
from sso.models import AccessRule, Denial
from sso.services import denials, notes, rules
from tests.accounts.lock_table import LOCAL, PHRASE, PREPARATIONS, act, person, with_local_settings

with_local_settings(anonymous, directory, directory_sync, actions, outbox, setup, signing)
MAPPING = RoleMapping(
    requirements=(Requirement(ClaimPath("authorization_filter"), frozenset({"met"})),),
    rules=(RoleRule(ClaimPath("group_names"), frozenset({"editors"}), Role.EDITOR),),
    default=Role.VIEWER,
    updates=True,
)
DIRECTORY = Directory(
    url="ldap://directory.invalid",
    base_dn="dc=example,dc=com",
    user_filter=parse_filter("(uid={{username}})", "username"),
    door=Door("ldap", "Directory", allows_registration=True, mapping=MAPPING),
)


class FreshInstance:
    """In a thread where it is on, nobody is there yet."""

    def __init__(self) -> None:
        self._here = threading.local()
        self._is_fresh, self._is_first_owner = signup.is_fresh, directory.is_first_owner

    def install(self) -> None:
        for module in (directory, setup, signup):
            vars(module)["is_fresh"] = lambda: self.is_on or self._is_fresh()
        vars(directory)["is_first_owner"] = lambda *asked: (
            self.is_on or self._is_first_owner(*asked)
        )

    @property
    def is_on(self) -> bool:
        return getattr(self._here, "is_on", False)

    @contextmanager
    def on(self) -> Iterator[None]:
        """What was made without an account waits for the first person, too."""
        giver = User.everyone.get(pk=ANONYMOUS_ID)
        apikeys.create_key(actor=giver, user=giver, wish=apikeys.KeyWish(name="x", scopes=["read"]))
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
        vars(directory_sync)["_is_our_turn"] = lambda: True
        vars(directory)["_prove"] = lambda *_asked: self.dora()
        vars(directory)["person_of"] = lambda *_asked: self.dora()
        vars(directory_sync)["_read"] = lambda _directory, wanted, _progress: iter(
            [self.dora()] if "dora" in wanted else []
        )

    def dora(self, **changes: Any) -> Person:
        said = {
            "dn": "uid=dora,dc=example,dc=com",
            "subject": "dora",
            "username": "dora",
            "email": "dora@example.com",
            "name": "Dora",
            "is_admitted": True,
            "groups": Groups((), ()),
        }
        return Person(**(said | getattr(self.here, "changes", {}) | changes))


FRESH = FreshInstance()
TOLD = DirectoryOfOne()
PREPARATIONS.extend([FRESH.install, TOLD.install])


def invited(email: str) -> str:
    """Whoever comes to this address accepts an invitation by that."""
    now = timezone.now()
    Invitation.objects.create(
        email=email, role="editor", digest=uuid.uuid4().hex, by_system=True,
        created_at=now, expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    return email


@act
def come_by_the_directory() -> None:
    for changes in (
        {"groups": Groups(("cn=editors",), ("editors",))},
        {"email": invited("dora.other@example.com"), "name": "Dora Other"},
        {"email": ""},
        {"email": invited("anna@example.com")},
        {},
    ):
        directory.come_in(DIRECTORY, TOLD.dora(**changes))
    with LOCAL.using(LDAP=DIRECTORY):
        directory.find_by_credentials("dora", PHRASE)


@act
def come_with_the_address_of_another() -> None:
    """dora has given her address back, and somebody new has it."""
    TOLD.here.changes = {"email": invited("dora.other@example.com")}
    new = TOLD.dora(subject=uuid.uuid4().hex, email="dora@example.com", username="new")
    try:
        user = directory.come_in(DIRECTORY, new)
    finally:
        TOLD.here.changes = {}
    users.delete_user(actor=SYSTEM, user=user)


@act
def ask_the_directory_before_links() -> None:
    TOLD.here.changes = {"email": invited("dora.other@example.com")}
    try:
        with LOCAL.using(LDAP=DIRECTORY):
            directory.why_no_links(["dora@example.com", "anna@example.com"])
    finally:
        TOLD.here.changes = {}


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
        TOLD.here.changes = changes
        try:
            directory_sync.apply(directory_sync.plan(DIRECTORY))
        finally:
            TOLD.here.changes = {}
    TOLD.here.changes = {"is_admitted": False}
    try:
        directory_sync.apply(directory_sync.plan(DIRECTORY))
    finally:
        TOLD.here.changes = {}
    directory_sync.undo()


@act
def sync_the_directory_live() -> None:
    TOLD.here.changes = {"is_admitted": False}
    Identity.objects.filter(subject="dora").update(last_used_at=timezone.now())
    User.objects.filter(email="dora@example.com").update(last_login=timezone.now())
    try:
        with LOCAL.using(LDAP=DIRECTORY):
            directory_sync.sync_live()
    finally:
        TOLD.here.changes = {}


@act
def follow_a_profile() -> None:
    """What a provider says anew, of the address of dora and of another account's."""
    identity = Identity.objects.select_related("user").get(provider="ldap", subject="dora")
    profile_updates.note_handed_on(
        "dora@example.com", provider="ldap", issuer="", subject=uuid.uuid4().hex
    )
    profile_updates.release_address(identity)
    told = Told("dora@example.com", True, "Dora", "dora", is_source=True)
    profile_updates.update_profile(identity, told)


@act
def move_identities_to_another_issuer() -> None:
    user = person("anna")
    old, new = uuid.uuid4().hex, uuid.uuid4().hex
    for subject in ("s", "t"):
        Identity.objects.create(user=user, provider="openid", subject=subject, issuer=old)
    identity_moves.move_identities(
        actor=SYSTEM,
        old=identity_moves.Place("openid", old),
        new=identity_moves.Place("openid", new),
    )
    Identity.objects.filter(issuer=new).delete()


@act
def refuse_at_a_provider() -> None:
    door = Door("ldap", "Directory", mapping=MAPPING)
    identity = Identity.objects.select_related("user").get(provider="ldap", subject="dora")
    claims = {"authorization_filter": "met", "group_names": ["editors"]}
    decision = MAPPING.decide({"ldap": claims})
    identities.apply_role(door, identity.user, decision)
    arrival = identities.Arrival(subject="dora", disabled="locked there")
    try:
        identities.arrive(door, arrival)
    except identities.DisabledThere:
        return


@act
def claim_the_instance() -> None:
    owner = User.objects.create(
        email=f"{uuid.uuid4().hex}@example.com", role=Role.OWNER, is_claimed=False
    )
    setup.ensure_owner()
    issued = setup.issue_setup_link(owner)
    assert issued is not None
    details = signup.SignUp(owner.email, "Owner", "nine quiet rivers under glass")
    with FRESH.on():
        user = setup.claim_owner(issued.token, details)
    users.delete_user(actor=SYSTEM, user=user)


@act
def make_the_first_owner() -> None:
    with LOCAL.using(
        DEFAULT_OWNER_EMAIL=f"{uuid.uuid4().hex}@example.com", DEFAULT_OWNER_USERNAME=""
    ):
        User.objects.filter(role=Role.OWNER, is_claimed=False).exists()
        setup.ensure_owner()
    anonymous.settle_mode()


@act
def sign_up_as_the_first() -> None:
    details = signup.SignUp(
        f"{uuid.uuid4().hex}@example.com", "First", "nine quiet rivers under glass"
    )
    with FRESH.on():
        user = signup.sign_up_first(details, set_up_code="", is_this_machine=True)
    assert user is not None
    users.delete_user(actor=SYSTEM, user=user)


@act
def become_the_first_owner_of_the_directory() -> None:
    User.objects.create(email=f"{uuid.uuid4().hex}@example.com", role=Role.OWNER, is_claimed=False)
    with FRESH.on():
        directory.come_in(DIRECTORY, TOLD.dora())


@act
def switch_the_anonymous_mode() -> None:
    with LOCAL.using(ANONYMOUS_ROLE=Role.EDITOR, ANONYMOUS_SETTINGS=("ANONYMOUS_MODE",)):
        anonymous.settle_mode()
    anonymous.settle_mode()


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
    rules.switch_rule(actor=owner, rule=first, is_enabled=False)
    rules.move_rule(actor=owner, rule=made[1], places=-1)
    Denial.objects.bulk_create(
        Denial(reference=uuid.uuid4().hex[:8].upper(), status=403, code="x", why="", rule=rule)
        for rule in made
    )
    for rule in made:
        rules.delete_rule(actor=owner, rule=rule)


@act
def write_refusals() -> None:
    user = person("bert")
    row = Denial(reference=uuid.uuid4().hex[:8].upper(), status=403, code="x", why="", user=user)
    denials._waiting.new[row.reference] = row
    denials.write_denials()
    denials.purge_denials(timezone.now() + timedelta(days=30))


@act
def note_uses_of_keys() -> None:
    user = person("bert")
    wish = apikeys.KeyWish(name="x", scopes=["read"])
    key = apikeys.create_key(actor=user, user=user, wish=wish).key
    notes._waiting.uses[key.pk] = (timezone.now(), "203.0.113.9")
    notes.write_notes()
    apikeys.revoke_key(actor=person("owner"), key=key)
    ApiKey.objects.filter(user=user).delete()


@act
def count_actions_of_an_app() -> None:
    rate = (1, timedelta(minutes=1))
    limits = {"x": {"user": rate, "ip": rate, "concurrent": rate}}
    doer = actions.Doer(user=person("anna"), network="203.0.113.77", reported_by=SYSTEM)
    with LOCAL.using(ACTIONS=limits):
        for tried in (actions.count_action, actions.start_action):
            for _turn in range(2):
                try:
                    tried("x", doer)
                except actions.LimitExceeded:
                    continue


@act
def ban_somebody_and_a_network_at_once() -> None:
    for name in ("bert", "anna"):
        row = bans.ban(
            actor=person("admin"), user=person(name), network="198.51.100.77", reason="x",
            duration=None,
        )  # fmt: skip
        bans.lift(actor=person("owner"), ban=row)
    violations.violate(type="x", user=person("owner"), score=100, reported_by=person("admin"))


@act
def act_from_the_panel() -> None:
    people = [person("bert"), person("anna")]
    for run in (user_acts.disable, user_acts.enable, user_acts.sign_out, user_acts.start_reset):
        user_acts.act_on_each(person("owner"), people, run)


class Refusing:
    """A mail service that takes no mail."""

    def send(self, message: outbox.Message) -> None:
        raise outbox.MailFailed("no such mailbox", is_permanent=True)

    def examine(self, message: outbox.Message | None = None) -> outbox.Examined:
        return outbox.Examined(())


@act
def retry_and_give_up_mails() -> None:
    user = person("anna")
    mail = outbox.enqueue_mail(kind="password-changed", recipient=user.email, user=user, context={})
    outbox.retry_mail(mail, actor=person("owner"))
    OutboxMail.objects.filter(pk=mail.pk).update(
        status=OutboxMail.Status.SENDING, attempts=99, next_attempt_at=timezone.now(),
        lease_until=timezone.now(),
    )  # fmt: skip
    with LOCAL.using(MAIL_TRANSPORT=f"{__name__}.{Refusing.__name__}"):
        outbox.deliver_due(3)
    testmail.send_test_mail(actor=SYSTEM, email="anna@example.com")
    OutboxMail.objects.filter(pk=mail.pk).delete()


@act
def change_signing_keys() -> None:
    # Of another kind than before, so that there is none yet.
    with LOCAL.using(JWT_ALGORITHM="EdDSA"):
        signing.published_keys()
        signing.RingKeys().signer()
    signing.rotate(actor=SYSTEM)
    signing.rotate_now(actor=SYSTEM)
    signing.replace_all(actor=SYSTEM)
    with LOCAL.using(JWT_KEY_MAX_AGE=timedelta()):
        signing.rotate_when_due()
    signing.purge_keys(timezone.now())

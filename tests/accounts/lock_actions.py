"""Every service that takes locks, as an action on the same few users. Needs no pytest.

An act may be refused: what it races with has ended what it needs. It may not fail.
"""

import uuid
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import AccountToken, EmailRequest, Group, Invitation, User
from accounts.services import (
    email_tokens,
    invitations,
    passwords,
    privacy,
    second_factors,
    service_accounts,
    sessions,
    signup,
    users,
    verification,
)
from accounts.services.account_changes import change_account
from accounts.services.bulk.invitations import invite_many, send_again
from accounts.services.email_requests import enqueue_request
from accounts.sessions.store import SessionStore
from accounts.user_files.address_list import parse_recipients
from api.apikeys import services
from api.errors import AccessTokenInvalid
from api.models import ApiKey
from api.tokens import refresh_tokens, signing_keys
from config import worker
from core.errors import BadCredentials, RecordInvalid
from federation.role_mapping import RoleMapping
from federation.services import identities
from magiclinks import services as links
from magiclinks.models import LoginLink
from mail import outbox
from mfa import totp
from mfa.services import authenticators, recovery_codes
from moderation.services import bans, violations
from tests.accounts.lock_table import NETWORK, PHRASE, act, person, source


@act
def sign_in() -> None:
    client = Client(headers={"host": "localhost:8000"})
    client.post("/sign-in", {"login": "anna@example.com", "password": PHRASE})
    client.get("/account/")


@act
def sign_in_of_the_other() -> None:
    Client(headers={"host": "localhost:8000"}).post(
        "/sign-in", {"login": "bert@example.com", "password": PHRASE}
    )


@act
def fail_to_sign_in() -> None:
    Client(headers={"host": "localhost:8000"}).post(
        "/sign-in", {"login": "anna@example.com", "password": "wrong"}
    )


@act
def fetch_a_link() -> None:
    links.issue_link(
        person("anna"), actor=person("owner"), lifetime=timedelta(hours=1), source="panel"
    )


@act
def withdraw_a_link() -> None:
    user, owner = person("anna"), person("owner")
    links.issue_link(user, actor=owner, lifetime=timedelta(hours=1), source="panel")
    link = LoginLink.objects.select_related("user").filter(user=user).order_by("-pk").first()
    if link is not None:  # a race may have deleted the user
        links.withdraw_link(actor=owner, link=link)


@act
def mail_links() -> None:
    for name in ("bert", "anna"):
        enqueue_request(EmailRequest.Kind.MAGIC_LINK, email=f"{name}@example.com", binding="")
    links.handle_link_requests()


@act
def redeem_a_link() -> None:
    issued = links.issue_link(
        person("anna"), actor=person("owner"), lifetime=timedelta(hours=1), source="panel"
    )
    Client(headers={"host": "localhost:8000"}).post(issued.url.removeprefix(settings.PUBLIC_URL))


@act
def mail_resets() -> None:
    for name in ("anna", "bert"):
        enqueue_request(EmailRequest.Kind.RESET_PASSWORD, email=f"{name}@example.com", binding="")
    passwords.handle_reset_requests()


@act
def reset_a_password() -> None:
    url = passwords.start_reset(actor=person("owner"), user=person("anna"))
    passwords.reset_password(url.rpartition("/")[2] or url.split("/")[-2], PHRASE)


@act
def change_a_password() -> None:
    with suppress(BadCredentials):
        passwords.change_own_password(user=person("anna"), current="wrong", new=PHRASE)
    passwords.change_own_password(user=person("anna"), current=PHRASE, new=PHRASE)


@act
def change_roles() -> None:
    for role in ("viewer", "editor"):
        users.change_role(actor=person("owner"), user=person("anna"), role=role)


@act
def work_with_service_accounts() -> None:
    owner = person("owner")
    created = service_accounts.create_service_account(
        actor=owner, username=f"bot-{uuid.uuid4().hex}", responsible=person("anna")
    )
    service_accounts.hand_over_all(actor=owner, giver=person("anna"), taker=owner)
    services.create_key(actor=owner, user=created, key_request=services.KeyRequest(name="x"))
    users.change_role(actor=owner, user=created, role="editor")
    change_account(actor=owner, user=created, changes={"responsible_id": person("bert").pk})
    # The check takes every id that is written to a user for one; this one is locked.
    team = Group.objects.create(pk=created.pk, name=uuid.uuid4().hex[:12])
    change_account(actor=owner, user=created, changes={"responsible_group_id": team.pk})
    team.delete()
    users.delete_user(actor=owner, user=created)


@act
def lock_a_role() -> None:
    for kept in (True, False):
        users.set_role_locked(actor=person("owner"), user=person("anna"), locked=kept)


@act
def disable_and_enable() -> None:
    for name in ("bert", "anna"):
        users.disable_user(actor=SYSTEM, user=person(name))
        users.enable_user(actor=SYSTEM, user=person(name))


@act
def edit_a_profile() -> None:
    profile = users.Profile(name="Anna", username=f"anna-{uuid.uuid4().hex[:8]}")
    users.edit_profile(actor=person("owner"), user=person("anna"), profile=profile)


@act
def move_to_another_email() -> None:
    users.edit_profile(
        actor=person("owner"), user=person("anna"), profile=users.Profile(email="moved@example.com")
    )
    moved = User.objects.filter(email="moved@example.com").first()
    if moved is not None:
        users.edit_profile(
            actor=SYSTEM, user=moved, profile=users.Profile(email="anna@example.com")
        )


@act
def delete_a_user() -> None:
    users.delete_user(actor=person("owner"), user=person("bert"))


@act
def delete_oneself() -> None:
    privacy.delete_own_account(user=person("bert"), proof=PHRASE)


@act
def make_a_user() -> None:
    user = users.create_user(actor=SYSTEM, email=f"{uuid.uuid4().hex}@example.com")
    users.delete_user(actor=SYSTEM, user=user)


@act
def mark_email_as_verified() -> None:
    User.objects.filter(email="bert@example.com").update(email_verified_at=None)
    verification.mark_verified(actor=person("owner"), user=person("bert"))


@act
def ban_and_lift() -> None:
    bans.ban(
        actor=person("owner"), user=person("anna"), network=NETWORK, reason="x",
        duration=timedelta(hours=1),
    )  # fmt: skip
    bans.lift_all(actor=person("owner"), user=person("anna"))


@act
def ban_a_network() -> None:
    row = bans.ban(
        actor=person("owner"), network="198.51.100.9", reason="x", duration=timedelta(hours=1)
    )
    bans.lift(actor=person("owner"), ban=row)


@act
def ban_by_violations() -> None:
    violations.record_violation(type="login", user=person("anna"), network=NETWORK, score=25)
    violations.record_violation(type="login", user=person("bert"), network=NETWORK, score=25)
    violations.record_violation(type="login", network=NETWORK, score=25)


@act
def end_sessions() -> None:
    for name in ("bert", "anna"):
        sessions.end_sessions(actor=person("owner"), user=person(name))


@act
def tokens_by_password() -> None:
    user = person("anna")
    pair = refresh_tokens.start_by_password(user, max(timezone.now(), user.credentials_valid_from))
    refresh_tokens.refresh(pair.refresh)
    refresh_tokens.sign_out(pair.family)


@act
def reuse_a_refresh_token() -> None:
    user = person("anna")
    first = refresh_tokens.start_by_password(user, max(timezone.now(), user.credentials_valid_from))
    second = refresh_tokens.refresh(first.refresh)
    refresh_tokens.refresh(second.refresh)
    with suppress(AccessTokenInvalid):  # how a revoked token is reported
        refresh_tokens.refresh(first.refresh)


@act
def make_and_revoke_a_key() -> None:
    user = person("anna")
    fields = services.KeyRequest(name="x", scopes=["read"])
    key = services.create_key(actor=user, user=user, key_request=fields).key
    services.rotate_key(actor=user, key=key)
    services.revoke_key(actor=user, key=key)
    ApiKey.objects.filter(user=user).delete()


@act
def set_up_and_remove_an_app() -> None:
    user = person("anna")
    keep_an_authenticator(user)
    authenticators.remove_totp(user)


def keep_an_authenticator(user: User) -> None:
    begun = authenticators.begin_totp_setup(user)
    seed = totp.from_text(begun.secret)
    code = totp.code_of(seed, totp.step_at(timezone.now().timestamp()))
    with suppress(RecordInvalid):
        authenticators.check_first_code(user, begun.secret, "wrong")
    authenticators.confirm_totp_setup(user, begun.secret, code)


@act
def reset_factors() -> None:
    user = person("anna")
    keep_an_authenticator(user)
    codes = recovery_codes.make_codes(user)
    recovery_codes.consume_code(user, codes[0])
    second_factors.reset_factors(actor=person("owner"), user=user)


@act
def sign_in_by_provider() -> None:
    info = identities.ExternalUserInfo(
        subject="s", issuer="https://id.example", email="carl@example.com", email_verified=True
    )
    user = identities.resolve_user(source(mapping=RoleMapping()), info)
    identities.resolve_user(source(mapping=RoleMapping()), info)
    users.delete_user(actor=SYSTEM, user=user)


@act
def connect_and_disconnect() -> None:
    user = person("anna")
    info = identities.ExternalUserInfo(subject="anna", issuer="https://id.example")
    made = identities.connect(user=user, source=source(mapping=RoleMapping()), info=info)
    identities.disconnect(user=user, identity_id=made.pk)


@act
def connect_and_be_disconnected_by_an_administrator() -> None:
    user = person("anna")
    info = identities.ExternalUserInfo(subject="anna2", issuer="https://id.example")
    made = identities.connect(user=user, source=source(mapping=RoleMapping()), info=info)
    identities.disconnect(actor=person("owner"), user=user, identity_id=made.pk)


@act
def invite_and_withdraw() -> None:
    issued = invitations.invite(actor=person("owner"), email="new@example.com", role="editor")
    invitations.withdraw(actor=person("owner"), invitation=issued.invitation)


@act
def invite_a_list_and_send_again() -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    people = parse_recipients(f"{email}, new@example.com")
    invite_many(people, actor=person("owner"), role="editor", resend=True)
    send_again(Invitation.objects.filter(email=email), actor=person("owner"))


@act
def accept_an_invitation() -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    issued = invitations.invite(actor=person("owner"), email=email, role="editor")
    token = issued.url.rstrip("/").rpartition("/")[2]
    invitations.accept_invitation(token, name="New", password=PHRASE)


@act
def accept_an_invitation_over_an_unverified_account() -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    issued = invitations.invite(actor=person("owner"), email=email, role="editor")
    User.objects.create(email=email, role="none")
    token = issued.url.rstrip("/").rpartition("/")[2]
    invitations.accept_invitation(token, name="New", password=PHRASE)


@act
def reset_the_password_of_an_invited_account() -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    invitations.invite(actor=person("owner"), email=email, role="viewer")
    user = User.objects.create(email=email, role="none")
    url = passwords.start_reset(actor=person("owner"), user=user)
    passwords.reset_password(url.rpartition("/")[2] or url.split("/")[-2], f"{PHRASE} again")


@act
def accept_as_signed_in_user() -> None:
    User.objects.filter(email="bert@example.com").update(email_verified_at=None, role="none")
    Invitation.objects.filter(email="bert@example.com").delete()
    now = timezone.now()
    Invitation.objects.create(
        email="bert@example.com", role="viewer", digest=uuid.uuid4().hex, by_system=True,
        created_at=now, expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    verify_an_address()


@act
def sign_up() -> None:
    for email in ("anna@example.com", f"{uuid.uuid4().hex}@example.com"):
        enqueue_request(
            EmailRequest.Kind.SIGN_UP, email=email, binding="",
            details={"name": "N", "password": "!"},
        )  # fmt: skip
    signup.handle_sign_up_requests()


@act
def verify_an_address() -> None:
    User.objects.filter(email="bert@example.com").update(email_verified_at=None)
    user = person("bert")
    verification.mail_verification(user, binding="", language="en")
    issued = email_tokens.issue_token(
        user, AccountToken.Purpose.VERIFY_EMAIL, lifetime=timedelta(hours=1)
    )
    verification.confirm_address(issued.token, is_asking_browser=True)


@act
def change_the_address() -> None:
    user = person("bert")
    issued = email_tokens.issue_token(
        user, AccountToken.Purpose.CHANGE_EMAIL, lifetime=timedelta(hours=1),
        email="bert@example.com",
    )  # fmt: skip
    verification.confirm_address(issued.token, is_asking_browser=True)


@act
def change_by_the_api() -> None:
    wanted = {"name": "Anna", "role": "viewer", "is_active": False}
    change_account(actor=person("owner"), user=person("anna"), changes=wanted)


@act
def export_own_data() -> None:
    privacy.export_own_data(person("anna"))


@act
def rotate_signing_keys() -> None:
    signing_keys.rotate_now(actor=SYSTEM)


@act
def purge() -> None:
    now = timezone.now()
    SessionStore.clear_expired()
    invitations.purge_invitations(now)
    links.purge_links(now)
    services.purge_keys(now)
    outbox.purge_mails(now)
    violations.purge_moderation(now)
    refresh_tokens.purge_families(now)
    worker.purge()

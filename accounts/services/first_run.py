"""First run: creating the default owner, and setting it up through a one-time link."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts.actors import ANONYMOUS_ID, SYSTEM
from accounts.models import AccountToken, User
from accounts.passwords import password_problems
from accounts.roles import Role
from accounts.services.accept_invitation import accepted_by_address
from accounts.services.anonymous import hand_over
from accounts.services.email_tokens import IssuedToken, issue_token, usable_token
from accounts.services.sessions import revoke_credentials
from accounts.services.signup import SignUp, needs_first_admin
from accounts.services.users import check_new
from audit import audit_log
from core.errors import TokenInvalid, TokenUsed
from core.locks import ROLES, acquire_lock, lock_users
from core.text import email_addresses
from core.text.plain_text import clean_name
from core.web.client_ip import is_localhost

# Published on purpose: it leads to the set-up page and signs no one in.
WELL_KNOWN_PASSWORD = "admin"  # noqa: S105  # see above
LINK_LIFETIME = timedelta(hours=24)
Purpose = AccountToken.Purpose


def ensure_owner() -> User:
    """Make sure that an owner exists; returns the first one.

    A new one has the address DEFAULT_OWNER_EMAIL. It is ready if DEFAULT_OWNER_PASSWORD passes the
    password rules; otherwise it must be set up through the link of issue_setup_link().
    """
    with transaction.atomic():
        acquire_lock(ROLES)
        owner = User.objects.filter(role=Role.OWNER).order_by("-setup_completed", "id").first()
        return owner or _make_owner()


def issue_setup_link(owner: User) -> IssuedToken | None:
    """Issue a link that sets up `owner`, which replaces older ones; None if that was done."""
    if owner.setup_completed:
        return None
    with transaction.atomic():
        token = issue_token(owner, Purpose.SET_UP, lifetime=LINK_LIFETIME)
        audit_log.record("account:set-up:issue", actor=SYSTEM, target=owner)
    return token


def is_well_known_sign_in(request: HttpRequest, login: str, password: str) -> bool:
    """Whether this is the published default sign-in, and accepted here (TRAPS, decision 16).

    It is accepted only until the default owner has been set up, and only from localhost unless
    DEFAULT_OWNER_ALLOW_INSECURE is on.
    """
    if password != WELL_KNOWN_PASSWORD and password != (settings.DEFAULT_OWNER_PASSWORD or ""):
        return False
    owner = User.objects.with_login(login).filter(role=Role.OWNER, setup_completed=False).first()
    return owner is not None and (settings.DEFAULT_OWNER_ALLOW_INSECURE or is_localhost(request))


def waits_for_code(login: str, password: str) -> bool:
    """Whether this is the published default sign-in of an owner that is not set up yet."""
    if password != WELL_KNOWN_PASSWORD:
        return False
    owners = User.objects.with_login(login).filter(role=Role.OWNER, setup_completed=False)
    return bool(owners.exists())


def is_setup_code(text: str) -> bool:
    """Whether `text` is the code that the server printed: the last part of the set-up link."""
    try:
        find_setup(text.strip())
    except TokenInvalid:
        return False
    return True


def find_setup(token: str) -> User:
    """The owner whom this link sets up. Raises TokenInvalid, TokenExpired."""
    owner: User = usable_token(Purpose.SET_UP, token).user
    if owner.setup_completed:
        raise TokenUsed(email=owner.email, notice="set-up-used")
    return owner


def check_owner(owner: User, typed: Mapping[str, Any]) -> None:
    """Raise RecordInvalid for values that claim_owner() would refuse; changes nothing."""
    candidate = User(pk=owner.pk, email=typed.get("email", ""), name=typed.get("name", ""))
    check_new(candidate, typed.get("password"))


def claim_owner(token: str, details: SignUp) -> User:
    """Use the set-up link: the owner gets the given address, name and password.

    Raises TokenInvalid, TokenExpired, RecordInvalid (the link stays usable then). The link is only
    shown at the server, so the address counts as verified. The first administrator also gets
    everything that belongs to the anonymous user.
    """
    owner = find_setup(token)
    owner.email, owner.name = details.email, clean_name(details.name)
    owner.username = None
    check_new(owner, details.password)
    with transaction.atomic():
        lock_users(owner.pk, ANONYMOUS_ID)
        acquire_lock(ROLES)
        is_first = needs_first_admin()
        # Of several requests with the link, all but one raise TokenUsed.
        usable_token(Purpose.SET_UP, token, consume=True)
        owner.set_password(details.password)
        owner.setup_completed = True
        owner.email_verified_at = timezone.now()
        owner.save(
            update_fields=[
                "email",
                "name",
                "username",
                "password",
                "setup_completed",
                "email_verified_at",
            ]
        )
        revoke_credentials(owner, "claimed")
        if is_first:
            hand_over(owner)
        accepted_by_address(owner)
        audit_log.record("account:set-up:complete", actor=owner, target=owner)
    return owner


def _make_owner() -> User:
    owner = User(
        email=email_addresses.parse_email(settings.DEFAULT_OWNER_EMAIL),
        username=email_addresses.parse_username(settings.DEFAULT_OWNER_USERNAME),
        role=Role.OWNER,
        setup_completed=False,
    )
    owner.set_password(None)
    password = settings.DEFAULT_OWNER_PASSWORD
    if password and not password_problems(password, owner):
        owner.set_password(password)
        owner.setup_completed = True
        owner.email_verified_at = timezone.now()
    owner.save(force_insert=True)
    audit_log.record(
        "account:user:create", actor=SYSTEM, target=owner, role=Role.OWNER, source="first-run"
    )
    return owner

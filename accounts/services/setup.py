"""First run: there is always an owner, and only who started the server can become him."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts import addresses, audit
from accounts.actors import SYSTEM
from accounts.anonymous import ANONYMOUS_ID
from accounts.client import is_this_machine
from accounts.errors import TokenInvalid, TokenUsed
from accounts.locks import ROLES, house_lock, lock_people
from accounts.models import AccountToken, User
from accounts.passwords import password_problems
from accounts.plain_text import clean_name
from accounts.roles import Role
from accounts.services.anonymous import hand_over
from accounts.services.invited import accepted_by_address
from accounts.services.sessions import end_access
from accounts.services.signup import SignUp, is_fresh
from accounts.services.tokens import IssuedToken, issue_token, usable_token
from accounts.services.users import check_new

WELL_KNOWN_PASSWORD = "admin"  # noqa: S105  # published on purpose; it opens nothing but the set-up page
LINK_LIFETIME = timedelta(hours=24)
Purpose = AccountToken.Purpose


def ensure_owner() -> User:
    """Make sure that an owner exists; returns the first one.

    A new one is DEFAULT_OWNER_EMAIL. With a DEFAULT_OWNER_PASSWORD that passes the rules he is
    ready; else he is unclaimed and waits for the set-up link.
    """
    with transaction.atomic():
        house_lock(ROLES)
        owner = User.objects.filter(role=Role.OWNER).order_by("-is_claimed", "id").first()
        return owner or _make_owner()


def issue_setup_link(owner: User) -> IssuedToken | None:
    """A fresh one-time link for an unclaimed owner (older ones die); None for a claimed one."""
    if owner.is_claimed:
        return None
    with transaction.atomic():
        token = issue_token(owner, Purpose.SET_UP, lifetime=LINK_LIFETIME)
        audit.record("account:set-up:issue", actor=SYSTEM, target=owner)
    return token


def is_well_known_sign_in(request: HttpRequest, login: str, password: str) -> bool:
    """Is this the published default sign-in, from a place where it is taken? (TRAPS, decision 16)

    Only while the default owner is unclaimed, and only from this machine unless
    DEFAULT_OWNER_ALLOW_INSECURE says otherwise.
    """
    if password != WELL_KNOWN_PASSWORD and password != (settings.DEFAULT_OWNER_PASSWORD or ""):
        return False
    owner = User.objects.with_login(login).filter(role=Role.OWNER, is_claimed=False).first()
    return owner is not None and (settings.DEFAULT_OWNER_ALLOW_INSECURE or is_this_machine(request))


def waits_for_code(login: str, password: str) -> bool:
    """Is this the published default sign-in of an owner who is not set up yet, from anywhere?"""
    if password != WELL_KNOWN_PASSWORD:
        return False
    waiting = User.objects.with_login(login).filter(role=Role.OWNER, is_claimed=False)
    return bool(waiting.exists())


def is_setup_code(text: str) -> bool:
    """Is it the code that the start has printed, the last part of the set-up link?"""
    try:
        find_setup(text.strip())
    except TokenInvalid:
        return False
    return True


def find_setup(token: str) -> User:
    """The unclaimed owner whose set-up link this is. Raises TokenInvalid, TokenExpired."""
    owner: User = usable_token(Purpose.SET_UP, token).user
    if owner.is_claimed:
        raise TokenUsed(email=owner.email, notice="set-up-used")
    return owner


def check_owner(owner: User, typed: Mapping[str, Any]) -> None:
    """Raise RecordInvalid for what of a form claim_owner() will refuse; changes nothing."""
    known = User(pk=owner.pk, email=typed.get("email", ""), name=typed.get("name", ""))
    check_new(known, typed.get("password"))


def claim_owner(token: str, details: SignUp) -> User:
    """Use the set-up link: the person becomes owner with his own address and password.

    Raises TokenInvalid, TokenExpired, RecordInvalid (the link stays usable then). Whoever holds
    the link sits at the server, so the address counts as proved. If nobody was before him, what
    was made without an account becomes his.
    """
    owner = find_setup(token)
    owner.email, owner.name = details.email, clean_name(details.name)
    owner.username = None
    check_new(owner, details.password)
    with transaction.atomic():
        lock_people(owner.pk, ANONYMOUS_ID)
        house_lock(ROLES)
        is_first = is_fresh()
        # Of a crowd that holds the link all but one are told that it has been used.
        usable_token(Purpose.SET_UP, token, consume=True)
        owner.set_password(details.password)
        owner.is_claimed = True
        owner.email_verified_at = timezone.now()
        owner.save(
            update_fields=[
                "email",
                "name",
                "username",
                "password",
                "is_claimed",
                "email_verified_at",
            ]
        )
        end_access(owner, "claimed")
        if is_first:
            hand_over(owner)
        accepted_by_address(owner)
        audit.record("account:set-up:complete", actor=owner, target=owner)
    return owner


def _make_owner() -> User:
    owner = User(
        email=addresses.parse_email(settings.DEFAULT_OWNER_EMAIL),
        username=addresses.parse_username(settings.DEFAULT_OWNER_USERNAME),
        role=Role.OWNER,
        is_claimed=False,
    )
    owner.set_password(None)
    given = settings.DEFAULT_OWNER_PASSWORD
    if given and not password_problems(given, owner):
        owner.set_password(given)
        owner.is_claimed = True
        owner.email_verified_at = timezone.now()
    owner.save(force_insert=True)
    audit.record(
        "account:user:create", actor=SYSTEM, target=owner, role=Role.OWNER, source="first-run"
    )
    return owner

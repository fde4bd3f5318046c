"""Setting, changing and resetting passwords."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import get_hasher, identify_hasher
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.account_sources import may_get_links
from accounts.actors import SYSTEM, Actor
from accounts.models import AccountToken, EmailRequest, User, login_column
from accounts.passwords import MAX_PASSWORD_LENGTH, check_password_rules, password_problems
from accounts.roles import Role
from accounts.services.approvals import acts
from accounts.services.approvals.rule import needs_second_owner, require_second_owner
from accounts.services.email_requests import handle_each
from accounts.services.email_tokens import (
    IssuedToken,
    is_asked_twice,
    is_flooded,
    issue_token,
    mail_link,
    usable_token,
)
from accounts.services.mail import notify
from accounts.services.ranks import require_person, require_rank, require_rank_now
from accounts.services.sessions import Renew, require_own_password, revoke_credentials
from accounts.services.verification import mark_email_verified
from accounts.sign_in.methods import DIRECTORY
from audit import audit_log
from core import sql
from core.errors import RecordInvalid, TokenEnded
from core.locks import lock_users

RESET_LIFETIME = timedelta(minutes=10)  # ASVS 6.5.5
MAX_LOGIN_LENGTH = 254
Purpose = AccountToken.Purpose


def find_by_password(login: str, password: str) -> User | None:
    """The account with that address or user name and local password, or None.

    The access policy is not yet asked. Sign-in uses services.credentials, which asks all backends.
    One hash is computed whether or not the account exists (ASVS 6.3.8), except for input that is
    too long.
    """
    if not password or not login or len(password) > MAX_PASSWORD_LENGTH:
        return None
    user = sql.find(User, *login_column(login[:MAX_LOGIN_LENGTH]))
    has_password = user is not None and not user.is_built_in and user.has_usable_password()
    if user is None or not has_password or not can_use_local_password(user):
        User().set_password(password)  # takes as long as checking one
        return None
    if not user.check_password(password):
        return None
    _renew_hash(user, password)
    return user


def _renew_hash(user: User, password: str) -> None:
    """Replace the hash by one of today's scheme and cost, if it has another: it was imported.

    Only if it is still stored: a password that was changed meanwhile stays, and the session that
    this sign-in begins is then invalid.
    """
    old, preferred = user.password, get_hasher()
    is_own = identify_hasher(old).algorithm == preferred.algorithm
    if is_own and not preferred.must_update(old):
        return
    user.set_password(password)
    if not User.objects.filter(pk=user.pk, password=old).update(password=user.password):
        user.password = old


def can_use_local_password(user: User) -> bool:
    """Whether `user` may sign in with a local password.

    Users of the directory may not; with AUTHENTICATION_MODE=ldap, only owners may.
    """
    if settings.LDAP is None:
        return True
    if is_directory_managed_account(user):
        return False
    return not settings.LDAP.is_exclusive or user.role == Role.OWNER


def is_directory_managed_account(user: User) -> bool:
    """Whether `user` has signed in through the directory before."""
    return user.identities.filter(provider=DIRECTORY).exists()


def change_own_password(*, user: User, current: str, new: str, renew: Renew | None = None) -> None:
    """Change the user's own password. Every session ends; `renew` renews the current one.

    Raises OwnPasswordWrong when `current` is wrong (an account without a password needs none),
    with the errors of `new` as well; RecordInvalid when `new` breaks a rule. The caller has counted
    the attempt.
    """
    problems = password_problems(new, user)
    errors = {"password": problems} if problems else {}
    if user.has_usable_password():
        require_own_password(user, current, "account:password:change", beside=errors)
    _require_local(user)
    if errors:
        raise RecordInvalid(errors)
    with transaction.atomic():
        _store(user, new, "password changed")
        notify(user, "password-changed")
        audit_log.record("account:password:change", actor=user, target=user)
        if renew:
            renew()


@needs_second_owner(acts.SET_PASSWORD)
def set_password(*, actor: Actor, user: User, new: str) -> None:
    """Set another user's password. Raises Forbidden, RecordInvalid.

    Also RecordInvalid where a second owner would have to confirm it: no request keeps a password.
    """
    require_rank(actor, user)
    _require_local(user)
    check_password_rules(new, user)
    with transaction.atomic():
        require_rank_now(actor, user)
        require_second_owner(actor, user)
        _store(user, new, "password set")
        notify(user, "password-changed")
        audit_log.record("account:password:set", actor=actor, target=user)


def start_reset(*, actor: Actor, user: User) -> str:
    """Only the link; see begin_reset()."""
    return begin_reset(actor=actor, user=user).url


@needs_second_owner(acts.RESET_PASSWORD)
def begin_reset(*, actor: Actor, user: User) -> IssuedToken:
    """Start a reset of another user's password: removes the password and mails a link.

    Returns the link as well, to be handed over. The administrator never learns the new password
    (ASVS 6.4.6). Raises Forbidden; RecordInvalid for an account that may not sign in.
    """
    require_rank(actor, user)
    denial = access_policy.get_denial(user)
    if denial is not None:
        raise RecordInvalid({"user": [denial.message]})
    with transaction.atomic():
        require_rank_now(actor, user)
        require_second_owner(actor, user)
        _store(user, None, "password reset started")
        token = issue_token(
            user, Purpose.RESET_PASSWORD, lifetime=settings.MAGIC_LINK_OPERATOR_EXPIRY
        )
        if may_get_links(user):
            _mail_reset(user, token, language=settings.LANGUAGE_CODE)
        audit_log.record("account:password:reset-start", actor=actor, target=user)
    return token


def handle_reset_requests() -> int:
    """Worker job: mail a reset link to each requested address whose account may sign in."""
    return handle_each(EmailRequest.Kind.RESET_PASSWORD, _handle_reset)


def reset_password(token: str, new: str) -> User:
    """Set a new password through a mailed link, which is used up in the same transaction.

    Verifies the address and ends every session. Raises TokenInvalid, RecordInvalid (the link stays
    usable then). Second factors do not change (ASVS 6.4.3).
    """
    with transaction.atomic():
        row = usable_token(Purpose.RESET_PASSWORD, token)
        lock_users(row.user_id)
        row = usable_token(Purpose.RESET_PASSWORD, token, consume=True)
        user: User = row.user
        if access_policy.get_denial(user, credential_at=row.created_at) or user.email != row.email:
            raise TokenEnded(email=user.email)
        if not can_use_local_password(user):
            raise TokenEnded(email=user.email)
        check_password_rules(new, user)
        mark_email_verified(user)
        _store(user, new, "password reset")
        notify(user, "password-changed")
        audit_log.record("account:password:reset", actor=user, target=user)
    return user


def _handle_reset(row: EmailRequest, _details: dict[str, Any]) -> None:
    user = User.objects.filter(email=row.email).first()
    may_reset = settings.ALLOW_PASSWORD_RESET and access_policy.get_denial(user) is None
    if user is None or not may_reset or not can_use_local_password(user) or not may_get_links(user):
        audit_log.record("account:password:reset-request", target=user, result="refused")
        return
    if is_asked_twice(user, Purpose.RESET_PASSWORD, row.binding):
        return
    if is_flooded("reset-password", user, Purpose.RESET_PASSWORD):
        audit_log.record(
            "account:password:reset-request", target=user, result="refused", reason="rate_limited"
        )
        return
    token = issue_token(user, Purpose.RESET_PASSWORD, lifetime=RESET_LIFETIME, binding=row.binding)
    _mail_reset(user, token, language=row.language)
    audit_log.record("account:password:reset-request", actor=SYSTEM, target=user)


def _require_local(user: User) -> None:
    """Raise RecordInvalid for an account that may not use a local password."""
    require_person(user, "password")
    if not can_use_local_password(user):
        raise RecordInvalid(
            {"password": [_("The password of this account is kept in the directory (LDAP).")]}
        )


def _store(user: User, new: str | None, reason: str) -> None:
    user.set_password(new)
    user.save(update_fields=["password"])
    AccountToken.objects.filter(user=user, purpose=Purpose.RESET_PASSWORD).replace(timezone.now())
    revoke_credentials(user, reason)


def _mail_reset(user: User, token: IssuedToken, *, language: str) -> None:
    name = user.get_short_name()
    mail_link("reset-password", token, user, recipient=user.email, language=language, name=name)

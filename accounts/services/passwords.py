"""Setting, changing and resetting passwords."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, gates, rows
from accounts.actors import SYSTEM, Actor
from accounts.directory.values import PROVIDER as DIRECTORY
from accounts.errors import RecordInvalid, TokenEnded
from accounts.locks import lock_people
from accounts.models import AccountToken, AddressRequest, User, login_column
from accounts.outbox import enqueue_mail
from accounts.passwords import MAX_PASSWORD_LENGTH, check_password_rules, password_problems
from accounts.roles import Role
from accounts.services.invited import live_invitation
from accounts.services.profile_updates import may_get_links
from accounts.services.requests import handle_each
from accounts.services.sessions import end_access, require_own_password
from accounts.services.tokens import (
    IssuedToken,
    is_asked_twice,
    is_flooded,
    issue_token,
    usable_token,
)
from accounts.services.users import require_rank, require_rank_now
from accounts.services.verification import prove_address

RESET_LIFETIME = timedelta(minutes=10)  # ASVS 6.5.5
MAX_LOGIN_LENGTH = 254
Purpose = AccountToken.Purpose


def find_by_password(login: str, password: str) -> User | None:
    """The account with that address or user name and local password; the gate has not been asked.

    Doors ask accounts.services.directory, which asks here for local accounts. One hash is computed
    whether or not the account exists (ASVS 6.3.8); over-long input is refused before that.
    """
    if not password or not login or len(password) > MAX_PASSWORD_LENGTH:
        return None
    user = rows.find(User, *login_column(login[:MAX_LOGIN_LENGTH]))
    is_known = user is not None and not user.is_built_in and user.has_usable_password()
    if user is None or not is_known or not opens_by_password(user):
        User().set_password(password)
        return None
    return user if user.check_password(password) else None


def opens_by_password(user: User) -> bool:
    """May a local password open this account? Not of whoever comes by the directory, and where
    the directory is the only way (AUTHENTICATION_MODE=ldap) only of owners."""
    if settings.LDAP is None:
        return True
    if came_by_directory(user):
        return False
    return not settings.LDAP.is_only_way or user.role == Role.OWNER


def came_by_directory(user: User) -> bool:
    """Has the person signed in with the directory's password before?"""
    return user.identities.filter(provider=DIRECTORY).exists()


def change_own_password(*, user: User, current: str, new: str) -> None:
    """Replace the person's own password; every session ends, so sign the present one in again.

    Raises OwnPasswordWrong when `current` is wrong (an account without a password needs none),
    which tells of `new` as well; RecordInvalid when `new` breaks a rule. The caller has counted
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
        _tell(user)
        audit.record("account:password:change", actor=user, target=user)


def set_password(*, actor: Actor, user: User, new: str) -> None:
    """An operator sets somebody's password (command line). Raises Forbidden, RecordInvalid."""
    require_rank(actor, user)
    _require_local(user)
    check_password_rules(new, user)
    with transaction.atomic():
        require_rank_now(actor, user)
        _store(user, new, "password set")
        _tell(user)
        audit.record("account:password:set", actor=actor, target=user)


def start_reset(*, actor: Actor, user: User) -> str:
    """The link alone; see begin_reset()."""
    return begin_reset(actor=actor, user=user).url


def begin_reset(*, actor: Actor, user: User) -> IssuedToken:
    """An operator starts a reset: the old password dies, the address gets a link.

    Returns the link for handing over by hand; the operator never learns the new password
    (ASVS 6.4.6). Raises Forbidden; RecordInvalid for an account that may not sign in.
    """
    require_rank(actor, user)
    found = gates.refusal(user)
    if found is not None:
        raise RecordInvalid({"user": [found.message]})
    with transaction.atomic():
        require_rank_now(actor, user)
        _store(user, None, "password reset started")
        token = issue_token(
            user, Purpose.RESET_PASSWORD, lifetime=settings.MAGIC_LINK_OPERATOR_EXPIRY
        )
        if may_get_links(user):
            _mail_reset(user, token.url, token.expires_at, language=settings.LANGUAGE_CODE)
        audit.record("account:password:reset-start", actor=actor, target=user)
    return token


def handle_reset_requests() -> int:
    """Worker job: mail a reset link to each noted address that has an account which may sign in."""
    return handle_each(AddressRequest.Kind.RESET_PASSWORD, _handle_reset)


def reset_password(token: str, new: str) -> User:
    """Set a new password by a mailed link: the token's use and its effect in one transaction.

    Proves the address; ends every session. Raises TokenInvalid, RecordInvalid (the link stays
    usable then). Second factors are not touched (ASVS 6.4.3).
    """
    with transaction.atomic():
        found = usable_token(Purpose.RESET_PASSWORD, token)
        lock_people(found.user_id)
        # Before anything is written, because it takes the lock of roles.
        live_invitation(found.email)
        row = usable_token(Purpose.RESET_PASSWORD, token, consume=True)
        user: User = row.user
        if gates.refusal(user, credential_at=row.created_at) or user.email != row.email:
            raise TokenEnded(email=user.email)
        if not opens_by_password(user):
            raise TokenEnded(email=user.email)
        check_password_rules(new, user)
        prove_address(user)
        _store(user, new, "password reset")
        _tell(user)
        audit.record("account:password:reset", actor=user, target=user)
    return user


def _handle_reset(row: AddressRequest, _details: dict[str, Any]) -> None:
    user = User.objects.filter(email=row.email).first()
    may_reset = settings.ALLOW_PASSWORD_RESET and gates.may_act(user)
    if user is None or not may_reset or not opens_by_password(user) or not may_get_links(user):
        audit.record("account:password:reset-request", target=user, result="refused")
        return
    if is_asked_twice(user, Purpose.RESET_PASSWORD, row.binding):
        return
    if is_flooded("reset-password", user, Purpose.RESET_PASSWORD):
        audit.record(
            "account:password:reset-request", target=user, result="refused", reason="rate_limited"
        )
        return
    token = issue_token(user, Purpose.RESET_PASSWORD, lifetime=RESET_LIFETIME, binding=row.binding)
    _mail_reset(user, token.url, token.expires_at, language=row.language)
    audit.record("account:password:reset-request", actor=SYSTEM, target=user)


def _require_local(user: User) -> None:
    """Raise RecordInvalid for an account that no local password opens."""
    if not opens_by_password(user):
        raise RecordInvalid(
            {"password": [_("The password of this account is kept in the directory (LDAP).")]}
        )


def _store(user: User, new: str | None, reason: str) -> None:
    user.set_password(new)
    user.save(update_fields=["password"])
    AccountToken.objects.filter(user=user, purpose=Purpose.RESET_PASSWORD).replace(timezone.now())
    end_access(user, reason)


def _tell(user: User) -> None:
    enqueue_mail(kind="password-changed", recipient=user.email, user=user, context={})


def _mail_reset(user: User, url: str, expires_at: Any, *, language: str) -> None:
    enqueue_mail(
        kind="reset-password",
        recipient=user.email,
        user=user,
        language=language,
        context={"url": url, "expires_at": expires_at, "name": user.get_short_name()},
        expires_at=expires_at,
    )

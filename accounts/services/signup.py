"""Sign-up by form: the first person of a fresh instance at once, everybody else by mail.

The first local account while no person holds admin or owner becomes admin (CONTRACT section 10);
from elsewhere than this machine it needs the set-up code that the start printed.
"""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import addresses, audit
from accounts.actors import SYSTEM
from accounts.anonymous import ANONYMOUS_ID
from accounts.errors import Forbidden, GatehouseError, RecordInvalid
from accounts.limits import may_mail
from accounts.locks import ROLES, house_lock, lock_people
from accounts.models import AccountToken, AddressRequest, User
from accounts.outbox import enqueue_mail
from accounts.passwords import check_password_rules, normalise
from accounts.plain_text import clean_name
from accounts.roles import OPERATORS, Role
from accounts.services.anonymous import hand_over
from accounts.services.invited import live_invitation, lock_account_of, take_up
from accounts.services.requests import handle_each, note_request
from accounts.services.tokens import is_asked_twice, usable_token
from accounts.services.users import save_new
from accounts.services.verification import mail_verification


@dataclass(frozen=True, slots=True)
class SignUp:
    """What the form holds, parsed: `email` is the stored form.

    password: None where nobody signs in with one (ALLOW_EMAIL_LOGIN is off).
    """

    email: str
    name: str
    password: str | None = field(repr=False)

    @property
    def password_hash(self) -> str:
        """What is stored of the password."""
        return make_password(None if self.password is None else normalise(self.password))


class RegistrationClosed(Forbidden):
    """ALLOW_REGISTRATION is off, or the allow-list does not name this address."""

    code = "registration_closed"
    default_message = gettext_lazy("Registration is closed. Ask an operator for an account.")


def is_fresh() -> bool:
    """Does no person hold admin or owner yet?"""
    return not User.objects.people().filter(role__in=OPERATORS).exists()


def check_sign_up(details: SignUp) -> None:
    """Raise RegistrationClosed or RecordInvalid; tells nothing of other accounts."""
    if not settings.ALLOW_REGISTRATION:
        raise RegistrationClosed
    if not addresses.is_allowed(details.email, settings.ALLOWED_EMAILS):
        raise RegistrationClosed(_("Addresses of this domain cannot register here."))
    if details.password is not None:
        check_password_rules(details.password, User(email=details.email, name=details.name))
    elif settings.ALLOW_EMAIL_LOGIN:
        raise RecordInvalid({"password": [_("This field is required.")]})


def sign_up_first(details: SignUp, *, set_up_code: str, is_this_machine: bool) -> User | None:
    """Make the first person of a fresh instance: admin. None when somebody else was first.

    What was made without an account becomes his.
    Under the lock of roles, so that of two at once exactly one becomes admin. Raises
    RecordInvalid on a wrong code, RegistrationClosed, RecordInvalid.
    """
    errors = dict[str, list[str]]()
    try:
        check_sign_up(details)
    except RecordInvalid as error:
        errors |= error.errors
    if not (is_this_machine or settings.FIRST_ACCOUNT_OPEN):
        try:
            check_code(set_up_code)
        except RecordInvalid as error:
            errors |= error.errors
    if errors:
        raise RecordInvalid(errors)
    user = _new_user(details.email, details.name, details.password_hash)
    with transaction.atomic():
        lock_people(ANONYMOUS_ID)
        house_lock(ROLES)
        if not is_fresh():
            return None
        user.role = Role.ADMIN
        # Who sits at this machine or holds the code runs the server: his word is proof enough.
        user.email_verified_at = timezone.now()
        invitation = live_invitation(user.email)
        save_new(user, actor=SYSTEM, source="first-sign-up")
        if invitation is not None:
            take_up(invitation, user, is_new=False)
        hand_over(user)
    return user


def request_sign_up(details: SignUp, *, binding: str) -> None:
    """Note a sign-up; the worker makes the account and mails, or tells the address's owner.

    The password is hashed here in either case, so that time tells nothing (A027).
    """
    check_sign_up(details)
    note_request(
        AddressRequest.Kind.SIGN_UP,
        email=details.email,
        binding=binding,
        details={"name": details.name, "password": details.password_hash},
    )


def handle_sign_up_requests() -> int:
    """Worker job: make the accounts that were asked for."""
    return handle_each(AddressRequest.Kind.SIGN_UP, _handle_sign_up)


def _handle_sign_up(row: AddressRequest, details: dict[str, Any]) -> None:
    lock_account_of(row.email)
    existing = User.objects.filter(email=row.email).first()
    verifying = AccountToken.Purpose.VERIFY_EMAIL
    if existing is not None and is_asked_twice(existing, verifying, row.binding):
        return
    if existing is not None:
        if existing.is_claimed and may_mail("account-exists", row.email):
            enqueue_mail(
                kind="account-exists",
                recipient=row.email,
                user=existing,
                language=row.language,
                context={},
            )
        audit.record("account:user:sign-up", target=existing, result="refused")
        return
    user = _new_user(row.email, details["name"], details["password"])
    user.role = settings.DEFAULT_ROLE
    save_new(user, actor=None, source="sign-up")
    mail_verification(user, binding=row.binding, language=row.language)


def open_account(email: str) -> User | None:
    """An unverified account for an address that asks for a link; None when registration is closed.

    It has no password; redeeming the link proves the address. Whoever is invited gets one with
    registration closed, too.
    """
    is_open = settings.ALLOW_REGISTRATION and addresses.is_allowed(email, settings.ALLOWED_EMAILS)
    if not is_open and live_invitation(email, lock=False) is None:
        return None
    user = _new_user(email, "", make_password(None))
    user.role = settings.DEFAULT_ROLE
    return save_new(user, actor=None, source="magic-link")


def _new_user(email: str, name: str, password_hash: str) -> User:
    return User(email=email, name=clean_name(name), password=password_hash)


def check_code(code: str) -> None:
    """Raise RecordInvalid unless it is the code that the start has printed. Count before."""
    try:
        usable_token(AccountToken.Purpose.SET_UP, code.strip())
    except GatehouseError:
        audit.record("account:user:first-sign-up", result="refused")
        raise RecordInvalid(
            {"setup_code": [_("This is not the set-up code that the server printed at its start.")]}
        ) from None

"""Sign-up: the first user of an instance gets an account at once, others verify by mail.

While no user is admin or owner, the first local account becomes admin (CONTRACT section 10). Unless
the request comes from localhost, it needs the set-up code that the server printed.
"""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.actors import ANONYMOUS_ID, SYSTEM
from accounts.models import AccountToken, EmailRequest, User
from accounts.passwords import check_password_rules, normalise
from accounts.rate_limits import may_mail
from accounts.roles import ADMIN_ROLES, Role
from accounts.services.accept_invitation import live_invitation, lock_account_of, take_up
from accounts.services.anonymous import hand_over
from accounts.services.email_requests import enqueue_request, handle_each
from accounts.services.email_tokens import is_asked_twice, usable_token
from accounts.services.users import save_new
from accounts.services.verification import mail_verification
from audit import audit_log
from core.errors import Forbidden, GatehouseError, RecordInvalid
from core.locks import ROLES, acquire_lock, lock_users
from core.text import email_addresses
from core.text.plain_text import clean_name
from mail.outbox import enqueue_mail


@dataclass(frozen=True, slots=True)
class SignUp:
    """The parsed fields of the form; `email` is in its stored form.

    password: None while ALLOW_EMAIL_LOGIN is off.
    """

    email: str
    name: str
    password: str | None = field(repr=False)

    @property
    def password_hash(self) -> str:
        """The hash to store; computing it takes some 15 ms."""
        return make_password(None if self.password is None else normalise(self.password))


class RegistrationClosed(Forbidden):
    """ALLOW_REGISTRATION is off, or ALLOWED_EMAILS does not contain the address."""

    code = "registration_closed"
    default_message = gettext_lazy("Registration is closed. Ask an administrator for an account.")


def needs_first_admin() -> bool:
    """Whether no user is admin or owner yet."""
    return not User.objects.people().filter(role__in=ADMIN_ROLES).exists()


def check_sign_up(details: SignUp) -> None:
    """Raise RegistrationClosed or RecordInvalid. Reveals nothing about other accounts."""
    if not settings.ALLOW_REGISTRATION:
        raise RegistrationClosed
    if not email_addresses.is_allowed(details.email, settings.ALLOWED_EMAILS):
        raise RegistrationClosed(_("Addresses of this domain cannot register here."))
    if details.password is not None:
        check_password_rules(details.password, User(email=details.email, name=details.name))
    elif settings.ALLOW_EMAIL_LOGIN:
        raise RecordInvalid({"password": [_("This field is required.")]})


def sign_up_first(details: SignUp, *, set_up_code: str, is_localhost: bool) -> User | None:
    """Create the first administrator; None if another request was first.

    They also get everything that belongs to the anonymous user. Holds the lock of roles, so that
    exactly one of several requests succeeds. Raises RegistrationClosed; RecordInvalid for invalid
    fields or a wrong code.
    """
    errors = dict[str, list[str]]()
    try:
        check_sign_up(details)
    except RecordInvalid as error:
        errors |= error.errors
    if not (is_localhost or settings.FIRST_ACCOUNT_OPEN):
        try:
            check_code(set_up_code)
        except RecordInvalid as error:
            errors |= error.errors
    if errors:
        raise RecordInvalid(errors)
    user = _new_user(details.email, details.name, details.password_hash)
    with transaction.atomic():
        lock_users(ANONYMOUS_ID)
        acquire_lock(ROLES)
        if not needs_first_admin():
            return None
        user.role = Role.ADMIN
        # Someone at localhost or with the code runs the server, so the address needs no proof.
        user.email_verified_at = timezone.now()
        invitation = live_invitation(user.email)
        save_new(user, actor=SYSTEM, source="first-sign-up")
        if invitation is not None:
            take_up(invitation, user, is_new=False)
        hand_over(user)
    return user


def request_sign_up(details: SignUp, *, binding: str) -> None:
    """Enqueue a sign-up. The worker creates the account and mails a verification link.

    If the address has an account, its owner is notified instead. The password is hashed here in
    either case, so that the response time reveals nothing (A027).
    """
    check_sign_up(details)
    enqueue_request(
        EmailRequest.Kind.SIGN_UP,
        email=details.email,
        binding=binding,
        details={"name": details.name, "password": details.password_hash},
    )


def handle_sign_up_requests() -> int:
    """Worker job: create the requested accounts."""
    return handle_each(EmailRequest.Kind.SIGN_UP, _handle_sign_up)


def _handle_sign_up(row: EmailRequest, details: dict[str, Any]) -> None:
    lock_account_of(row.email)
    existing = User.objects.filter(email=row.email).first()
    verifying = AccountToken.Purpose.VERIFY_EMAIL
    if existing is not None and is_asked_twice(existing, verifying, row.binding):
        return
    if existing is not None:
        if existing.setup_completed and may_mail("account-exists", row.email):
            enqueue_mail(
                kind="account-exists",
                recipient=row.email,
                user=existing,
                language=row.language,
                context={},
            )
        audit_log.record("account:user:sign-up", target=existing, result="refused")
        return
    user = _new_user(row.email, details["name"], details["password"])
    user.role = settings.DEFAULT_ROLE
    save_new(user, actor=None, source="sign-up")
    mail_verification(user, binding=row.binding, language=row.language)


def create_unverified_user(email: str) -> User | None:
    """Create an account for an address that asks for a link; None if registration is closed.

    It has no password; using the link verifies the address. Invited addresses get one while
    registration is closed, too.
    """
    is_open = settings.ALLOW_REGISTRATION and email_addresses.is_allowed(
        email, settings.ALLOWED_EMAILS
    )
    if not is_open and live_invitation(email, lock=False) is None:
        return None
    user = _new_user(email, "", make_password(None))
    user.role = settings.DEFAULT_ROLE
    return save_new(user, actor=None, source="magic-link")


def _new_user(email: str, name: str, password_hash: str) -> User:
    return User(email=email, name=clean_name(name), password=password_hash)


def check_code(code: str) -> None:
    """Raise RecordInvalid unless `code` is the set-up code. The caller has counted the attempt."""
    try:
        usable_token(AccountToken.Purpose.SET_UP, code.strip())
    except GatehouseError:
        audit_log.record("account:user:first-sign-up", result="refused")
        raise RecordInvalid(
            {"setup_code": [_("This is not the set-up code that the server printed at its start.")]}
        ) from None

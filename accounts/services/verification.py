"""Verifying the address of an account, and changing it."""

import hmac
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.account_sources import may_get_links
from accounts.actors import Actor
from accounts.models import AccountToken, Invitation, User
from accounts.passwords import asks_password
from accounts.rate_limits import check_rate_limit, has_room, may_mail
from accounts.roles import Role, can_give
from accounts.services.accept_invitation import accepted_by_address, live_invitation, take_up
from accounts.services.approvals import acts
from accounts.services.approvals.rule import needs_second_owner, require_second_owner
from accounts.services.email_tokens import (
    is_flooded,
    is_outlived,
    issue_token,
    mail_link,
    usable_token,
)
from accounts.services.ranks import require_person, require_rank, require_rank_now
from accounts.services.sessions import (
    note_wrong_password,
    require_own_password,
    revoke_credentials,
)
from accounts.services.users import notify_email_changed
from accounts.sessions.link_binding import binding_of
from audit import audit_log
from core.crypto.tokens import digest
from core.errors import (
    BadCredentials,
    RecordInvalid,
    TokenEnded,
    TokenInvalid,
)
from core.locks import lock_users
from core.text import email_addresses
from mail.outbox import enqueue_mail

LIFETIME = timedelta(hours=24)
Purpose = AccountToken.Purpose


def mark_email_verified(user: User) -> Invitation | None:
    """Mark the address of `user` as verified by someone who received mail at it.

    Call inside the transaction that verifies it. If it was unverified, everything that was set up
    before is removed: password, sessions, tokens, identities at providers and second factors,
    because someone else may have registered the address in advance (A023). Returns the invitation
    that this accepts, if any.
    """
    if user.is_verified:
        return None
    accepted = accepted_by_address(user, is_new=True)
    user.email_verified_at = timezone.now()
    user.set_password(None)
    user.save(update_fields=["email_verified_at", "password"])
    for rows in (user.identities, user.authenticators, user.recovery_codes, user.trusted_browsers):
        rows.all().delete()
    revoke_credentials(user, "address proved")
    audit_log.record("account:email:prove", actor=user, target=user)
    return accepted


def send_verification(request: HttpRequest, user: User) -> bool:
    """Mail `user` a verification link without their asking; False beyond the rate limit.

    For sign-ins with an unverified address. A browser may repeat those by itself, so an excess is
    no violation.
    """
    if not has_room(request, "verify-email", user.email):
        return False
    _mail_to_browser(request, user)
    return True


def resend_verification(request: HttpRequest, user: User) -> None:
    """Mail `user` a verification link that they asked for. Raises RateLimited."""
    check_rate_limit(request, "verify-email", user.email)
    _mail_to_browser(request, user)


def _mail_to_browser(request: HttpRequest, user: User) -> None:
    mail_verification(user, binding=binding_of(request), language=get_language() or "en")


def mail_verification(user: User, *, binding: str, language: str) -> None:
    """Issue the token and enqueue the mail in one transaction.

    Does nothing beyond the limit of the mailbox if it has a usable link: someone who registered
    another person's address can ask from many networks. Nor if the address may have a new owner.
    """
    if not may_get_links(user) or is_flooded("verify-email", user, Purpose.VERIFY_EMAIL):
        return
    with transaction.atomic():
        token = issue_token(user, Purpose.VERIFY_EMAIL, lifetime=LIFETIME, binding=binding)
        mail_link("verify-email", token, user, recipient=user.email, language=language)


def find_verification(token: str) -> AccountToken:
    """The token of a verification or email change link. Raises TokenInvalid, TokenExpired."""
    name = digest(Purpose.CHANGE_EMAIL, token)
    is_change = AccountToken.objects.filter(purpose=Purpose.CHANGE_EMAIL, digest=name).exists()
    return usable_token(Purpose.CHANGE_EMAIL if is_change else Purpose.VERIFY_EMAIL, token)


def is_asking_browser(request: HttpRequest, row: AccountToken) -> bool:
    """Whether this browser asked for the link, or is signed in to the account."""
    if request.user.is_authenticated and request.user.pk == row.user_id:
        return True
    return bool(row.binding) and hmac.compare_digest(row.binding, binding_of(request))


def confirm_address(token: str, *, is_asking_browser: bool, password: str = "") -> User:
    """Use the link: verify the address, or change it to the new one.

    In another browser than the one that asked, the account's password is needed, so that no one can
    trick the owner of a mailbox into confirming an account that someone else made. For accounts
    without a password, verifying there removes what was set up before, and changing the address
    needs a browser that is signed in.

    Raises TokenInvalid, TokenExpired, BadCredentials, RecordInvalid. The caller has counted the
    attempt where a password is needed.
    """
    row = find_verification(token)
    user: User = row.user
    purpose = Purpose(row.purpose)
    is_by_password = not is_asking_browser and asks_password(user)
    if is_by_password and not (password and user.check_password(password)):
        note_wrong_password(user, "account:email:verify")
        raise BadCredentials(_("Enter the password that was chosen for this account."))
    if not is_asking_browser and needs_sign_in(row):
        raise BadCredentials(_("Sign in to this account first, then open the link again."))
    with transaction.atomic():
        lock_users(user.pk)
        # Takes the lock of roles before an address is written: who accepts an invitation to it
        # holds that lock while they wait for the address.
        live_invitation(row.email)
        # The current row, locked: what an administrator changes meanwhile ends the link.
        current = User.objects.filter(pk=user.pk).first()
        rows = AccountToken.objects.filter(purpose=purpose)
        if rows.consume(digest(purpose, token), timezone.now()) is None or current is None:
            find_verification(token)
            raise TokenInvalid
        user = current
        if (
            is_outlived(row, user)
            or access_policy.get_denial(user, credential_at=row.created_at) is not None
        ):
            raise TokenEnded(email=user.email)
        if purpose == Purpose.CHANGE_EMAIL:
            _move(user, row.email)
        elif user.email != row.email:
            raise TokenEnded(email=user.email)
        elif is_asking_browser or is_by_password:
            _verify(user)
        else:
            # Only access to the mailbox was shown, so nothing else is trusted.
            mark_email_verified(user)
    return user


def needs_sign_in(row: AccountToken) -> bool:
    """Whether `row` is an email change whose account has no password to ask for."""
    return row.purpose == Purpose.CHANGE_EMAIL and not asks_password(row.user)


def request_email_change(request: HttpRequest, *, user: User, password: str, new: str) -> None:
    """Mail the new address a link; nothing changes until it is used.

    The response is the same for a taken address, whose owner is notified instead. Raises
    RateLimited before the password is checked; OwnPasswordWrong, with the errors of `new` as well;
    RecordInvalid.
    """
    errors, email = dict[str, list[str]](), ""
    try:
        email = email_addresses.parse_email(new)
    except email_addresses.AddressError as error:
        errors["email"] = [_(str(error))]
    if email == user.email:
        errors["email"] = [_("This is your address already.")]
    if asks_password(user):
        check_rate_limit(request, "sign-in", user.email)
        require_own_password(user, password, "account:email:change-request", beside=errors)
    if errors:
        raise RecordInvalid(errors)
    check_rate_limit(request, "verify-email", user.email)
    language = get_language() or "en"
    with transaction.atomic():
        is_taken = User.objects.filter(email=email).exclude(pk=user.pk).exists()
        # Both kinds share one limit, so that reaching it does not reveal which of them applies.
        if not may_mail("change-email", email):
            pass  # the response is the same
        elif is_taken:
            enqueue_mail(kind="account-exists", recipient=email, language=language, context={})
        else:
            token = issue_token(user, Purpose.CHANGE_EMAIL, lifetime=LIFETIME, email=email)
            mail_link("change-email", token, user, recipient=email, language=language)
        audit_log.record("account:email:change-request", actor=user, target=user)


@needs_second_owner(acts.VERIFY)
def mark_verified(*, actor: Actor, user: User) -> User:
    """An administrator confirms that the address is the user's.

    This accepts an invitation of the address only if the administrator may give its role.
    """
    require_rank(actor, user)
    require_person(user, "is_verified")
    with transaction.atomic():
        require_rank_now(actor, user)
        rows = User.objects.filter(pk=user.pk, email_verified_at=None)
        if rows.exists():
            require_second_owner(actor, user)
        invitation = live_invitation(user.email) if rows.exists() else None
        if rows.update(email_verified_at=timezone.now()):
            if invitation is not None and can_give(Role(actor.role), Role(invitation.role)):
                take_up(invitation, user, is_new=True)
            audit_log.record("account:email:vouch", actor=actor, target=user)
    user.refresh_from_db()
    return user


def _verify(user: User) -> None:
    accepted_by_address(user, is_new=True)
    user.email_verified_at = timezone.now()
    user.save(update_fields=["email_verified_at"])
    audit_log.record("account:email:verify", actor=user, target=user)


def _move(user: User, new: str) -> None:
    old, user.email = user.email, new
    user.email_verified_at = timezone.now()
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "email_verified_at"])
    except IntegrityError:
        raise TokenEnded(email=old) from None
    accepted_by_address(user)
    notify_email_changed(user, old)
    audit_log.record("account:email:change", actor=user, target=user)

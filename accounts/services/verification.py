"""Proving an address, and moving an account to another one."""

import hmac
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts import addresses, audit, gates
from accounts.actors import Actor
from accounts.browser import binding_of
from accounts.errors import (
    BadCredentials,
    RateLimited,
    RecordInvalid,
    TokenEnded,
    TokenInvalid,
)
from accounts.limits import count_try, has_room, may_mail
from accounts.locks import lock_people
from accounts.models import AccountToken, Invitation, User
from accounts.outbox import enqueue_mail
from accounts.passwords import asks_password
from accounts.roles import Role, can_give
from accounts.services.invited import accepted_by_address, live_invitation, take_up
from accounts.services.profile_updates import may_get_links
from accounts.services.sessions import end_access, note_wrong_password, require_own_password
from accounts.services.tokens import is_flooded, is_outlived, issue_token, usable_token
from accounts.services.users import require_rank, require_rank_now, tell_email_changed
from accounts.tokens import digest

LIFETIME = timedelta(hours=24)
Purpose = AccountToken.Purpose


def prove_address(user: User) -> Invitation | None:
    """The person has shown that the address is his; call inside the transaction that shows it.

    Unless it was proved before, whatever was set up without that proof dies: password, sessions,
    tokens, identities at providers, second factors. Somebody else may have registered the address
    in advance (A023). Returns the invitation that it accepts by that, if any.
    """
    if user.is_verified:
        return None
    accepted = accepted_by_address(user, is_new=True)
    user.email_verified_at = timezone.now()
    user.set_password(None)
    user.save(update_fields=["email_verified_at", "password"])
    for unproved in (user.identities, user.authenticators, user.recovery_codes):
        unproved.all().delete()
    user.remembered_browsers.all().delete()
    end_access(user, "address proved")
    audit.record("account:email:prove", actor=user, target=user)
    return accepted


def send_verification(request: HttpRequest, user: User) -> bool:
    """Mail `user` a link that proves the address, unasked; False when the limit says not now.

    It goes out with each sign-in before that, and a browser may send such a form again by itself.
    """
    if not has_room(request, "verify-email", user.email):
        return False
    mail_verification(user, binding=binding_of(request), language=get_language() or "en")
    return True


def resend_verification(request: HttpRequest, user: User) -> bool:
    """As send_verification(), for a person who has pressed the button for it."""
    try:
        count_try(request, "verify-email", user.email)
    except RateLimited:
        return False
    mail_verification(user, binding=binding_of(request), language=get_language() or "en")
    return True


def mail_verification(user: User, *, binding: str, language: str) -> None:
    """Issue the token and enqueue the mail in one transaction.

    Does nothing where the mailbox has had enough of them and holds a live one: a stranger who has
    chosen the password of an account with somebody's address can ask from many networks. Nor where
    the address is somebody else's by now.
    """
    if not may_get_links(user) or is_flooded("verify-email", user, Purpose.VERIFY_EMAIL):
        return
    with transaction.atomic():
        token = issue_token(user, Purpose.VERIFY_EMAIL, lifetime=LIFETIME, binding=binding)
        enqueue_mail(
            kind="verify-email",
            recipient=user.email,
            user=user,
            language=language,
            context={"url": token.url, "expires_at": token.expires_at},
            expires_at=token.expires_at,
        )


def find_verification(token: str) -> AccountToken:
    """The token of a verification or address-change link. Raises TokenInvalid, TokenExpired."""
    name = digest(Purpose.CHANGE_EMAIL, token)
    is_change = AccountToken.objects.filter(purpose=Purpose.CHANGE_EMAIL, digest=name).exists()
    return usable_token(Purpose.CHANGE_EMAIL if is_change else Purpose.VERIFY_EMAIL, token)


def is_asking_browser(request: HttpRequest, row: AccountToken) -> bool:
    """Is this the browser that signed up, or one signed in to the account?"""
    if request.user.is_authenticated and request.user.pk == row.user_id:
        return True
    return bool(row.binding) and hmac.compare_digest(row.binding, binding_of(request))


def confirm_address(token: str, *, is_asking_browser: bool, password: str = "") -> User:
    """Use the link: prove the address, or move the account to the new one.

    Opened elsewhere than asked, the account's password is needed, so that the owner of a mailbox
    cannot be tricked into confirming an account that a stranger made with their address. Where
    nobody has a password, a verification drops all that was set up before it, and a change of
    address needs the account's own browser.
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
        lock_people(user.pk)
        # Before anything is written, because it takes the lock of roles.
        live_invitation(row.email)
        # As it is now, until all is written: what an operator changes meanwhile ends the link.
        current = User.objects.filter(pk=user.pk).first()
        rows = AccountToken.objects.filter(purpose=purpose)
        if rows.consume(digest(purpose, token), timezone.now()) is None or current is None:
            find_verification(token)
            raise TokenInvalid
        user = current
        if is_outlived(row, user) or gates.refusal(user, credential_at=row.created_at) is not None:
            raise TokenEnded(email=user.email)
        if purpose == Purpose.CHANGE_EMAIL:
            _move(user, row.email)
        elif user.email != row.email:
            raise TokenEnded(email=user.email)
        elif is_asking_browser or is_by_password:
            _mark_proved(user)
        else:
            # Nothing but the mailbox has been shown, so nothing else is believed.
            prove_address(user)
    return user


def needs_sign_in(row: AccountToken) -> bool:
    """Does a change of address, opened elsewhere than asked, have no password to be proved by?"""
    return row.purpose == Purpose.CHANGE_EMAIL and not asks_password(row.user)


def request_email_change(request: HttpRequest, *, user: User, password: str, new: str) -> None:
    """Mail the new address a link; nothing changes until it is used.

    The answer is the same for an address that is taken: its owner is told instead.
    Raises RateLimited before the password is looked at; OwnPasswordWrong, which tells of `new` as
    well; RecordInvalid.
    """
    errors, email = dict[str, list[str]](), ""
    try:
        email = addresses.parse_email(new)
    except addresses.AddressError as error:
        errors["email"] = [_(str(error))]
    if email == user.email:
        errors["email"] = [_("This is your address already.")]
    if asks_password(user):
        count_try(request, "sign-in", user.email)
        require_own_password(user, password, "account:email:change-request", beside=errors)
    if errors:
        raise RecordInvalid(errors)
    count_try(request, "verify-email", user.email)
    language = get_language() or "en"
    with transaction.atomic():
        is_taken = User.objects.filter(email=email).exclude(pk=user.pk).exists()
        # One count for both, so that its end does not tell which of them it is.
        if not may_mail("change-email", email):
            pass  # the owner of the mailbox has had enough; the answer is the same
        elif is_taken:
            enqueue_mail(kind="account-exists", recipient=email, language=language, context={})
        else:
            token = issue_token(user, Purpose.CHANGE_EMAIL, lifetime=LIFETIME, email=email)
            enqueue_mail(
                kind="change-email",
                recipient=email,
                user=user,
                language=language,
                context={"url": token.url, "expires_at": token.expires_at},
                expires_at=token.expires_at,
            )
        audit.record("account:email:change-request", actor=user, target=user)


def mark_verified(*, actor: Actor, user: User) -> User:
    """An operator vouches for the address, as for a colleague they know.

    That accepts an invitation of the address only when the operator could give its role.
    """
    require_rank(actor, user)
    with transaction.atomic():
        require_rank_now(actor, user)
        rows = User.objects.filter(pk=user.pk, email_verified_at=None)
        invitation = live_invitation(user.email) if rows.exists() else None
        if rows.update(email_verified_at=timezone.now()):
            if invitation is not None and can_give(Role(actor.role), Role(invitation.role)):
                take_up(invitation, user, is_new=True)
            audit.record("account:email:vouch", actor=actor, target=user)
    user.refresh_from_db()
    return user


def _mark_proved(user: User) -> None:
    accepted_by_address(user, is_new=True)
    user.email_verified_at = timezone.now()
    user.save(update_fields=["email_verified_at"])
    audit.record("account:email:verify", actor=user, target=user)


def _move(user: User, new: str) -> None:
    old, user.email = user.email, new
    user.email_verified_at = timezone.now()
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "email_verified_at"])
    except IntegrityError:
        raise TokenEnded(email=old) from None
    accepted_by_address(user)
    tell_email_changed(user, old)
    audit.record("account:email:change", actor=user, target=user)

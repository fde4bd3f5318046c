"""The kinds of credentials that accounts itself issues."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AccountToken, BrowserSession, Invitation, Membership, User
from accounts.offboarding.credential_kinds import ENDED, CredentialKind
from accounts.services.email_tokens import error_of
from accounts.services.invitations import require_live
from accounts.services.sessions import user_of_session
from accounts.sessions.store import SessionStore
from core.errors import TokenInvalid


class Password(CredentialKind):
    """The password of the account, here or in the directory."""

    name = "password"
    label = _("Sign-in by password")

    def find(self, user: User, now: datetime) -> Sequence[User]:
        return [user] if user.has_usable_password() else []


class Sessions(CredentialKind):
    """Browsers that are signed in."""

    name = "sessions"
    label = _("Signed-in browsers")

    def find(self, user: User, now: datetime) -> Sequence[BrowserSession]:
        return list(user.sessions.filter(expire_date__gt=now))

    def end(self, user: User, now: datetime) -> None:
        user.sessions.all().delete()

    def refusal(self, user: User, credential: BrowserSession) -> str:
        row = SessionStore.find_row(credential.session_key)
        if row is None:
            return ENDED
        return "" if user_of_session(SessionStore.read_only(row)) else "not_authenticated"


class AccountLinks(CredentialKind):
    """Links by mail: password reset, address verification, change of address, first set-up."""

    name = "account_links"
    label = _("Links to reset the password or verify an address")

    def find(self, user: User, now: datetime) -> Sequence[AccountToken]:
        return list(AccountToken.objects.filter(user=user).usable(now))

    def end(self, user: User, now: datetime) -> None:
        AccountToken.objects.filter(user=user).replace(now)

    def refusal(self, user: User, credential: AccountToken) -> str:
        row = AccountToken.objects.select_related("user").filter(pk=credential.pk).first()
        error = None if row is None else error_of(row, timezone.now())
        return ENDED if row is None else "" if error is None else error.code


class _Invitations(CredentialKind):
    """Invitations that one column names."""

    def _rows(self, user: User) -> Any:
        raise NotImplementedError

    def find(self, user: User, now: datetime) -> Sequence[Invitation]:
        return list(self._rows(user).usable(now))

    def end(self, user: User, now: datetime) -> None:
        self._rows(user).replace(now)

    def refusal(self, user: User, credential: Invitation) -> str:
        rows = Invitation.objects.select_related("invited_by")
        row = rows.filter(pk=credential.pk).first()
        if row is None:
            return ENDED
        try:
            require_live(row)
        except TokenInvalid as error:
            return error.code
        return ""


class InvitationsForUser(_Invitations):
    """Invitations to the address of the account."""

    name = "invitations_for"
    label = _("Invitations to their address")

    def _rows(self, user: User) -> Any:
        return Invitation.objects.filter(email=user.email)


class InvitationsByUser(_Invitations):
    """Invitations that the account has sent: each would give someone access."""

    name = "invitations_by"
    label = _("Invitations that they have sent")

    def _rows(self, user: User) -> Any:
        return Invitation.objects.filter(invited_by=user)


class Groups(CredentialKind):
    """Groups that the person is in: apps let people in by them."""

    name = "groups"
    label = _("Groups that they are in")

    def find(self, user: User, now: datetime) -> Sequence[Membership]:
        return list(Membership.objects.filter(user=user).current(now))

    def end(self, user: User, now: datetime) -> None:
        Membership.objects.filter(user=user).delete()

    def refusal(self, user: User, credential: Membership) -> str:
        return "" if Membership.objects.filter(pk=credential.pk).exists() else ENDED

"""Passkeys and trusted browsers, for the offboarding of an account."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.offboarding.credential_kinds import ENDED, CredentialKind
from mfa.models import Authenticator, TrustedBrowser
from mfa.trusted_browsers import browsers_of


class Passkeys(CredentialKind):
    """Passkeys. They stay registered, for the case that the account is enabled again."""

    name = "passkeys"
    label = _("Sign-in by passkey")

    def find(self, user: User, now: datetime) -> Sequence[Authenticator]:
        return list(user.authenticators.filter(kind=Authenticator.Kind.PASSKEY))


class TrustedBrowsers(CredentialKind):
    """Browsers that were not asked for the second factor."""

    name = "trusted_browsers"
    label = _("Browsers that skip the second factor")

    def find(self, user: User, now: datetime) -> Sequence[TrustedBrowser]:
        return list(browsers_of(user))

    def end(self, user: User, now: datetime) -> None:
        user.trusted_browsers.all().delete()

    def refusal(self, user: User, credential: TrustedBrowser) -> str:
        return "" if browsers_of(user).filter(pk=credential.pk).exists() else ENDED

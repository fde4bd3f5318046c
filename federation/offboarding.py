"""Sign-ins through providers and the directory, for the offboarding of an account."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.offboarding.credential_kinds import CredentialKind
from federation.models import ExternalIdentity


class ProviderSignIns(CredentialKind):
    """Identities by which the account signs in. They stay connected, and are refused.

    A provider's own session can be ended by the browser that has it, at sign-out, and by the
    provider. No provider offers a server to end it for a user.
    """

    name = "provider_sign_ins"
    label = gettext_lazy("Sign-in through a provider or the directory")

    def find(self, user: User, now: datetime) -> Sequence[ExternalIdentity]:
        return list(user.identities.all())

    def limits(self) -> str:
        return _(
            "The session at the provider itself cannot be ended from here. Disable the account "
            "there, too: it may open other apps."
        )

"""Sign-ins to apps by OpenID Connect, for the offboarding of an account."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.offboarding.credential_kinds import CredentialKind
from oidc_provider.errors import ProtocolError
from oidc_provider.models import Consent, Grant
from oidc_provider.services.access import ENDED, live_grants
from oidc_provider.services.grants import read_grant, require_live


class AppSignIns(CredentialKind):
    """Apps that the account is signed in to: each has access and refresh tokens."""

    name = "app_sign_ins"
    label = gettext_lazy("Sign-ins to apps (OpenID Connect)")

    def find(self, user: User, now: datetime) -> Sequence[Grant]:
        return list(live_grants(user).select_related("app", "user"))

    def end(self, user: User, now: datetime) -> None:
        live_grants(user).update(ended_at=now, end_reason=ENDED)
        Consent.objects.filter(user=user).delete()

    def refusal(self, user: User, credential: Grant) -> str:
        """Ask as for a token of the sign-in."""
        try:
            require_live(read_grant(credential.pk))
        except ProtocolError as error:
            return error.error
        return ""

    def limits(self) -> str:
        return _("An app that is not told of sign-outs may keep its own session until that ends.")

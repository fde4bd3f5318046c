"""Sign-in links, for the offboarding of an account."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.offboarding.credential_kinds import CredentialKind
from magiclinks.models import LoginLink
from magiclinks.services import why_refused


class LoginLinks(CredentialKind):
    """Links that sign in once."""

    name = "login_links"
    label = _("Sign-in links")

    def find(self, user: User, now: datetime) -> Sequence[LoginLink]:
        return list(LoginLink.objects.filter(user=user).usable(now))

    def end(self, user: User, now: datetime) -> None:
        LoginLink.objects.filter(user=user).replace(now)

    def refusal(self, user: User, credential: LoginLink) -> str:
        return why_refused(credential.pk)

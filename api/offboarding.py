"""The kinds of credentials that the API issues, for the offboarding of an account."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import User
from accounts.offboarding.credential_kinds import ENDED, CredentialKind
from api.apikeys import sql
from api.apikeys.authenticate import require_usable
from api.apikeys.services import live_condition
from api.authentication import JWTAuthentication, context_for_token
from api.models import ApiKey, ForeignIdentity, TokenFamily
from api.permissions import require_account_access
from api.tokens.refresh_tokens import SIGNED_OUT, live_families, make_pair, user_of
from core.errors import GatehouseError


class ApiKeys(CredentialKind):
    """API keys of the account."""

    name = "api_keys"
    label = gettext_lazy("API keys")

    def find(self, user: User, now: datetime) -> Sequence[ApiKey]:
        return list(ApiKey.objects.filter(live_condition(now), user=user))

    def end(self, user: User, now: datetime) -> None:
        # All of these end later than now, and purge_keys() looks at this column.
        live = ApiKey.objects.filter(live_condition(now), user=user)
        live.update(revoked_at=now, expires_at=now)

    def refusal(self, user: User, credential: ApiKey) -> str:
        key = sql.find_key(credential.pk)
        if key is None:
            return ENDED
        try:
            require_usable(key, timezone.now(), ip=None)
        except GatehouseError as error:
            return error.code
        return ""


class TokenFamilies(CredentialKind):
    """Programs that are signed in with tokens: each has an access and a refresh token."""

    name = "tokens"
    label = gettext_lazy("Sign-ins with tokens (access and refresh)")

    def find(self, user: User, now: datetime) -> Sequence[TokenFamily]:
        return list(live_families(user))

    def end(self, user: User, now: datetime) -> None:
        live_families(user).update(ended_at=now, end_reason=SIGNED_OUT)

    def refusal(self, user: User, credential: TokenFamily) -> str:
        """Present both tokens of the family, which are made anew here and kept nowhere."""
        pair = make_pair(credential, user, timezone.now())
        try:
            user_of(pair.refresh)
        except GatehouseError:
            try:
                context_for_token(JWTAuthentication().get_validated_token(pair.access))
            except GatehouseError as error:
                return error.code
        return ""

    def limits(self) -> str:
        minutes = math.ceil(settings.SESSION_EXPIRY / timedelta(minutes=1))
        text = ngettext(
            "A backend that verifies access tokens by itself accepts one until it expires, at most "
            "%(minutes)d minute after it was issued.",
            "A backend that verifies access tokens by itself accepts one until it expires, at most "
            "%(minutes)d minutes after it was issued.",
            minutes,
        )
        return text % {"minutes": minutes}


class ExternalTokens(CredentialKind):
    """Tokens of another issuer that name the account."""

    name = "external_tokens"
    label = gettext_lazy("Tokens of another issuer")

    def find(self, user: User, now: datetime) -> Sequence[ForeignIdentity]:
        return list(user.foreign_identities.all())

    def refusal(self, user: User, credential: ForeignIdentity) -> str:
        try:
            require_account_access(user, timezone.now())
        except GatehouseError as error:
            return error.code
        return ""

    def limits(self) -> str:
        return _("The issuer goes on issuing them. They are refused here; end them there, too.")

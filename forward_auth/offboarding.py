"""Checks for proxies, for the offboarding of an account: the fast path and what it has cached."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.offboarding.credential_kinds import CredentialKind
from accounts.services.sessions import user_of_session
from accounts.sessions.store import PURPOSE as SESSION
from accounts.sessions.store import SessionStore
from api.apikeys.services import live_condition
from api.models import ApiKey, TokenFamily
from api.tokens.refresh_tokens import live_families, make_pair
from forward_auth.authentication import FastPathUnsupported, authenticate_known_key
from forward_auth.cache import credential_key
from forward_auth.checker import CHECKER
from forward_auth.decisions import AuthResult, Principal
from forward_auth.models import ForwardAuthCookie
from forward_auth.request import COOKIE_PURPOSE
from forward_auth.services.tokens import TTL_SECONDS


class Known(NamedTuple):
    """A credential. key: the digest of a session or cookie, or the id of a key or family.

    session: the digest of the session that it belongs to.
    """

    kind: str
    key: str
    session: str = ""
    family: TokenFamily | None = None


class ProxyChecks(CredentialKind):
    """Whatever opened an app behind the proxy: sessions, their cookies for other hosts, API keys,
    access tokens. They are ended by their own kinds."""

    name = "proxy_checks"
    label = gettext_lazy("Apps behind the proxy (forward auth)")

    def find(self, user: User, now: datetime) -> Sequence[Known]:
        sessions = user.sessions.filter(expire_date__gt=now).values_list("pk", flat=True)
        cookies = ForwardAuthCookie.objects.filter(session__in=sessions)
        keys = ApiKey.objects.filter(live_condition(now), user=user).values_list("pk", flat=True)
        return [
            *(Known(SESSION, key, key) for key in sessions),
            *(Known(COOKIE_PURPOSE, row.digest, row.session_id) for row in cookies),
            *(Known("key", key) for key in keys),
            *(Known("token", str(family.pk), family=family) for family in live_families(user)),
        ]

    def refusal(self, user: User, credential: Known) -> str:
        try:
            result = _ask(user, credential)
        except FastPathUnsupported:
            return _ask_django(credential)
        return "" if isinstance(result, Principal) else result.code

    def limits(self) -> str:
        text = _(
            "An app with a sign-in of its own may keep it. A token in the header Remote-Token "
            "stays valid for at most %(seconds)d seconds."
        )
        return text % {"seconds": TTL_SECONDS}


def _ask(user: User, credential: Known) -> AuthResult:
    """What the fast path says. Raises FastPathUnsupported."""
    if credential.kind == "key":
        return authenticate_known_key(credential.key, time.time())
    if credential.family is None:
        return CHECKER.authenticate_stored(credential.kind, credential.key)
    access = make_pair(credential.family, user, timezone.now()).access
    return CHECKER.authenticate_stored("token", credential_key("token", access), access)


def _ask_django(credential: Known) -> str:
    """What Django says where the fast path leaves a session to it."""
    row = SessionStore.find_row(credential.session)
    is_accepted = row is not None and user_of_session(SessionStore.read_only(row)) is not None
    return "" if is_accepted else "not_authenticated"

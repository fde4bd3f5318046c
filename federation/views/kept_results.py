"""The results of test sign-ins, kept encrypted in the session of the owner who tested."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils import timezone

from accounts.views.common import current_user
from core.crypto import session_values
from federation.providers import Provider
from federation.services.sign_in_tests import Claim, SignInTest

KEY = "sign_in_test"
# Claims are personal data: the page shows them for a while, then they are of no use.
LIFE = timedelta(minutes=10)


class KeptResult(NamedTuple):
    at: datetime
    result: SignInTest


def keep(request: HttpRequest, provider: Provider, result: SignInTest) -> None:
    """Keep the newest result; it replaces an earlier one."""
    kept = {"provider": provider.id, "at": timezone.now().isoformat(), "result": asdict(result)}
    session_values.put(request.session, KEY, kept, owner=current_user(request).pk)


def latest(request: HttpRequest, provider_id: str) -> KeptResult | None:
    """The result of the last LIFE for this provider, if this session has made the test."""
    kept: Any = session_values.get(request.session, KEY, owner=current_user(request).pk)
    if kept is None or kept["provider"] != provider_id:
        return None
    at = datetime.fromisoformat(kept["at"])
    if timezone.now() - at > LIFE:
        return None
    fields = kept["result"]
    claims = tuple(Claim(*each) for each in fields["claims"])
    return KeptResult(at, SignInTest(**{**fields, "claims": claims}))

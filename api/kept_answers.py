"""Views say here how long their answer holds. What is in front of Django may reuse it until then.

See applications.answer_cache and applications.own_answers. The answer is reused for the same
request only, and no longer once any watched table has changed.
"""

import time
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from accounts.sessions.store import SessionStore
from api.apikeys import quota
from api.permissions import AuthContext
from api.tokens.sql import find_family

# However long an answer holds, Django is asked again after this time.
ANSWER_SECONDS = 5.0
# Keys of the environment; no header gets a key in lower case.
HOLDS_UNTIL, COUNTED_KEY = "gatehouse.answer_holds_until", "gatehouse.counted_key"


def keep_answer(environ: MutableMapping[str, Any], until: datetime) -> None:
    """The view says: this answer holds until then, unless the database changes before."""
    environ[HOLDS_UNTIL] = min(until.timestamp(), time.time() + ANSWER_SECONDS)


def keep_own(request: HttpRequest, auth: AuthContext) -> None:
    """The same for what the user of a request reads of itself. Call it inside reuse_rows().

    Only with a single credential: an API key, an access token of ours, or a browser session, until
    a use extends it. What a token of another issuer is worth depends on that issuer, too.
    """
    now, user = timezone.now(), auth.user
    ends = _ends_of(request, auth, now)
    if ends is None:
        return
    ends += [user.next_end(now)]
    ends += [until for _group, until in user.all_memberships() if until and until > now]
    known = [end for end in ends if end is not None]
    keep_answer(request.META, min(known, default=now + timedelta(days=1)))
    if auth.key is not None:
        request.META[COUNTED_KEY] = auth.key.pk


def _ends_of(
    request: HttpRequest, auth: AuthContext, now: datetime
) -> list[datetime | None] | None:
    """When the credential ends, or its use is written; None for one that is not reused."""
    key = auth.key
    if key is not None:
        noted = quota.next_note(key.pk, key.last_used_at, now)
        return None if auth.has_token else [key.expires_at, noted]
    if auth.session_id is None:
        return None
    if not auth.has_token:
        session = getattr(request, "session", None)
        end = session.next_change() if isinstance(session, SessionStore) else None
        return None if end is None else [end]
    found = find_family(auth.session_id)
    if found is None:
        return None
    family, session_end = found
    return [family.expires_at, session_end, datetime.fromtimestamp(auth.claims["exp"], UTC)]

"""Views say here how long their answer holds. What is in front of Django may reuse it until then.

See applications.answer_cache and applications.own_answers. The answer is reused for the same
request only, and no longer once any watched table has changed.
"""

import time
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

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


def keep_own(environ: MutableMapping[str, Any], auth: AuthContext) -> None:
    """The same for what the user of one API key, or of one of our access tokens, reads of itself.

    Not for anything else: a browser session is extended by its use, and tokens of other issuers
    depend on what their issuer publishes. Call it inside reuse_rows().
    """
    now, user, key = timezone.now(), auth.user, auth.key
    ends = [user.next_end(now)]
    ends += [until for _group, until in user.all_memberships() if until and until > now]
    if key is not None and not auth.has_token:
        ends += [key.expires_at, quota.next_note(key.pk, key.last_used_at, now)]
        environ[COUNTED_KEY] = key.pk
    elif key is None and auth.has_token and auth.session_id is not None:
        found = find_family(auth.session_id)
        if found is None:
            return
        family, session_end = found
        ends += [family.expires_at, session_end, datetime.fromtimestamp(auth.claims["exp"], UTC)]
    else:
        return
    known = [end for end in ends if end is not None]
    keep_answer(environ, min(known, default=now + timedelta(days=1)))

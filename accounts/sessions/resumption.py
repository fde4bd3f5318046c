"""A renewed session whose cookie never reached the browser: the same form continues in it.

A change such as a new password ends every session and renews the one of this browser. After a
double click the browser drops the first response, and with it the cookie of the renewed session.
The second request is the same in every field, so within RESUME_WINDOW it gets that session instead
of the sign-in page. It proves itself by the masked CSRF token of the page that it submits (190
random bits), which Django has checked against the cookie of the browser. The session is asked again
whether it still lives, so signing out, a ban or another new password end this too.

Never for a sign-in: a single-use link lets one request in, and each other one is refused.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from django.utils import timezone

from accounts.models import SentForm
from accounts.sessions.store import SessionStore
from core.crypto.encryption import DecryptionError, decrypt, encrypt
from core.crypto.tokens import digest
from core.locks import delete_free

RESUME_WINDOW = timedelta(minutes=1)
TOKEN_FIELD = "csrfmiddlewaretoken"  # noqa: S105  # the name of a field
# The length of Django's masked token. The unmasked one, which scripts may reuse, has half of that.
TOKEN_LENGTH = 64
PURPOSE = "resumed-session"


def keep_for_resumption(request: HttpRequest) -> None:
    """Store the session that `request` has renewed, encrypted. Call it in that transaction."""
    key = _key_of(request)
    session_key = request.session.session_key
    if key is None or session_key is None:
        return
    sealed = encrypt(session_key, _associated_data(key))
    row = SentForm(digest=key, created_at=timezone.now(), sealed_session=sealed)
    # The same form can be sent again after a minute; the last session counts.
    SentForm.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["digest"],
        update_fields=["created_at", "sealed_session"],
    )


def resume(request: HttpRequest) -> bool:
    """Continue in the session that the same form renewed a moment ago; False if there is none.

    Replaces `request.session` and `request.user`; the response sets the cookie of the session.
    """
    key = _key_of(request)
    row = None if key is None else SentForm.objects.filter(pk=key).first()
    if row is None or timezone.now() - row.created_at > RESUME_WINDOW:
        return False
    try:
        session_key = decrypt(row.sealed_session, _associated_data(row.pk))
    except DecryptionError:
        return False
    previous = request.session
    request.session = SessionStore(session_key)
    user: Any = get_user(request)
    if not user.is_authenticated:
        request.session = previous
        return False
    request.user = user
    request.session.modified = True
    rotate_token(request)
    request.is_resumed = True  # type: ignore[attr-defined]  # read by is_resumed()
    return True


def is_resumed(request: HttpRequest) -> bool:
    """Whether resume() has found the session of this request."""
    return getattr(request, "is_resumed", False)


def purge_resumptions(now: datetime) -> int:
    """Delete what resume() no longer accepts; returns how many."""
    ended = SentForm.objects.filter(created_at__lt=now - RESUME_WINDOW).exclude(sealed_session="")
    return delete_free(ended)


def masked_token_of(request: HttpRequest) -> str:
    """The token of the page whose form this is; "" for scripts, uploads and other requests."""
    token = request.POST.get(TOKEN_FIELD, "") if request.method == "POST" else ""
    return token if len(token) == TOKEN_LENGTH and not request.FILES else ""


def sent_fields(request: HttpRequest) -> list[tuple[str, list[Any]]]:
    """(name, values) of the form, sorted: the same for each submission of the same form."""
    return sorted((name, values) for name, values in request.POST.lists())


def _key_of(request: HttpRequest) -> str | None:
    """The digest that identifies one submission by one browser, for any user."""
    if not masked_token_of(request):
        return None
    return digest(PURPOSE, json.dumps([request.get_full_path(), sent_fields(request)]))


def _associated_data(key: str) -> str:
    return f"{SentForm._meta.db_table}.sealed_session:{key}"

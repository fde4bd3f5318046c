"""Browser sessions."""

import uuid
from typing import Any

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User


class BrowserSession(AbstractBaseSession):
    """One signed-in device. `session_key` holds a digest: the cookie's value is never stored."""

    session_key = models.CharField(max_length=64, primary_key=True)
    public_id = models.UUIDField(_("id"), default=uuid.uuid4, unique=True, editable=False)
    # Django's field, with a verbose name that is translated, and in an index with other columns.
    expire_date = models.DateTimeField(_("ends"))
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions")
    ip = models.CharField(_("network address"), max_length=45, blank=True)
    user_agent = models.CharField(_("browser"), max_length=256, blank=True)
    created_at = models.DateTimeField(_("signed in"), default=timezone.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    # A copy of the session auth hash in session_data, so that a check need not decode the data.
    # "" where no one is signed in, and in rows of older versions until they are saved again.
    state = models.CharField(max_length=64, blank=True, db_default="", default="", editable=False)

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        indexes = [
            models.Index(fields=["user", "-last_seen_at"], name="session_of_user"),
            # Lists and counts of who is signed in leave out the sessions of strangers, search by
            # address and filter by the begin inside of the index.
            models.Index(
                fields=["expire_date", "user", "ip", "created_at"], name="session_signed_in"
            ),
            models.Index(
                fields=["-created_at"],
                condition=models.Q(user__isnull=False),
                name="session_begun",
            ),
        ]

    def __str__(self) -> str:
        return _("session %(id)s") % {"id": self.public_id}

    @classmethod
    def get_session_store_class(cls) -> Any:
        """Unused: the store names this model, and nothing needs the reverse."""
        raise TypeError("use accounts.sessions.store.SessionStore")

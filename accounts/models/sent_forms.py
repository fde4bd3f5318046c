"""Forms that were submitted, so that each takes effect once."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class SentForm(models.Model):
    """One submission of one form; its primary key decides which request does the work.

    Contains neither the fields nor the user; see accounts.sent_forms and
    accounts.sessions.resumption.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    # Where the first request was redirected, or the page that lists what it made, encrypted.
    # "" while the first request is running.
    sealed_url = models.TextField(blank=True)
    # The page with a secret that the first request was shown, encrypted; "" after a minute.
    sealed_page = models.TextField(blank=True)
    # The key of the session that the request started, encrypted; only in rows of resumption.
    sealed_session = models.TextField(blank=True)

    class Meta:
        verbose_name = _("sent form")
        verbose_name_plural = _("sent forms")

    def __str__(self) -> str:
        return self.digest

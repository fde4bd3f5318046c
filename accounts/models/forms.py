"""Forms that were sent, so that each does its work once."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class SentForm(models.Model):
    """One sending of one form; its primary key decides which request does the work.

    Holds neither the fields nor the person; see accounts.sent_forms.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    # Where the first request was led, or where to look for what it made; "" while it works.
    sealed_url = models.TextField(blank=True)
    # The page with a secret that it was shown, for a minute; else "".
    sealed_page = models.TextField(blank=True)

    class Meta:
        verbose_name = _("sent form")
        verbose_name_plural = _("sent forms")

    def __str__(self) -> str:
        return self.digest

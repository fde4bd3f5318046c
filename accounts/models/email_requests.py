"""Requests for mail to an address that someone typed into a form."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.uuid7 import uuid7
from core.web.redirects import MAX_LENGTH


class EmailRequest(models.Model):
    """A request for mail, handled by the worker and not by the request that wrote it.

    The page answers before anything looks up the account, so neither its content nor its timing
    reveals whether one exists (ASVS 6.3.8). The row is deleted in the transaction of its effect.
    """

    class Kind(models.TextChoices):
        MAGIC_LINK = "magic-link", _("Sign-in link")
        RESET_PASSWORD = "reset-password", _("Password reset")
        SIGN_UP = "sign-up", _("Sign-up")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    email = models.EmailField(max_length=254)
    binding = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=8)
    ip = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    next_url = models.CharField(max_length=MAX_LENGTH, blank=True)
    # Encrypted JSON of what sign-up needs (name, password hash); "" for other kinds.
    sealed_details = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["kind", "id"], name="address_request_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

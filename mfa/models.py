"""Second factors, recovery codes and trusted browsers."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.uuid7 import uuid7


class Authenticator(models.Model):
    """A second factor: an authenticator app (TOTP), or a passkey, which can also sign in alone."""

    class Kind(models.TextChoices):
        TOTP = "totp", _("Authenticator app")
        PASSKEY = "passkey", _("Passkey")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="authenticators"
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    name = models.CharField(_("name"), max_length=80)
    # TOTP: the seed, encrypted for this row; the time step of the last used code (RFC 6238, 5.2).
    sealed_secret = models.TextField(blank=True, editable=False)
    last_step = models.BigIntegerField(default=0, editable=False)
    # Passkey: the WebAuthn credential; bytes as base64url without padding.
    credential_id = models.CharField(  # noqa: DJ001 - unique where there is one
        max_length=1400, null=True, unique=True, editable=False
    )
    credential = models.JSONField(default=dict, editable=False)
    sign_count = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("authenticator")
        verbose_name_plural = _("authenticators")
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(kind="totp"), name="authenticator_one_totp"
            )
        ]
        indexes = [models.Index(fields=["user", "kind"], name="authenticator_of_user")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class RecoveryCode(models.Model):
    """One recovery code; with at least 112 random bits a plain digest suffices (ASVS 6.5.2)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes"
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user"], name="recovery_code_of_user")]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"


class TrustedBrowser(models.Model):
    """A browser that is not asked for the second factor again until `expires_at`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="trusted_browsers"
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    user_agent = models.CharField(max_length=256, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["user"], name="remembered_browser_of_user")]

    def __str__(self) -> str:
        return f"browser {self.pk}"

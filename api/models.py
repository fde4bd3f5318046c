"""Signing keys, token families, API keys and identities of other issuers."""

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.uuid7 import uuid7


class SigningKey(models.Model):
    """A key of the key set. Published before it signs, and until its last token has expired."""

    # RFC 7638 thumbprint of the public key; the `kid` of tokens.
    kid = models.CharField(max_length=43, primary_key=True)
    algorithm = models.CharField(_("algorithm"), max_length=8)
    public_jwk = models.JSONField()
    sealed_private = models.TextField(editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    # It signs from this time until a newer key does.
    active_from = models.DateTimeField(_("signs from"))
    # From this time it is neither published nor trusted. Null for the current and a pending key.
    retires_at = models.DateTimeField(_("trusted until"), null=True, blank=True)

    class Meta:
        verbose_name = _("signing key")
        verbose_name_plural = _("signing keys")
        indexes = [models.Index(fields=["active_from"], name="signing_key_active_from")]

    def __str__(self) -> str:
        return self.kid


class TokenFamily(models.Model):
    """A sign-in with tokens: the chain of its refresh tokens. Its id is the `sid` of its tokens.

    A refresh token contains its family and generation. Only the newest generation can refresh, and
    one conditional UPDATE increments `generation`. The row alone is not enough to forge a token:
    that takes the secret of the refresh tokens as well.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="token_families")
    # The browser session it was created from and ends with; null for a sign-in by password.
    session_id = models.UUIDField(null=True, blank=True, editable=False)
    # Input of each refresh token, so that the secret alone is not enough to forge one either.
    seed = models.CharField(max_length=64, editable=False)
    generation = models.PositiveIntegerField(default=0, editable=False)
    rotated_at = models.DateTimeField(_("last refreshed"), default=timezone.now, editable=False)
    created_at = models.DateTimeField(_("signed in"), default=timezone.now, editable=False)
    # The end of the sign-in, which refreshing never extends.
    expires_at = models.DateTimeField(_("ends"))
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    # signed-out or reused.
    end_reason = models.CharField(_("reason"), max_length=16, blank=True)
    ip = models.CharField(_("network address"), max_length=45, blank=True)
    user_agent = models.CharField(_("program"), max_length=256, blank=True)

    class Meta:
        verbose_name = _("program")
        verbose_name_plural = _("programs")
        indexes = [
            models.Index(fields=["user", "-id"], name="token_family_of_user"),
            models.Index(fields=["session_id"], name="token_family_of_session"),
            models.Index(fields=["expires_at"], name="token_family_expires_at"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class ApiKey(models.Model):
    """A credential that acts on behalf of its owner within `scopes`. Only a digest is stored."""

    # The public part of the key.
    id = models.CharField(max_length=12, primary_key=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, editable=False)
    # The last characters of the key, by which its owner recognizes it.
    ending = models.CharField(max_length=4, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    # CIDR networks that may use it; empty allows every address.
    networks = models.JSONField(_("networks"), default=list)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("ends"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    # When another key replaced it. It works until it expires.
    rotated_at = models.DateTimeField(_("rotated"), null=True, blank=True)
    # Saved at most once a minute.
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    last_used_ip = models.CharField(_("last used from"), max_length=45, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        indexes = [
            models.Index(fields=["user", "-created_at"], name="api_key_of_user"),
            models.Index(fields=["-created_at"], name="api_key_created_at"),
            models.Index(fields=["expires_at"], name="api_key_expires_at"),
            models.Index(fields=["last_used_at"], name="api_key_last_used_at"),
        ]

    def __str__(self) -> str:
        return f"gth_{self.pk}_…{self.ending}"

    def state(self, now: datetime) -> str:
        """Return live, revoked or expired."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= now else "live"


class ForeignIdentity(models.Model):
    """Links a subject of another issuer to a user. Looked up by (issuer, subject) only."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="foreign_identities")
    issuer = models.CharField(_("issuer"), max_length=255)
    subject = models.CharField(_("subject"), max_length=255)
    created_at = models.DateTimeField(_("first seen"), default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)

    class Meta:
        verbose_name = _("identity of another issuer")
        verbose_name_plural = _("identities of other issuers")
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="foreign_identity_once")
        ]

    def __str__(self) -> str:
        return f"{self.subject} of {self.issuer}"

"""What is sent to an address: single-use links, invitations, and the wishes for them."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.users import ROLE_LABELS, User
from core.redirects import MAX_LENGTH
from core.single_use import SingleUseToken
from core.uuid7 import uuid7


class AccountToken(SingleUseToken):
    """Set-up, password reset, address verification and address change."""

    class Purpose(models.TextChoices):
        SET_UP = "set-up", _("First set-up")
        RESET_PASSWORD = "reset-password", _("Password reset")
        VERIFY_EMAIL = "verify-email", _("Address verification")
        CHANGE_EMAIL = "change-email", _("Address change")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    email = models.EmailField(max_length=254)
    # The account's address when the link was issued; "" in rows of older versions.
    account_email = models.EmailField(max_length=254, blank=True, db_default="", default="")

    class Meta:
        verbose_name = _("account link")
        verbose_name_plural = _("account links")
        indexes = [models.Index(fields=["user", "purpose"], name="token_of_user")]

    def __str__(self) -> str:
        return f"{self.purpose} for {self.user_id}"


class Invitation(SingleUseToken):
    """A link by which `email` gets an account of `role`; "replaced" says withdrawn, too."""

    email = models.EmailField(_("email address"), max_length=254, db_index=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    role = models.CharField(_("role"), max_length=8, choices=ROLE_LABELS)
    # Null with by_system False: the operator's account is gone, and nobody vouches any more.
    invited_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="invitations"
    )
    by_system = models.BooleanField(default=False, editable=False)
    # The account made by it; the row holds that person's address and goes with him.
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return _("invitation %(id)s") % {"id": self.pk}


class EmailRequest(models.Model):
    """Somebody typed an address and asked for mail; handled off the request path.

    The page answers before anybody has looked whether the account exists, so neither the answer
    nor its time can tell (ASVS 6.3.8). The row is deleted in the transaction of its effect.
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
    # Sealed JSON of what sign-up needs (name, password hash); "" otherwise.
    sealed_details = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["kind", "id"], name="address_request_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

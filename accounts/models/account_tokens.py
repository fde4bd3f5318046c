"""Single-use links that belong to an account."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from core.single_use import SingleUseToken


class AccountToken(SingleUseToken):
    """Set-up, password reset, email verification or email change."""

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

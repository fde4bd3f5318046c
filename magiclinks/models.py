"""The table of sign-in links."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.single_use import SingleUseToken
from core.web.redirects import MAX_LENGTH


class LoginLink(SingleUseToken):
    """A link that signs `user` in once. Only a digest of the secret is stored."""

    class Source(models.TextChoices):
        REQUEST = "request", _("requested on the sign-in page")
        PANEL = "panel", _("admin panel")
        COMMAND = "command", _("command line")
        API = "api", _("API")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_links")
    # The address it was issued for. The link stops working when the user's address changes.
    email = models.EmailField(_("email address"), max_length=254)
    source = models.CharField(_("issued by"), max_length=8, choices=Source.choices)
    # Not a foreign key, because the record outlives the administrator's account.
    issued_by = models.UUIDField(null=True, editable=False)
    next_url = models.CharField(max_length=MAX_LENGTH, blank=True, editable=False)
    ip = models.CharField(_("requested from"), max_length=45, blank=True)

    class Meta:
        verbose_name = _("sign-in link")
        verbose_name_plural = _("sign-in links")
        indexes = [
            models.Index(fields=["user", "created_at"], name="link_of_user"),
            models.Index(fields=["expires_at"], name="link_end"),
        ]

    def __str__(self) -> str:
        return _("link %(id)s") % {"id": self.pk}

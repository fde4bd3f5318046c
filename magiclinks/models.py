"""The table of sign-in links."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.redirects import MAX_LENGTH
from core.single_use import SingleUseToken


class LoginLink(SingleUseToken):
    """One link that signs `user` in, once. Only its digest is kept."""

    class Source(models.TextChoices):
        REQUEST = "request", _("asked for on the sign-in page")
        PANEL = "panel", _("admin panel")
        COMMAND = "command", _("command line")
        API = "api", _("API")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_links")
    # The address it was issued for; a link dies with a change of address.
    email = models.EmailField(_("email address"), max_length=254)
    source = models.CharField(_("issued by"), max_length=8, choices=Source.choices)
    # Not a foreign key: the fact outlives the operator's account.
    issued_by = models.UUIDField(null=True, editable=False)
    next_url = models.CharField(max_length=MAX_LENGTH, blank=True, editable=False)
    ip = models.CharField(_("asked from"), max_length=45, blank=True)

    class Meta:
        verbose_name = _("sign-in link")
        verbose_name_plural = _("sign-in links")
        indexes = [
            models.Index(fields=["user", "created_at"], name="link_of_user"),
            models.Index(fields=["expires_at"], name="link_end"),
        ]

    def __str__(self) -> str:
        return _("link %(id)s") % {"id": self.pk}

"""Invitations to make an account."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.users import ROLE_LABELS, User
from core.single_use import SingleUseToken


class Invitation(SingleUseToken):
    """A link by which the owner of `email` gets an account with `role`.

    `replaced_at` is also set when the invitation is withdrawn.
    """

    email = models.EmailField(_("email address"), max_length=254, db_index=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    role = models.CharField(_("role"), max_length=8, choices=ROLE_LABELS)
    # The end of the role, and the role that follows; see User.role_until.
    role_until = models.DateTimeField(_("role ends"), null=True, blank=True)
    role_after = models.CharField(
        _("role afterwards"), max_length=8, choices=ROLE_LABELS, blank=True, default=""
    )
    # Ids of groups, as texts. Those that exist when it is accepted are joined then.
    group_ids = models.JSONField(default=list, editable=False)
    # Null with by_system False: the inviter's account was deleted, so the invitation is invalid.
    invited_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="invitations"
    )
    by_system = models.BooleanField(default=False, editable=False)
    # The account that accepted it. The row holds the user's address, so it is deleted with them.
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return _("invitation %(id)s") % {"id": self.pk}

"""Why changes of webhooks cannot be taken back; see accounts.undo.registry."""

from django.utils.translation import gettext_lazy as _

from accounts.undo.registry import never_undone

never_undone(
    "webhook:endpoint:change",
    "webhook:endpoint:delete",
    "webhook:endpoint:rotate",
    because=_("the log holds no addresses and secrets of receivers. Change the webhook itself."),
)

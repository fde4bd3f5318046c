"""Why the registration of apps cannot be taken back; see accounts.undo.registry."""

from django.utils.translation import gettext_lazy as _

from accounts.undo.registry import never_undone

never_undone(
    "openid:registration-token:create",
    "openid:app:register",
    because=_("apps may be in use by now. Delete the token or the app."),
)
never_undone(
    "openid:registration-token:delete",
    because=_("the token was a secret, and is never revived. Make another one."),
)

"""Why changes of API keys cannot be taken back; see accounts.undo.registry."""

from django.utils.translation import gettext_lazy as _

from accounts.undo.registry import never_undone

never_undone(
    "api:key:revoke",
    "api:key:rotate",
    because=_("a revoked secret is never revived. Create another key."),
)
never_undone(
    "api:token:end",
    because=_("an ended session is never revived. The person signs in again."),
)

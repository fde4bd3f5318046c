"""Why changes of sign-in links cannot be taken back; see accounts.undo.registry."""

from django.utils.translation import gettext_lazy as _

from accounts.undo.registry import never_undone

never_undone(
    "link:login:withdraw",
    because=_("a withdrawn link is never revived. Make another one."),
)

"""How changes of apps are taken back; see accounts.undo.registry."""

from collections.abc import Collection
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.undo.registry import Reversal, never_undone, undoes
from applications.models import App, CustomScope
from applications.services import apps, custom_scopes
from audit.models import AuditEvent
from audit.sentences import rule_text
from core.errors import CannotUndo
from core.locks import ROLES, acquire_lock

CONTENT = ("sso:app:create", "sso:app:change", "sso:app:delete")


def lock_apps(_event: AuditEvent) -> None:
    """Lock what every change of apps locks first."""
    acquire_lock(ROLES)


def _values(event: AuditEvent, side: str, fields: Collection[str]) -> dict[str, Any]:
    """What the event says of these fields, "before" or "after"."""
    return {name: value for name, value in event.detail[side].items() if name in fields}


@undoes("sso:app:change", changed_by=CONTENT, lock=lock_apps)
def undo_change(event: AuditEvent) -> Reversal:
    """Give the changed fields their earlier values."""
    app = App.objects.filter(pk__in=[event.target_id]).first()
    if app is None:
        raise CannotUndo(_("This app does not exist any more."))
    before, after = (_values(event, side, apps.FIELDS) for side in ("before", "after"))
    now = {name: value for name, value in apps.values_of(app).items() if name in after}
    if now != after:
        raise CannotUndo(_("The app is no longer as this change left it."))
    return Reversal(
        _("App “%(name)s”") % {"name": app.name},
        rule_text(apps.with_group_names(now)),
        rule_text(apps.with_group_names(before)),
        lambda actor: apps.edit_app(actor=actor, app=app, changes=before, confirmed=True),
        apps.require_owner,
    )


@undoes("openid:scope:change", changed_by=["openid:scope:change"], lock=lock_apps)
def undo_scope_change(event: AuditEvent) -> Reversal:
    """Give the changed fields of a scope their earlier values."""
    scope = CustomScope.objects.filter(pk__in=[event.target_id]).first()
    if scope is None:
        raise CannotUndo(_("This scope does not exist any more."))
    before, after = (_values(event, side, custom_scopes.FIELDS) for side in ("before", "after"))
    now = {name: value for name, value in custom_scopes.values_of(scope).items() if name in after}
    if now != after:
        raise CannotUndo(_("The scope is no longer as this change left it."))
    return Reversal(
        _("Scope “%(name)s”") % {"name": scope.name},
        rule_text(custom_scopes.with_api_name(now)),
        rule_text(custom_scopes.with_api_name(before)),
        lambda actor: custom_scopes.edit_scope(actor=actor, scope=scope, changes=before),
        apps.require_owner,
    )


never_undone(
    "openid:scope:create",
    because=gettext_lazy("apps may ask for the scope by now. Delete it in the list of scopes."),
)
never_undone(
    "openid:scope:delete",
    because=gettext_lazy(
        "what people have allowed ended with it. Make the scope again, and tick it in its apps."
    ),
)
never_undone(
    "sso:app:create",
    because=gettext_lazy(
        "access rules may refer to the app by now. Delete it in the list of apps."
    ),
)
never_undone(
    "sso:app:secret-create",
    "sso:app:secret-import",
    "sso:app:secret-rotate",
    because=gettext_lazy(
        "the app may use the secret by now. Revoke it on the page of the app if it should not."
    ),
)
never_undone(
    "sso:app:secret-revoke",
    because=gettext_lazy("a revoked secret stays revoked. Make a new one on the page of the app."),
)
never_undone(
    "sso:app:delete",
    because=gettext_lazy(
        "its access rules no longer refer to it. Add the app again, and choose it in its rules."
    ),
)

"""Makes, describes and deletes scopes, and says which of them an app may have now.

Only owners do, because apps are settings. All changes take the lock of apps, which name scopes.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.actors import Actor
from applications.custom_scopes import MAX_SCOPES, description_of, name_of
from applications.models import App, CustomScope
from applications.services.apps import require_owner
from audit import audit_log
from core.errors import NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock
from core.text.cleaning import clean_each

FIELDS = ("description", "audience_id", "is_public")


def create_scope(*, actor: Actor, values: dict[str, Any]) -> CustomScope:
    """Store a scope; no app has it yet. values: `name` and FIELDS. Raises Forbidden, RecordInvalid.

    What was allowed under the same name before it was deleted counts no more.
    """
    require_owner(actor)
    scope = CustomScope(**clean_values({"name": "", "description": "", **values}))
    with transaction.atomic():
        acquire_lock(ROLES)
        if CustomScope.objects.filter(name=scope.name).exists():
            raise RecordInvalid({"name": [_("Another scope has this name.")]})
        if CustomScope.objects.count() >= MAX_SCOPES:
            raise RecordInvalid({"name": [_("There are too many scopes. Delete one first.")]})
        _require_audience(scope)
        scope.save(force_insert=True)
        _record("openid:scope:create", actor, scope, after=with_api_name(values_of(scope)))
    return scope


def edit_scope(*, actor: Actor, scope: CustomScope, changes: dict[str, Any]) -> CustomScope:
    """Store some of FIELDS; without a change, nothing is written. The name stays.

    Raises Forbidden, RecordInvalid, NotFound.
    """
    require_owner(actor)
    if changes.get("name", scope.name) != scope.name:
        raise RecordInvalid({"name": [_("The name of a scope stays. Make another one instead.")]})
    cleaned = clean_values(changes)
    with transaction.atomic():
        current = _current(scope.pk)
        before = values_of(current)
        for name in FIELDS:
            setattr(current, name, cleaned.get(name, getattr(current, name)))
        after = values_of(current)
        changed = [name for name in FIELDS if before[name] != after[name]]
        if not changed:
            return current
        _require_audience(current)
        current.save(update_fields=changed)
        _record(
            "openid:scope:change",
            actor,
            current,
            before=with_api_name({name: before[name] for name in changed}),
            after=with_api_name({name: after[name] for name in changed}),
        )
    return current


def delete_scope(*, actor: Actor, scope: CustomScope) -> None:
    """Delete a scope, and take it from every app: no token has it from now on.

    Raises Forbidden, NotFound.
    """
    require_owner(actor)
    with transaction.atomic():
        current = _current(scope.pk)
        apps = apps_with(current)
        for app in apps:
            app.custom_scopes.remove(current.name)
            app.save(update_fields=["custom_scopes"])
        key = current.pk
        current.delete()
        current.pk = key
        before = with_api_name(values_of(current)) | {"apps": [app.name for app in apps]}
        _record("openid:scope:delete", actor, current, before=before)


def apps_with(scope: CustomScope) -> list[App]:
    """The apps that may ask for the scope."""
    apps = App.objects.exclude(custom_scopes=[])
    return [app for app in apps if scope.name in app.custom_scopes]


def scopes_of(app: App, since: datetime | None = None) -> list[CustomScope]:
    """The scopes that the app may have now; no query if it has none.

    since: only those that were there at this time already, so that what was allowed then means
    them, and no later scope of the same name.
    """
    if not app.custom_scopes:
        return []
    found = CustomScope.objects.filter(name__in=app.custom_scopes)
    return list(found if since is None else found.filter(created_at__lte=since))


def public_names() -> list[str]:
    """The names that discovery tells everyone."""
    return list(CustomScope.objects.filter(is_public=True).values_list("name", flat=True))


def clean_values(typed: dict[str, Any]) -> dict[str, Any]:
    """The values to store. Raises RecordInvalid with every error."""
    cleaned, errors = clean_each(typed, _CLEANERS)
    if errors:
        raise RecordInvalid(errors)
    return cleaned


def values_of(scope: CustomScope) -> dict[str, Any]:
    """FIELDS, as the audit log stores them and undo restores them."""
    key = scope.audience_id
    values = {name: getattr(scope, name) for name in FIELDS}
    return values | {"audience_id": None if key is None else str(key)}


def with_api_name(values: dict[str, Any]) -> dict[str, Any]:
    """Values of a scope for people: beside the id of its API the name, as of now."""
    if "audience_id" not in values:
        return values
    app = App.objects.filter(pk=values["audience_id"]).first()
    return values | {"audience": "" if app is None else app.name}


def _require_audience(scope: CustomScope) -> None:
    """Raise RecordInvalid unless the app exists. Deletions of apps take the same lock."""
    key = scope.audience_id
    if key is not None and not App.objects.filter(pk=key).exists():
        raise RecordInvalid({"audience_id": [_("There is no such app.")]})


def _audience_of(typed: Any) -> UUID | None:
    """From an id as the audit log has it."""
    return typed if typed is None or isinstance(typed, UUID) else UUID(typed)


_CLEANERS = {"name": name_of, "description": description_of, "audience_id": _audience_of}


def _current(key: UUID) -> CustomScope:
    """The row as it is now, under the lock of apps. Raises NotFound."""
    acquire_lock(ROLES)
    found = CustomScope.objects.filter(pk=key).first()
    if found is None:
        raise NotFound(_("This scope does not exist any more."))
    return found


def _record(action: str, actor: Actor, scope: CustomScope, **changes: Any) -> None:
    audit_log.record(action, actor=actor, target=scope, name=scope.name, **changes)

"""Changes of the branding. Only owners make them, because it is a setting (CONTRACT section 4)."""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.roles import Role
from audit import audit_log
from core.branding import current
from core.branding.images import Logo, LogoInvalid, read_logo
from core.branding.values import ValueInvalid, clean_color, clean_site_name, clean_support
from core.errors import Forbidden, RecordInvalid
from core.locks import ROLES, acquire_lock
from core.models import Branding

CLEAN: dict[str, Callable[[Any], Any]] = {
    "name": clean_site_name,
    "color": clean_color,
    "support": clean_support,
    "logo": lambda content: read_logo(content) if content else None,
}


def locks() -> dict[str, str]:
    """Field -> the variable that fixes it, for fields that cannot be changed here."""
    return dict(settings.BRANDING_LOCKS)


def stored() -> Branding:
    """What was chosen here, also where a variable has precedence."""
    return Branding.objects.filter(pk=Branding.ONLY).first() or Branding()


def may_change(actor: Actor) -> bool:
    """Whether the actor is an owner."""
    return Role(actor.role) is Role.OWNER


def change_branding(*, actor: Actor, changes: Mapping[str, Any]) -> Branding:
    """Store some of `name`, `color`, `support` (text) and `logo` (bytes); empty is the default.

    Without a change, nothing is written. Raises Forbidden below owner, RecordInvalid with all
    errors at once, also for a field that a variable fixes.
    """
    if not may_change(actor):
        raise Forbidden(_("Only owners change the appearance."))
    cleaned = _clean(changes)
    with transaction.atomic():
        acquire_lock(ROLES)
        row = stored()
        before, after = _values(row), {**_values(row), **cleaned}
        changed = [name for name in current.FIELDS if before[name] != after[name]]
        if not changed:
            return row
        row.name, row.color, row.support = after["name"], after["color"], after["support"]
        row.set_logo(after["logo"])
        row.changed_at = timezone.now()
        row.save()
        audit_log.record(
            "instance:branding:change",
            actor=actor,
            before=_audit_text({name: before[name] for name in changed}),
            after=_audit_text({name: after[name] for name in changed}),
        )
        transaction.on_commit(current.forget)
    return row


def _clean(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The stored form of each value. Raises RecordInvalid."""
    cleaned: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, value in changes.items():
        variable = settings.BRANDING_LOCKS.get(name)
        if variable:
            text = _("%(variable)s sets this. Change it where this server is configured.")
            errors[name] = [text % {"variable": variable}]
            continue
        try:
            cleaned[name] = CLEAN[name](value)
        except (ValueInvalid, LogoInvalid) as error:
            errors[name] = [_(str(error))]
    if errors:
        raise RecordInvalid(errors)
    return cleaned


def _values(row: Branding) -> dict[str, str | Logo | None]:
    return {
        "name": row.name,
        "color": row.color,
        "support": row.support,
        "logo": row.read_logo(),
    }


def _audit_text(values: dict[str, Any]) -> str:
    """Values in one line of text; of a logo its kind and size."""
    return "; ".join(f"{name}: {value or '-'}" for name, value in values.items())

"""Creates, changes and deletes apps, and finds the app of a request.

Only owners change apps, because apps are settings, like access rules (CONTRACT section 4). All
changes take the lock of rules, whose rows refer to apps.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.group_names import is_id
from accounts.models import Group, User
from accounts.models.users import Kind
from accounts.roles import Role
from accounts.services.groups.uses import GroupUse
from applications.addresses import clean_app, slug_for, split_address
from applications.models import ASSERTION, SERVICE, App, CustomScope
from applications.redirect_uris import private_schemes
from audit import audit_log
from core.errors import Forbidden, NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock

FIELDS = (
    *("name", "slug", "url", "description", "initials", "position", "is_listed", "proxy"),
    "upstream",
    *("openid_kind", "redirect_uris", "logout_uris", "is_trusted"),
    *("openid_role", "openid_people", "openid_second_factor"),
    *("backchannel_logout_uri", "frontchannel_logout_uri"),
    *("openid_group_ids", "openid_networks", "openid_hours"),
    *("id_token_algorithm", "signed_userinfo", "subject_type", "service_account"),
    *("client_authentication", "client_keys", "client_keys_url"),
    *("requires_pushed_requests", "allows_device_flow", "custom_scopes"),
)
# So the launcher and lists need no pages.
MAX_APPS = 200
STEP = 10


def create_app(*, actor: Actor, app: App) -> App:
    """Store a new app after all others. Raises Forbidden, RecordInvalid."""
    with transaction.atomic():
        store_new_app(actor=actor, app=app)
        record_new_app(actor=actor, app=app)
    return app


def store_new_app(*, actor: Actor, app: App) -> None:
    """The first half of create_app(), for a transaction that writes more before its audit rows."""
    require_owner(actor)
    _validate(app)
    acquire_lock(ROLES)
    _require_groups(app)
    _require_scopes(app)
    others = list(App.objects.all())
    if len(others) >= MAX_APPS:
        raise RecordInvalid({"name": [_("There are too many apps.")]})
    app.slug = app.slug or slug_for(app.name, {other.slug for other in others})
    _require_free_slug(app, others)
    app.position = others[-1].position + STEP if others else STEP
    app.save(force_insert=True)


def record_new_app(*, actor: Actor, app: App) -> None:
    """The second half: the audit row."""
    _record("sso:app:create", actor, app, after=with_group_names(values_of(app)))


def edit_app(*, actor: Actor, app: App, changes: dict[str, Any], confirmed: bool = False) -> App:
    """Store some fields of an app; without a change, nothing is written.

    confirmed: the owner knows what needs_confirmation() asks about.
    Access rules keep their hosts: a new address of an app changes who may enter nothing. Raises
    Forbidden, RecordInvalid, NotFound.
    """
    require_owner(actor)
    with transaction.atomic():
        current = current_app(app)
        before = values_of(current)
        for name, value in changes.items():
            setattr(current, name, value)
        if not confirmed and needs_confirmation(before, changes):
            raise RecordInvalid({"subject_type": [consequence()]})
        _validate(current)
        _require_groups(current, before["openid_group_ids"])
        _require_scopes(current)
        others = list(App.objects.exclude(pk=current.pk))
        current.slug = current.slug or slug_for(current.name, {other.slug for other in others})
        _require_free_slug(current, others)
        after = values_of(current)
        changed = [name for name in FIELDS if before[name] != after[name]]
        if not changed:
            return current
        current.save(update_fields=[*changed, *(["host"] if "url" in changed else [])])
        _record(
            "sso:app:change",
            actor,
            current,
            before=with_group_names({name: before[name] for name in changed}),
            after=with_group_names({name: after[name] for name in changed}),
        )
    return current


def delete_app(*, actor: Actor, app: App) -> None:
    """Delete an app. Its access rules stay and apply as before, without an app.

    So no deletion opens or closes anything. Raises Forbidden, NotFound.
    """
    require_owner(actor)
    with transaction.atomic():
        current = current_app(app)
        key = current.pk
        current.delete()
        current.pk = key
        _record("sso:app:delete", actor, current, before=with_group_names(values_of(current)))


def find_app(host: str, path: str) -> App | None:
    """The app at this host and path; of several on one host, the one with the longest path."""
    if not host:
        return None
    return app_at(App.objects.filter(host=host), host, path)


def app_at(apps: Iterable[App], host: str, path: str) -> App | None:
    """find_app() among `apps`, without a query. No app that has named its address itself."""
    found = [
        app
        for app in apps
        if app.host == host and f"{path}/".startswith(f"{app.path}/") and not app.is_self_registered
    ]
    return max(found, key=lambda app: len(app.path), default=None)


def require_owner(actor: Actor) -> None:
    """Raise Forbidden unless the actor is an owner."""
    if Role(actor.role) is not Role.OWNER:
        raise Forbidden(_("Only owners change apps."))


def _validate(app: App) -> None:
    cleaned, errors = clean_app(values_of(app))
    errors |= openid_errors(app) if not errors else {}
    if errors:
        raise RecordInvalid(errors)
    for name, value in cleaned.items():
        setattr(app, name, value)
    app.host = split_address(app.url).host


def openid_errors(app: App) -> dict[str, list[str]]:
    """What of the fields of OpenID Connect does not fit together."""
    if not app.is_openid_client:
        return {}
    if app.client_authentication == ASSERTION:
        errors = _key_errors(app)
        if errors:
            return errors
    if app.openid_kind == SERVICE:
        return _account_errors(app)
    if not app.redirect_uris and not app.allows_device_flow:
        return {"redirect_uris": [_("Enter at least one address to which people return.")]}
    private = [] if app.openid_kind == "native" else private_schemes(app.redirect_uris)
    if private:
        text = _("“%(uri)s”: only a desktop or phone app can have an address of its own scheme.")
        return {"redirect_uris": [text % {"uri": private[0]}]}
    return {}


def needs_confirmation(before: dict[str, Any], changes: dict[str, Any]) -> bool:
    """Whether people may get new accounts in the app: the ids by which it knows them change.

    before: all stored fields. Before an app signs people in, it knows nobody.
    """
    knows_people = before["openid_kind"] not in ("", SERVICE)
    return (
        knows_people
        and changes.get("subject_type", before["subject_type"]) != (before["subject_type"])
    )


def consequence() -> str:
    """What happens then, for whoever is asked to confirm it."""
    return _("The app knows people by these ids. If they change, it takes everyone for somebody "
             "new: people get new, empty accounts in the app. Confirm that to "
             "change them.")  # fmt: skip


def names_of_groups(app: App) -> dict[str, str]:
    """The name of each group that the app asks for, by its id; deleted ones are missing."""
    return _names_of_groups(app.openid_group_ids)


def with_group_names(values: dict[str, Any]) -> dict[str, Any]:
    """Values of an app for people: beside the ids of groups their names, as of now."""
    if "openid_group_ids" not in values:
        return values
    names = _names_of_groups(values["openid_group_ids"])
    return values | {"groups": sorted(names.get(key, key) for key in values["openid_group_ids"])}


def _names_of_groups(keys: Iterable[str]) -> dict[str, str]:
    wanted = {UUID(key) for key in keys if is_id(key)}
    found = Group.objects.filter(pk__in=wanted) if wanted else []
    return {str(group.pk): group.name for group in found}


def uses_of_group(group: Group) -> list[GroupUse]:
    """The apps that ask for the group, with their pages."""
    rows = App.objects.exclude(openid_group_ids=[])
    return [
        GroupUse(
            _("App “%(name)s”") % {"name": app.name},
            reverse("admin:applications_app_change", args=[app.pk]),
        )
        for app in rows
        if str(group.pk) in app.openid_group_ids
    ]


def _require_groups(app: App, before: Sequence[str] = ()) -> None:
    """Raise RecordInvalid for a new group that does not exist. Deletions take the same lock.

    before: groups that the app asks for already. A deleted one stays, so that no edit of another
    field opens the app.
    """
    found = names_of_groups(app)
    if any(key not in found and key not in before for key in app.openid_group_ids):
        raise RecordInvalid({"openid_group_ids": [_("There is no such group.")]})


def _require_scopes(app: App) -> None:
    """Raise RecordInvalid for a scope that does not exist. Deletions take the same lock."""
    found = CustomScope.objects.filter(name__in=app.custom_scopes).values_list("name", flat=True)
    unknown = [name for name in app.custom_scopes if name not in {*found}]
    if unknown:
        text = _("There is no scope “%(name)s”. Make it first.")
        raise RecordInvalid({"custom_scopes": [text % {"name": unknown[0]}]})


def _key_errors(app: App) -> dict[str, list[str]]:
    if app.is_public_client:
        return {"client_authentication": [_("An app of this kind can keep neither.")]}
    if bool(app.client_keys) is bool(app.client_keys_url):
        return {"client_keys": [_("Enter either the public keys or their address.")]}
    return {}


def _account_errors(app: App) -> dict[str, list[str]]:
    accounts = User.objects.filter(kind=Kind.SERVICE, pk__in=filter(None, [app.service_account]))
    if accounts.exists():
        return {}
    return {"service_account": [_("Choose the service account that the program acts as.")]}


def _require_free_slug(app: App, others: Iterable[App]) -> None:
    if any(other.slug == app.slug for other in others):
        raise RecordInvalid({"slug": [_("Another app has this short name.")]})


def current_app(app: App) -> App:
    """The row as it is now, after the lock of apps is taken. Raises NotFound."""
    acquire_lock(ROLES)
    found = App.objects.filter(pk=app.pk).first()
    if found is None:
        raise NotFound(_("This app does not exist any more."))
    return found


def values_of(app: App) -> dict[str, Any]:
    """The fields of an app, as the audit log stores them and undo restores them."""
    return {name: getattr(app, name) for name in FIELDS}


def _record(action: str, actor: Actor, app: App, **changes: Any) -> None:
    audit_log.record(action, actor=actor, target=app, name=app.name, **changes)

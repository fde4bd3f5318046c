"""Scopes of the owners' own, which apps may ask for."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from applications.custom_scopes import MAX_DESCRIPTION, MAX_NAME, MAX_SCOPES, name_of
from applications.models import App, CustomScope
from applications.services.custom_scopes import create_scope, delete_scope, edit_scope
from operations.as_code.fields import Entry, Field, Table, Type
from operations.as_code.run import Kind, Run, Stored, is_same

TABLE = Table(
    "scopes",
    "Scopes of your own, which apps may ask for.",
    (
        Field("name", Type.TEXT, "As in books:read; it never changes.", most=MAX_NAME,
              is_required=True),
        Field("description", Type.TEXT, "What the app may do with it.", most=MAX_DESCRIPTION,
              is_required=True),
        Field("audience", Type.TEXT, "The short name of the app whose API it is for. Empty: only "
              "the app that was given a token may ask about it."),
        Field("is_public", Type.FLAG, "Whether discovery tells it to everyone.", default=True),
    ),
    most=MAX_SCOPES,
)  # fmt: skip
FILE_NAMES = {"audience_id": "audience"}


def read(keys: Collection[str] | None) -> dict[str, Stored]:
    """All of them are read, because they are few."""
    rows = CustomScope.objects.order_by("name").select_related("audience")
    return {
        row.name: Stored(
            str(row.pk),
            {
                "name": row.name,
                "description": row.description,
                "audience": row.audience.slug if row.audience else "",
                "is_public": row.is_public,
            },
        )
        for row in rows
    }


def save(run: Run, entry: Entry, stored: Stored | None) -> None:
    """An app of this file, which may name the scope itself, is not there yet: see arrange()."""
    wanted = entry.wanted()
    if stored is not None and is_same(wanted, stored):
        return
    values: dict[str, Any] = {name: wanted[name] for name in ("description", "is_public")}
    slug = wanted["audience"].strip().lower()
    app = _app(slug)
    if slug and app is None and not run.makes("apps", slug):
        run.wrong(entry, "audience", "there is no app of this short name: add it under “apps”")
    if not slug or app is not None:
        values["audience_id"] = app.pk if app else None
    _store(run, entry, stored, values)


def _store(run: Run, entry: Entry, stored: Stored | None, values: dict[str, Any]) -> None:
    with run.telling(entry, FILE_NAMES):
        if stored is None:
            create_scope(actor=run.actor, values=values | {"name": entry.key})
        else:
            edit_scope(actor=run.actor, scope=CustomScope(pk=UUID(stored.id), name=entry.key),
                       changes=values)  # fmt: skip


def arrange(run: Run, entries: list[Entry]) -> None:
    """Set the APIs that the file has made after the scopes."""
    stored = read(None)
    for entry in entries:
        slug = entry.values.get("audience", "").strip().lower()
        app = _app(slug)
        if app is not None and stored[entry.key].values["audience"] != slug:
            _store(run, entry, stored[entry.key], {"audience_id": app.pk})


def _app(slug: str) -> App | None:
    return App.objects.filter(slug=slug).first() if slug else None


def remove(run: Run, stored: Stored) -> str:
    """Deleted, and taken from every app."""
    delete_scope(actor=run.actor, scope=CustomScope(pk=UUID(stored.id)))
    return "deleted"


KIND = Kind(TABLE, read, save, remove, clean_key=name_of, arrange=arrange)

"""Webhooks: where events are sent."""

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from core.crypto.encryption import DecryptionError
from operations.as_code.fields import Entry, Field, Table, Type
from operations.as_code.run import Kind, Run, Stored, is_same, numbered
from webhooks.events import TYPES
from webhooks.models import NAME_MAX_LENGTH, URL_MAX_LENGTH, WebhookEndpoint
from webhooks.services.endpoints import (
    MAX_ENDPOINTS,
    clean_values,
    create_endpoint,
    delete_endpoint,
    edit_endpoint,
    has_secret,
    rotate_secret,
)

TABLE = Table(
    "webhooks",
    "Where Gatehouse tells other systems what happens.",
    (
        Field("name", Type.TEXT, "What people call it.", most=NAME_MAX_LENGTH, is_required=True),
        Field("url", Type.TEXT_OR_REFERENCE, "Where events are posted. If its path is a secret, "
              "write {env: NAME} or {file: path}.", most=URL_MAX_LENGTH, is_required=True,
              is_hidden=True),
        Field("event_types", Type.TEXTS, "Which events. Empty: all of them.", default=[],
              choices=tuple(TYPES)),
        Field("is_enabled", Type.FLAG, "Whether events are sent.", default=True),
        Field("secret", Type.SECRET, "By which events are signed: 24 to 64 bytes in base64. Left "
              "out: Gatehouse makes one.", is_kept=True, is_hidden=True),
    ),
    repeats=True,
    most=MAX_ENDPOINTS,
)  # fmt: skip


def read(keys: Collection[str] | None) -> dict[str, Stored]:
    """All of them are read, because they are few."""
    rows = list(WebhookEndpoint.objects.order_by("pk"))
    return {
        key: Stored(
            str(row.pk),
            {name: getattr(row, name) for name in ("name", "url", "event_types", "is_enabled")},
        )
        for key, row in zip(numbered(row.name for row in rows), rows, strict=True)
    }


def save(run: Run, entry: Entry, stored: Stored | None) -> None:
    values = entry.wanted()
    values.pop("secret", None)
    if not isinstance(values["url"], str):
        values["url"] = run.read_secret(entry, "url")
    secret = run.read_secret(entry, "secret")
    if not values["url"] and "url" in entry.values:
        run.wrong(entry, "url", "enter the URL of the receiver")
        return
    with run.telling(entry, probe=_probe):
        if stored is None:
            create_endpoint(actor=run.actor, values=values, known_secret=secret)
            if secret:
                run.note_secret(entry, "secret")
            return
        row = WebhookEndpoint.objects.get(pk=stored.id)
        if not is_same(values, stored):
            edit_endpoint(actor=run.actor, endpoint=row, changes=values)
        if secret and not _has_secret(row, secret):
            rotate_secret(actor=run.actor, endpoint=row, known_secret=secret)
            run.note_secret(entry, "secret")


def _has_secret(row: WebhookEndpoint, secret: str) -> bool:
    with suppress(DecryptionError):
        return has_secret(row, secret)
    return False


def _probe(name: str, items: list[Any]) -> object:
    return clean_values({name: items})


def remove(run: Run, stored: Stored) -> str:
    """Deleted with its deliveries."""
    delete_endpoint(actor=run.actor, endpoint=WebhookEndpoint(pk=stored.id))
    return "deleted"


def _clean_key(text: str) -> str:
    return str(clean_values({"name": text})["name"])


KIND = Kind(TABLE, read, save, remove, clean_key=_clean_key)

"""The name, color, logo and support address of the instance."""

from collections.abc import Collection

from accounts.services.branding import change_branding, locks
from accounts.services.branding import stored as stored_branding
from core.branding.images import LogoInvalid, read_logo
from core.branding.values import MAX_NAME, MAX_SUPPORT
from operations.as_code.fields import Entry, Field, Table, Type
from operations.as_code.run import Kind, Run, Stored

TABLE = Table(
    "branding",
    "How pages and mails look, and whom users ask for help.",
    (
        Field("name", Type.TEXT, "Instead of Gatehouse.", most=MAX_NAME),
        Field("color", Type.TEXT, "The accent color, as in #0f766e.", most=7),
        Field("support", Type.TEXT, "An email address, or one that begins with https://.",
              most=MAX_SUPPORT),
        Field("logo", Type.IMAGE, "An image beside the file. Left out: the logo stays.",
              is_kept=True, is_hidden=True),
    ),
    key="",
)  # fmt: skip


def read(keys: Collection[str] | None) -> dict[str, Stored]:
    """Without what a variable of the environment decides."""
    row, fixed = stored_branding(), locks()
    values = {name: getattr(row, name) for name in ("name", "color", "support")
              if name not in fixed}  # fmt: skip
    return {TABLE.name: Stored(TABLE.name, values)}


def save(run: Run, entry: Entry, stored: Stored | None) -> None:
    before = stored.values if stored else {}
    changes = {
        name: value
        for name, value in entry.wanted().items()
        # A field that a variable decides is an error only where the file names it.
        if name != "logo" and (name in entry.values or name in before)
        and before.get(name) != value
    }  # fmt: skip
    content = run.read_reference(entry, "logo")
    if content and _differs(content):
        changes["logo"] = content
    if not changes:
        return
    with run.telling(entry):
        change_branding(actor=run.actor, changes=changes)
        if "logo" in changes:
            run.note_secret(entry, "logo")


def _differs(content: bytes) -> bool:
    try:
        return stored_branding().read_logo() != read_logo(content)
    except LogoInvalid:
        return True  # the service says what is wrong


def remove(run: Run, stored: Stored) -> str:
    """Nothing: a file without this section leaves the appearance alone."""
    return ""


KIND = Kind(TABLE, read, save, remove)

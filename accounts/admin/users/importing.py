"""The pages "Import users": a file is checked, its columns are chosen, and it is imported.

Between the steps the file travels in the form, compressed, so that nothing of it is stored.
"""

import base64
import binascii
import io
import zlib
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from accounts.actors import Actor
from accounts.admin.base import acting_admin
from accounts.admin.checked_forms import CheckedForm, checked_views
from accounts.admin.columns import badge
from accounts.admin.users.forms import role_choices
from accounts.models import ROLE_LABELS, User
from accounts.roles import Role
from accounts.services.bulk.imports import import_users, plan_import
from accounts.services.bulk.planning import (
    Decision,
    ImportOptions,
    ImportResult,
    Outcome,
    sentence,
)
from accounts.sessions.reauthentication import require_recent_authentication
from accounts.user_files.fields import READ_FIELDS, guess_mapping
from accounts.user_files.sources import SOURCES
from accounts.user_files.tables import FileInvalid, UserTable
from core.crypto.tokens import digest
from core.errors import RecordInvalid

MAX_FILE = 1000 * 1000
# Checking so many rows takes some seconds.
MAX_ROWS = 20_000
# Of the compressed file in the form; Django takes 256 KB of fields.
MAX_CONTENT = 200 * 1024
ERRORS_SHOWN = 100
PURPOSE = "user-import"
MAP = "map_"

FIELD_LABELS: dict[str, Any] = {
    "email": gettext_lazy("Email address"),
    "name": gettext_lazy("Name"),
    "username": gettext_lazy("User name"),
    "role": gettext_lazy("Role"),
    "state": gettext_lazy("State"),
    "verified": gettext_lazy("Address verified"),
    "created_at": gettext_lazy("Created"),
    "expires_at": gettext_lazy("Access ends"),
    "role_until": gettext_lazy("Role ends"),
    "role_after": gettext_lazy("Role afterwards"),
    "groups": gettext_lazy("Groups"),
    "kind": gettext_lazy("Person or service account"),
    "responsible": gettext_lazy("Responsible person"),
    "password_hash": gettext_lazy("Password hash"),
    "first_name": gettext_lazy("First name"),
    "last_name": gettext_lazy("Last name"),
}
# Outcome -> tone and text.
OUTCOMES: dict[Outcome, tuple[str, Any]] = {
    Outcome.NEW: ("good", gettext_lazy("New")),
    Outcome.UPDATE: ("warn", gettext_lazy("Will be changed")),
    Outcome.SAME: ("plain", gettext_lazy("Unchanged")),
    Outcome.ERROR: ("bad", gettext_lazy("Wrong")),
}


class ImportForm(CheckedForm):
    """The file and how it is read. `content` holds the file from its first check on.

    options, stream and columns: set once the form is valid.
    """

    file = forms.FileField(
        label=gettext_lazy("File"),
        required=False,
        allow_empty_file=True,
        help_text=gettext_lazy(
            "CSV in UTF-8 whose first line names the columns, or JSON. At most 1 MB; for larger "
            "files there is the command importusers."
        ),
    )
    content = forms.CharField(required=False, max_length=MAX_CONTENT, widget=forms.HiddenInput)
    source = forms.ChoiceField(
        label=gettext_lazy("Comes from"),
        required=False,
        choices=[("", gettext_lazy("A table")), *((key, SOURCES[key].label) for key in SOURCES)],
        help_text=gettext_lazy("The user table of another system is understood as it is."),
    )
    role = forms.ChoiceField(
        label=gettext_lazy("Role of rows without one"), initial=Role.VIEWER.value
    )
    verified = forms.BooleanField(
        label=gettext_lazy("Addresses are verified"),
        required=False,
        help_text=gettext_lazy("You know these people. For rows that do not say it themselves."),
    )
    update = forms.BooleanField(
        label=gettext_lazy("Change existing accounts"),
        required=False,
        help_text=gettext_lazy(
            "Name, role, state, ends and groups become what the file says. Otherwise existing "
            "accounts stay."
        ),
    )
    without_passwords = forms.BooleanField(
        label=gettext_lazy("Without passwords"),
        required=False,
        help_text=gettext_lazy("Password hashes are ignored, and people sign in with a link."),
    )
    skip_errors = forms.BooleanField(
        label=gettext_lazy("Skip wrong rows"),
        required=False,
        help_text=gettext_lazy("Otherwise one wrong row keeps the whole file out."),
    )

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"].choices = role_choices(actor)  # type: ignore[attr-defined]
        self.stream = io.BytesIO()
        self.columns: tuple[str, ...] = ()

    def clean(self) -> dict[str, Any]:
        """Read the file, or else the file of the last check, and its columns."""
        given = self.cleaned_data
        if self.errors:
            return given
        uploaded = given.get("file")
        raw = _uploaded(uploaded) if uploaded else _unpacked(given["content"])
        packed = base64.b64encode(zlib.compress(raw, 9)).decode()
        rows = max(raw.count(sign) for sign in (b"\n", b"\r", b"{"))
        if len(packed) > MAX_CONTENT or rows > MAX_ROWS:
            raise ValidationError({"file": _too_large()})
        self.stream = io.BytesIO(raw)
        self.data = {**self.data.dict(), "content": packed}  # type: ignore[attr-defined]  # a QueryDict
        self._read_columns(is_new=bool(uploaded))
        return given

    def _read_columns(self, *, is_new: bool) -> None:
        """Offer the columns of the file for each field, guessed for a new file."""
        try:
            table = UserTable(self.stream)
        except FileInvalid as error:
            where = _("Line %(line)d: %(message)s")
            text = where % {"line": error.line, "message": _(error.message)}
            raise ValidationError({"file": text}) from None
        if table.is_json or self.cleaned_data["source"]:
            return
        self.columns = tuple(column for column in table.columns if column)
        guessed = guess_mapping(self.columns)
        for field in READ_FIELDS:
            if is_new:
                self.data[MAP + field] = guessed.get(field, "")  # type: ignore[index]  # a dict by now
            self._add_mapping(field)

    def _add_mapping(self, field: str) -> None:
        choices = [("", _("Not in the file")), *((column, column) for column in self.columns)]
        self.fields[MAP + field] = forms.ChoiceField(
            label=FIELD_LABELS[field], required=False, choices=choices
        )

    @property
    def mapping(self) -> dict[str, str] | None:
        """{field: column}; None for files whose columns are known."""
        if not self.columns:
            return None
        return {field: str(self.data.get(MAP + field, "")) for field in READ_FIELDS}

    @property
    def options(self) -> ImportOptions:
        given = self.cleaned_data
        return ImportOptions(
            source=given["source"],
            mapping=self.mapping,
            update=given["update"],
            skip_errors=given["skip_errors"],
            default_role=given["role"],
            verified=given["verified"],
            passwords=not given["without_passwords"],
        )

    @property
    def checked(self) -> str:
        """Identifies the file and the choices that were checked."""
        return digest(PURPOSE, repr([self.data["content"], self.options]))

    @property
    def mapping_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(MAP)]


def urls(modeladmin: "ModelAdmin[User]") -> list[URLPattern]:
    """import/ shows and checks a file; import/run/ imports it."""
    wrap = modeladmin.admin_site.admin_view

    def make(request: HttpRequest, data: Any) -> ImportForm:
        return ImportForm(data, request.FILES or None, actor=acting_admin(request))

    def show(request: HttpRequest, form: ImportForm, note: str) -> HttpResponse:
        return _page(modeladmin, request, form, note=note)

    def act(request: HttpRequest, form: ImportForm) -> HttpResponse | None:
        """Import what was checked, all or nothing unless wrong rows are skipped."""
        actor = acting_admin(request)
        result = import_users(form.stream, actor=actor, options=form.options)
        if not result.is_done:
            return None
        messages.success(request, _told(result))
        return redirect("admin:accounts_user_changelist")

    check, run = checked_views(make=make, show=show, act=act, changed=_changed_since)
    return [
        # First, because a file would get lost on the way to the confirmation and back.
        path("import/", wrap(require_recent_authentication(check)), name="accounts_user_import"),
        path("import/run/", wrap(run), name="accounts_user_run-import"),
    ]


def _changed_since() -> str:
    return _("The file or the choices have changed since the check. Look at them again.")


def _page(modeladmin: Any, request: HttpRequest, form: ImportForm, note: str = "") -> HttpResponse:
    result = _planned(form, acting_admin(request)) if form.is_valid() else None
    own = [name for name in form.fields if name != "content" and not name.startswith(MAP)]
    form.preview = None if result is None else _preview(form, result)  # type: ignore[attr-defined]  # for the template
    form.note = note  # type: ignore[attr-defined]
    page: HttpResponse = modeladmin.own_form_page(
        request, "admin/accounts/user/import.html", form, _("Import users"), fields=own
    )
    return page


def _planned(form: ImportForm, actor: Actor) -> ImportResult | None:
    try:
        return plan_import(form.stream, actor=actor, options=form.options)
    except RecordInvalid as error:
        # The names of options are not those of the form.
        names = {"mapping": f"{MAP}email"}
        for name, texts in error.errors.items():
            form.add_error(names.get(name, "file") if form.columns else "file", texts)
        return None


def _preview(form: ImportForm, result: ImportResult) -> dict[str, Any]:
    wrong = result.counts[Outcome.ERROR]
    return {
        "counts": [(badge(*OUTCOMES[each]), number) for each, number in _ordered(result)],
        "changes": 0 if wrong and not form.options.skip_errors else result.changes,
        "wrong": wrong,
        "is_kept_out": bool(wrong) and not form.options.skip_errors,
        "names_left_out": result.names_left_out,
        "total": result.total,
        "rows": [_row(each) for each in result.rows if each.outcome != Outcome.ERROR],
        "errors": [
            {"line": each.line, "email": each.email,
             "field": FIELD_LABELS.get(each.field, ""), "text": sentence(each)}
            for each in result.errors[:ERRORS_SHOWN]
        ],
        "errors_total": len(result.errors),
        "checked": form.checked,
    }  # fmt: skip


def _row(decision: Decision) -> dict[str, Any]:
    row = decision.row
    labels = dict(ROLE_LABELS)
    return {
        "line": row.line,
        "email": row.email,
        "name": row.name or "",
        "role": labels.get(row.role or "", ""),
        "role_until": row.role_until,
        "role_after": labels.get(row.role_after or "", ""),
        "expires_at": row.expires_at,
        "groups": ", ".join(cell.name for cell in row.groups),
        "has_password": bool(row.password),
        "outcome": badge(*OUTCOMES[decision.outcome]),
        "text": _changes(decision),
    }


def _changes(decision: Decision) -> str:
    """Which fields of an existing account change."""
    names = {
        "name": _("name"),
        "role": _("role"),
        "is_active": _("state"),
        "role_until": _("end of the role"),
        "expires_at": _("end of the access"),
        "groups": _("groups"),
    }
    return ", ".join(names[name] for name in decision.changes if name in names)


def _ordered(result: ImportResult) -> list[tuple[Outcome, int]]:
    return [(each, result.counts[each]) for each in Outcome if result.counts[each]]


def _told(result: ImportResult) -> str:
    """What the import did, in a sentence for each kind of row."""
    texts = {
        Outcome.NEW: ngettext_lazy(
            "%(count)d account was created.", "%(count)d accounts were created.", "count"
        ),
        Outcome.UPDATE: ngettext_lazy(
            "%(count)d account was changed.", "%(count)d accounts were changed.", "count"
        ),
        Outcome.SAME: ngettext_lazy(
            "%(count)d account stayed as it was.",
            "%(count)d accounts stayed as they were.",
            "count",
        ),
        Outcome.ERROR: ngettext_lazy(
            "%(count)d row was skipped.", "%(count)d rows were skipped.", "count"
        ),
    }
    return " ".join(texts[each] % {"count": number} for each, number in _ordered(result))


def _uploaded(file: Any) -> bytes:
    if file.size > MAX_FILE:
        raise ValidationError({"file": _too_large()})
    raw: bytes = file.read()
    return raw


def _unpacked(content: str) -> bytes:
    """The file of the last check. Raises ValidationError without one."""
    try:
        raw = zlib.decompressobj().decompress(base64.b64decode(content, validate=True), MAX_FILE)
    except (binascii.Error, ValueError, zlib.error):
        raw = b""
    if not raw:
        raise ValidationError({"file": _("Choose a file.")})
    return raw


def _too_large() -> str:
    return _("This file is too large for the page. Import it with the command importusers.")

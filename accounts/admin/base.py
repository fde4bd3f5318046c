"""What every table of the admin shares: capped counts, no use of Django's log, read-only tables."""

from collections.abc import Iterable
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminForm
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Page, Paginator
from django.db.models import DateTimeField, Model, QuerySet
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from accounts.admin.columns import exact_field
from accounts.admin.lists import COUNT_CAP, FoundKeys, GatehouseList, capped_count
from accounts.admin.navigation import MenuGroup
from accounts.models import User
from core.errors import GatehouseError
from core.text.email_addresses import search_forms
from mail.outage import Outage, current_outage

SEARCH_MAX_LENGTH = 254
# The field by which a button on the page of one user says so: the id of that user.
USER_PAGE = "user_page"


def as_uuid(text: str) -> UUID | None:
    """`text` as a UUID; None if it is not one."""
    try:
        return UUID(text)
    except ValueError:
        return None


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Counts at most COUNT_CAP rows, so that a huge table opens as fast as a small one."""

    @cached_property
    def count(self) -> int:
        """Rows found, at most COUNT_CAP; is_capped tells whether there are more."""
        found = self._counted
        return min(found, COUNT_CAP)

    @property
    def is_capped(self) -> bool:
        return self._counted > COUNT_CAP

    @cached_property
    def _counted(self) -> int:
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return capped_count(rows) if self._found is None else self._found.size

    @property
    def _found(self) -> FoundKeys | None:
        return getattr(self.object_list, "found", None)

    def page(self, number: int | str) -> Page:  # type: ignore[type-arg]
        """The rows of a page; of FoundKeys that are in order, only those of this page are read."""
        keys = None if self._found is None else self._found.in_order
        if keys is None:
            return super().page(number)
        number = self.validate_number(number)
        chosen = keys[(number - 1) * self.per_page : number * self.per_page]
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return Page(rows.filter(pk__in=chosen), number, self)


class GatehouseModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Base of all tables of this project. Changes go to the audit log, not to Django's own log."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    show_facets = admin.ShowFacets.NEVER
    view_on_site = False
    # Names of URLs and actions that need no recent authentication; see sensitive_actions.
    exempt_pages: ClassVar[frozenset[str]] = frozenset()
    # Name in the URL of a page -> what it does, for the question of /confirm.
    page_labels: Any = MappingProxyType({})
    exempt_actions: Any = frozenset()
    # Fields of the form that may have several values; see core.web.single_values.
    repeatable: ClassVar[frozenset[str]] = frozenset()
    change_list_template = "admin/change_list.html"
    title: Any = ""
    # Where the menu lists this table, and further pages as (URL name, label); see navigation.
    # menu_parent: the label of a model, below whose table this one is listed.
    menu_group: ClassVar[MenuGroup | None] = MenuGroup.OTHER
    menu_position: ClassVar[int] = 100
    menu_pages: ClassVar[tuple[tuple[str, Any], ...]] = ()
    menu_parent: ClassVar[str] = ""
    # menu_alarm(request), if a table has it, returns what is wrong there, in a word or two, or "".
    # The page of docs/, without `.md`, to which the link "Help" of these pages leads.
    help_page: ClassVar[str] = ""
    # The columns by which the list can be sorted: those that an index of the database sorts.
    sortable_by: ClassVar[tuple[str, ...]] = ()
    # What an empty list says, and the page to which it leads: (URL name, label).
    empty_text: ClassVar[Any] = ""
    empty_page: ClassVar[tuple[str, Any] | None] = None

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = self.title or str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title} | (extra_context or {}))

    def empty_link(self, request: HttpRequest) -> tuple[str, Any] | None:
        """(URL, label) of `empty_page`; None if the administrator may not open it."""
        name, label = self.empty_page or ("", "")
        if not name or (name.endswith("_add") and not self.has_add_permission(request)):
            return None
        return reverse(name), label

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return GatehouseList

    def response_action(  # type: ignore[override]  # the stubs follow a later Django
        self, request: HttpRequest, queryset: "QuerySet[Any]"
    ) -> HttpResponse | None:
        """Run an action of the list; lead back to the page of the user whose button was pressed."""
        response = super().response_action(request, queryset)
        key = as_uuid(request.POST.get(USER_PAGE, ""))
        if key is not None and isinstance(response, HttpResponseRedirect):
            return redirect("admin:accounts_user_change", key)
        return response

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """Search for both forms of an internationalized domain; see search_forms()."""
        forms = search_forms(search_term[:SEARCH_MAX_LENGTH])
        found, may_repeat = super().get_search_results(request, queryset, forms[0])
        for form in forms[1:]:
            more, may_repeat_too = super().get_search_results(request, queryset, form)
            found, may_repeat = found | more, may_repeat or may_repeat_too
        return found, may_repeat

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the audit log, which is the history of every row."""
        url = reverse("admin:audit_auditevent_changelist")
        return redirect(f"{url}?{urlencode({'q': object_id})}")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow only the lookups of the page's filters.

        `?password__startswith=` would reveal a hash character by character, and not every database
        accepts every year or regular expression.
        """
        if request is None:
            return False
        filters: Any = self.get_list_filter(request)
        for entry in filters:
            if isinstance(entry, type) and issubclass(entry, admin.SimpleListFilter):
                if lookup == entry.parameter_name:
                    return True
                continue
            field = entry if isinstance(entry, str) else entry[0]
            if lookup in (field, f"{field}__exact", f"{field}__isnull"):
                return super().lookup_allowed(lookup, value, request)
        return False

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """No object for an id with a NUL, which PostgreSQL does not accept."""
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def own_form_page(
        self,
        request: HttpRequest,
        template: str,
        form: BaseForm,
        title: str,
        fields: Iterable[str] | None = None,
    ) -> HttpResponse:
        """A page of this table with a form that is not a ModelForm.

        fields: the names of those that `adminform` has; all by default.
        """
        shown: Any = [(None, {"fields": list(form.fields if fields is None else fields)})]
        framed = AdminForm(form, shown, {}, model_admin=self)  # type: ignore[arg-type]  # any form
        context = {"title": title, "opts": self.opts, "form": form, "adminform": framed}
        return render(request, template, self.admin_site.each_context(request) | context)

    def log_addition(self, *_args: Any) -> None: ...  # type: ignore[override]  # no entry

    def log_change(self, *_args: Any) -> None: ...  # type: ignore[override]

    def log_deletions(self, *_args: Any) -> None: ...  # type: ignore[override]


class RowPage(GatehouseModelAdmin):
    """A table whose pages of a row show more than the form."""

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page of `row` shows besides its form."""
        raise NotImplementedError

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = {} if row is None else self.page_context(request, row)
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))


class AccountPage(RowPage):
    """A table of accounts: one may be changed whose role is below the administrator's."""

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and (
            obj is None or acting_admin(request).can_manage(obj)
        )

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (
            obj is None or acting_admin(request).can_manage(obj)
        )


class ServiceFormAdmin(GatehouseModelAdmin):
    """A table whose form is saved by services: what they refuse is shown above the list.

    add_title: the heading of the page that adds a row. saves_once: without the further buttons that
    save and stay.
    """

    add_title: Any = ""
    saves_once: ClassVar[bool] = False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the errors of the service; then nothing has changed."""
        is_new, context = object_id is None, dict[str, Any]()
        if is_new and self.add_title:
            context["title"] = str(self.add_title)
        if self.saves_once:
            context["show_save_and_add_another"] = False
        if self.saves_once and is_new:
            context["show_save_and_continue"] = False
        try:
            return super().changeform_view(
                request, object_id, form_url, context | (extra_context or {})
            )
        except GatehouseError as error:
            messages.error(request, error.sentences)
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")


class ReadOnlyAdmin(GatehouseModelAdmin):
    """A read-only table: you can filter and search it, but not add, edit or delete rows.

    Subclasses set list_display, list_filter and `detail_fields` (the fields of the detail page).
    Rows are sorted by primary key, newest first: only that stays fast as the table grows.
    """

    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    detail_fields: ClassVar[tuple[str, ...]] = ()
    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_action_permission(self, request: HttpRequest) -> bool:
        """For actions with permissions=["action"]; the service decides about each row again."""
        return bool(self.has_view_permission(request))

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        names = self.detail_fields or super().get_fields(request, obj)
        return [self._shown(name) for name in names]

    def _shown(self, name: Any) -> Any:
        """A column of the database that holds a time is shown as every other time is."""
        fields = {field.name: field for field in self.opts.fields}
        is_time = not hasattr(self, name) and isinstance(fields.get(name), DateTimeField)
        return exact_field(name, fields[name].verbose_name) if is_time else name


def mail_outage(request: HttpRequest) -> Outage | None:
    """The outage of the mail service, asked once for each request; see mail.outage."""
    kept = vars(request)
    if "mail_outage" not in kept:
        kept["mail_outage"] = current_outage()
    found: Outage | None = kept["mail_outage"]
    return found


def acting_admin(request: HttpRequest) -> User:
    """The administrator who makes the request. Raises TypeError outside of the admin site."""
    if not isinstance(request.user, User):
        raise TypeError("acting_admin() needs a view behind GatehouseAdminSite.admin_view")
    return request.user


def redirect_after_duplicate(request: HttpRequest, url: str) -> HttpResponse:
    """Answer a form that was sent a second time: a warning, and a redirect to `url`."""
    text = _(
        "This form was sent twice and processed once. Check the result here before you send it "
        "again."
    )
    messages.warning(request, text)
    return redirect(url or "admin:index")

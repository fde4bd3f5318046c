"""The table of groups, and the page of a group with its people. Every write is a service."""

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from accounts.admin.base import RowPage, ServiceFormAdmin, acting_admin
from accounts.admin.columns import NOTHING, moment, user_link
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.groups import source_text
from accounts.admin.users.sections import Button, Content, Row
from accounts.forms import EndField
from accounts.models import Group, Membership, User
from accounts.models.groups import MANUAL
from accounts.services.groups import changes, members
from accounts.services.groups.names import clean_fields
from accounts.services.groups.uses import uses_of
from core.errors import GatehouseError

# People on the page of a group; the list of people, filtered by the group, shows all.
MAX_SHOWN = 100
MAX_ADDED = 100


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """accounts.services.groups.names validates the fields."""

    class Meta:
        model = Group
        fields = ("name", "label", "description")
        help_texts = {
            "name": gettext_lazy(
                "What apps read, such as finance or project-x: letters a to z, digits, hyphens, "
                "dots and underscores."
            ),
            "label": gettext_lazy("What people see. Empty: the name."),
            "description": gettext_lazy("What the group is for."),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "name" in self.fields:
            self.fields["name"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean(self) -> dict[str, Any]:
        """Normalize the fields, and add the errors."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned, errors = clean_fields(typed)
        for name, texts in errors.items():
            self.add_error(name, texts)
        return {name: value for name, value in cleaned.items() if name not in errors}


class AddPeopleForm(forms.Form):
    """Whom to add: one address or user name on each line."""

    people = forms.CharField(
        label=gettext_lazy("Addresses or user names"),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
        help_text=gettext_lazy("One on each line."),
    )
    until = EndField(
        label=gettext_lazy("Until"),
        help_text=gettext_lazy("In your time zone. Empty: no end."),
    )

    def clean_people(self) -> list[User]:
        """The accounts, or an error that names who is unknown."""
        names = dict.fromkeys(self.cleaned_data["people"].replace(",", "\n").split())
        if len(names) > MAX_ADDED:
            raise forms.ValidationError(_("At most %(most)d people at once.") % {"most": MAX_ADDED})
        found = {name: User.objects.with_login(name).first() for name in names}
        unknown = [name for name, user in found.items() if user is None]
        if unknown:
            text = _("There is no account with the address or user name %(names)s.")
            raise forms.ValidationError(text % {"names": ", ".join(unknown[:10])})
        return [user for user in found.values() if user is not None]


@admin.register(Group, site=site)
class GroupAdmin(ServiceFormAdmin, RowPage):
    """All groups. Administrators manage them; the rules of rank hold for their people."""

    form = GroupForm
    title = gettext_lazy("Groups")
    add_title = gettext_lazy("Add a group")
    menu_group = MenuGroup.USERS
    menu_position = 20
    help_page = "groups"
    ordering: ClassVar[tuple[str, ...]] = ("name",)
    list_display = ("label_name", "code", "people", "description")
    list_per_page = changes.MAX_GROUPS
    actions = None
    empty_text = gettext_lazy(
        "A group says where people belong: finance, the lab, a project. Access rules and apps can "
        "ask for it beside the role."
    )
    empty_page = ("admin:accounts_group_add", gettext_lazy("Add a group"))
    change_form_template = "admin/accounts/group/change_form.html"
    delete_confirmation_template = "admin/accounts/group/delete_confirmation.html"
    page_labels = {"accounts_group_join": gettext_lazy("Add people to the group")}
    # Administrators must be able to take access away at once.
    exempt_pages: ClassVar[frozenset[str]] = frozenset({"accounts_group_remove"})

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Group]":
        now = timezone.now()
        is_current = Q(memberships__until=None) | Q(memberships__until__gt=now)
        count = Count("memberships__user", filter=is_current, distinct=True)
        groups: QuerySet[Group] = super().get_queryset(request).annotate(people_count=count)
        return groups

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        return [
            path(
                "<uuid:key>/add/", guard(require_POST(_add_view(self))), name="accounts_group_join"
            ),
            path(
                "<uuid:key>/remove/<uuid:user>/",
                guard(require_POST(_remove_view(self))),
                name="accounts_group_remove",
            ),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("group"))
    def label_name(self, row: Group) -> str:
        return str(row)

    @admin.display(description=gettext_lazy("name for apps"))
    def code(self, row: Group) -> SafeString:
        return format_html("<code>{}</code>", row.name)

    @admin.display(description=gettext_lazy("people"))
    def people(self, row: Any) -> str | SafeString:
        if not row.people_count:
            return NOTHING
        return format_html('<a href="{}">{}</a>', people_url(row), row.people_count)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "title": str(row),
            "subtitle": None,
            "show_save_and_add_another": False,
            "people": _people(request, row),
            "join_form": AddPeopleForm(prefix=None, auto_id="join_%s"),
            "uses": uses_of(row),
        }

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        actor = acting_admin(request)
        if change:
            typed = {name: form.cleaned_data[name] for name in form.changed_data}
            changes.change_group(actor=actor, group=Group(pk=obj.pk), changes=typed)
            return
        made = changes.create_group(actor=actor, **form.cleaned_data)
        obj.pk, obj.name = made.pk, made.name

    def response_add(
        self, request: HttpRequest, obj: Group, post_url_continue: str | None = None
    ) -> HttpResponse:
        """On to the page of the group, where its people are added."""
        messages.success(
            request, _("The group “%(name)s” is there. Add people to it.") % {"name": obj}
        )
        return redirect("admin:accounts_group_change", obj.pk)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask, and say what depends on the group. Show the errors of the service."""
        group = self.get_object(request, object_id)
        context = (
            {} if group is None else {"uses": uses_of(group), "people_count": group.people_count}
        )
        try:
            return super().delete_view(request, object_id, context | (extra_context or {}))
        except GatehouseError as error:
            messages.error(request, error.sentences)
            return redirect("admin:accounts_group_change", object_id)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The page says it in sentences. The service decides about permissions."""
        return [], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        """The page has named what depends on the group."""
        changes.delete_group(actor=acting_admin(request), group=obj, confirmed=True)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """There is no such action."""
        raise NotImplementedError


def people_url(group: Group) -> str:
    """The list of people, filtered by the group."""
    return f"{reverse('admin:accounts_user_changelist')}?group={group.name}"


def _people(request: HttpRequest, group: Group) -> Content:
    rows = Membership.objects.filter(group=group).current(timezone.now())
    found = list(rows.select_related("user").order_by("user__email", "source")[: MAX_SHOWN + 1])
    actor = acting_admin(request)
    return Content(
        (_("Person"), _("Role"), _("By"), _("Since"), _("Until")),
        [_person_row(actor, row) for row in found[:MAX_SHOWN]],
        more=people_url(group) if len(found) > MAX_SHOWN else "",
        empty=_("Nobody is in this group yet."),
        shown=MAX_SHOWN,
    )


def _person_row(actor: User, row: Membership) -> Row:
    person = row.user
    cells = (
        user_link(person.pk, person.get_full_name()),
        person.get_role_display(),
        source_text(row.source),
        moment(row.added_at),
        moment(row.until) if row.until else NOTHING,
    )
    if row.source != MANUAL or not actor.can_manage(person):
        return Row(cells)
    question = _("Remove %(name)s from this group? What asks for it refuses them at once.")
    url = reverse("admin:accounts_group_remove", args=[row.group_id, person.pk])
    text = question % {"name": person.get_full_name()}
    return Row(cells, Button(url, "", "", _("Remove"), text))


def _group(table: "ModelAdmin[Any]", request: HttpRequest, key: UUID) -> Group:
    """Raises Http404, PermissionDenied."""
    group = Group.objects.filter(pk=key).first()
    if group is None:
        raise Http404
    if not table.has_change_permission(request, group):
        raise PermissionDenied
    return group


def _add_view(table: "ModelAdmin[Any]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        """Add everyone, or nobody."""
        group, form = _group(table, request, key), AddPeopleForm(request.POST)
        if not form.is_valid():
            for text in [text for texts in form.errors.values() for text in texts]:
                messages.error(request, str(text))
            return redirect("admin:accounts_group_change", group.pk)
        people, until = form.cleaned_data["people"], form.cleaned_data["until"]
        try:
            members.add_members(
                actor=acting_admin(request), users=list(people), group=group, until=until
            )
        except GatehouseError as error:
            messages.error(request, error.sentences)
        else:
            text = ngettext(
                "%(count)d person is in the group.", "%(count)d people are in the group.",
                len(people),
            )  # fmt: skip
            messages.success(request, text % {"count": len(people)})
        return redirect("admin:accounts_group_change", group.pk)

    return view


def _remove_view(table: "ModelAdmin[Any]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID, user: UUID) -> HttpResponse:
        group, person = _group(table, request, key), User.objects.filter(pk=user).first()
        if person is None:
            raise Http404
        try:
            members.remove_member(actor=acting_admin(request), user=person, group=group)
        except GatehouseError as error:
            messages.error(request, error.sentences)
        else:
            text = _("%(name)s is not in the group any more.")
            messages.success(request, text % {"name": person.get_full_name()})
        return redirect("admin:accounts_group_change", group.pk)

    return view

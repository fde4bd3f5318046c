"""Read-only tables: the audit log, the outbox and the signed-in sessions."""

import re
from ipaddress import ip_address
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.admin.base import SEARCH_MAX_LENGTH, ReadOnlyAdmin, acting_admin, as_uuid, mail_outage
from accounts.admin.bulk_actions import RowActionsAdmin, run_on_rows
from accounts.admin.columns import (
    NOTHING,
    actor_cell,
    badge,
    exact_column,
    moment,
    moment_column,
    network_column,
    origin_cell,
    result_badge,
    target_cell,
    text_column,
    user_column,
    with_detail,
)
from accounts.admin.lists import COUNT_CAP, GatehouseList
from accounts.admin.navigation import MenuGroup
from accounts.admin.read_only_filters import (
    MAIL_KINDS,
    ActionFilter,
    AtFilter,
    KindFilter,
    MailCreatedFilter,
    ResultFilter,
    SessionCreatedFilter,
    StatusFilter,
)
from accounts.admin.site import site
from accounts.admin.testmail import test_mail_page
from accounts.admin.undoing import undo_link, undo_state, undo_urls, undoes_link
from accounts.models import BrowserSession, User
from accounts.models.audit_events import sentence_of, with_emails
from accounts.services.mail import retry_mail
from accounts.services.sessions import end_session
from accounts.services.undo import with_undo
from accounts.sessions.link_binding import device_name
from audit.models import AuditEvent
from mail.models import OutboxMail

MAX_USERS_FOUND = 50


@admin.register(AuditEvent, site=site)
class AuditEventAdmin(ReadOnlyAdmin):
    """The audit log. It holds ids of users; the addresses shown are the current ones."""

    title = gettext_lazy("Audit log")
    menu_group = MenuGroup.AUDIT
    menu_position = 10
    help_page = "audit"
    list_display = ("when", "what", "by", "target", "outcome", "undo")
    list_filter = (ActionFilter, ResultFilter, AtFilter)
    sortable_by = ("when",)
    empty_text = gettext_lazy("Everything that people and administrators do is recorded here.")
    # Only makes Django show the search box: get_search_results() does the search.
    search_fields = ("seq",)
    search_help_text = gettext_lazy(
        "An address or part of one with @, an id, a network address, a request id or an action"
    )
    detail_fields: ClassVar[tuple[str, ...]] = (
        "number",
        "told",
        "exactly",
        "action",
        "outcome",
        "undoing",
        "undoes_entry",
        "actor",
        "actor_key",
        "target",
        "target_key",
        "channel",
        "network",
        "request_id",
        "details",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[AuditEvent]":
        return with_undo(with_emails(super().get_queryset(request)))

    def get_urls(self) -> list[URLPattern]:
        return [*undo_urls(self), *super().get_urls()]

    def name_in_confirmation(self, event: AuditEvent) -> str:
        """What /confirm says about an entry."""
        return sentence_of(event)

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[AuditEvent]", search_term: str
    ) -> "tuple[QuerySet[AuditEvent], bool]":
        """Search ids and addresses by index; part of an email finds MAX_USERS_FOUND at most.

        Finds at most the newest COUNT_CAP + 1 events. Each condition is asked alone: for several at
        once, SQLite would read all events.
        """
        text = search_term.strip()[:SEARCH_MAX_LENGTH]
        if not text:
            return queryset, False
        newest = queryset.order_by("-pk").values_list("pk", flat=True)
        found = {
            key
            for condition in _audit_conditions(text)
            for key in newest.filter(condition)[: COUNT_CAP + 1]
        }
        keys = sorted(found, reverse=True)[: COUNT_CAP + 1]
        return queryset.filter(pk__in=keys), False

    when = moment_column("at", gettext_lazy("when"))
    number = text_column("seq", gettext_lazy("number"))
    network = network_column("ip", gettext_lazy("network address"))

    exactly = exact_column("at", gettext_lazy("when"))

    @admin.display(description=gettext_lazy("what happened"))
    def what(self, event: AuditEvent) -> SafeString:
        return with_detail(sentence_of(event), format_html("<code>{}</code>", event.action))

    @admin.display(description=gettext_lazy("what happened"))
    def told(self, event: AuditEvent) -> str:
        return sentence_of(event)

    @admin.display(description=gettext_lazy("by"))
    def actor(self, event: AuditEvent) -> str:
        return actor_cell(event)

    @admin.display(description=gettext_lazy("by"))
    def by(self, event: AuditEvent) -> SafeString:
        """The actor, and below from where they did it."""
        return with_detail(actor_cell(event), origin_cell(event))

    actor_key = text_column("actor_id", gettext_lazy("id of the actor"))

    @admin.display(description=gettext_lazy("on"))
    def target(self, event: AuditEvent) -> str:
        return target_cell(event)

    target_key = text_column("target_id", gettext_lazy("id of the target"))

    @admin.display(description=gettext_lazy("result"))
    def outcome(self, event: AuditEvent) -> SafeString:
        return result_badge(event)

    @admin.display(description=gettext_lazy("undo"))
    def undo(self, event: AuditEvent) -> str:
        return undo_link(event)

    @admin.display(description=gettext_lazy("undo"))
    def undoing(self, event: AuditEvent) -> str:
        return undo_state(event)

    @admin.display(description=gettext_lazy("undoes entry"))
    def undoes_entry(self, event: AuditEvent) -> str:
        return undoes_link(event)

    @admin.display(description=gettext_lazy("detail"))
    def details(self, event: AuditEvent) -> str:
        pairs = [(name, _plain(value)) for name, value in _in_order(event.detail)]
        if not pairs:
            return NOTHING
        return format_html_join("", '<span class="pair">{}: {}</span> ', pairs)


def _in_order(detail: dict[str, Any]) -> list[tuple[str, Any]]:
    """Sorted by name, except that `before` comes first."""
    return sorted(detail.items(), key=lambda pair: (pair[0] != "before", pair[0]))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_plain(each)}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _audit_conditions(text: str) -> list[Q]:
    """The conditions of which a found event meets one; each has an index."""
    if "@" in text:
        people = User.objects.found_ids(text, MAX_USERS_FOUND)
        return [Q(actor_id__in=people), Q(target_id__in=people)]
    if (key := as_uuid(text)) is not None:
        return [Q(actor_id=key), Q(target_id=key), Q(request_id=text)]
    if _is_address(text):
        return [Q(ip=text)]
    return [Q(action=text), Q(request_id=text)]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_TONES = {
    OutboxMail.Status.SENT: "good",
    OutboxMail.Status.DEAD: "bad",
    OutboxMail.Status.WAITING: "warn",
}


@admin.register(OutboxMail, site=site)
class OutboxMailAdmin(RowActionsAdmin):
    """The delivery of each mail. Its text is encrypted and never shown."""

    title = gettext_lazy("Mail")
    menu_group = MenuGroup.MESSAGES
    menu_position = 10
    help_page = "mail"
    menu_pages = (("admin:mail_outboxmail_test", gettext_lazy("Send a test mail")),)
    list_display = ("status_badge", "recipient", "about", "tries", "next_try", "made")
    list_display_links = ("recipient",)
    list_filter = (StatusFilter, KindFilter, MailCreatedFilter)
    sortable_by = ("made",)
    empty_text = gettext_lazy(
        "Each mail that this server sends is listed here, with its attempts and errors."
    )
    empty_page = ("admin:mail_outboxmail_test", gettext_lazy("Send a test mail"))
    search_fields = ("recipient",)
    search_help_text = gettext_lazy("Part of the address")
    actions = ("send_again",)
    # The test mail has a fixed text: it grants nothing and holds no secret.
    exempt_pages = frozenset({"mail_outboxmail_test"})
    # It sends the same mail to the same recipient again.
    exempt_actions = frozenset({"send_again"})
    detail_fields: ClassVar[tuple[str, ...]] = (
        "status_badge",
        "recipient",
        "person",
        "kind_name",
        "subject",
        "attempts",
        "next_try",
        "last_error",
        "created_at",
        "sent_at",
        "expires_at",
        "id",
    )

    def menu_alarm(self, request: HttpRequest) -> str:
        """Shown in the menu of every page."""
        return _("failing") if mail_outage(request) else ""

    def get_urls(self) -> list[URLPattern]:
        ask = require_http_methods(["GET", "HEAD", "POST"])(self.test_view)
        guarded = self.admin_site.admin_view(ask)
        return [path("test/", guarded, name="mail_outboxmail_test"), *super().get_urls()]

    def test_view(self, request: HttpRequest) -> HttpResponse:
        return test_mail_page(self, request)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[OutboxMail]":
        found: QuerySet[OutboxMail] = super().get_queryset(request)
        return found.defer("sealed_body").select_related("user")

    @admin.display(description=gettext_lazy("status"))
    def status_badge(self, mail: OutboxMail) -> SafeString:
        tone = _TONES.get(OutboxMail.Status(mail.status), "plain")
        return badge(tone, mail.get_status_display())

    person = user_column("user", gettext_lazy("person"))

    @admin.display(description=gettext_lazy("kind"))
    def kind_name(self, mail: OutboxMail) -> str:
        return str(dict(MAIL_KINDS).get(mail.kind, mail.kind))

    @admin.display(description=gettext_lazy("subject"))
    def about(self, mail: OutboxMail) -> SafeString:
        return with_detail(mail.subject, self.kind_name(mail))

    @admin.display(description=gettext_lazy("attempts"))
    def tries(self, mail: OutboxMail) -> str | SafeString:
        if not mail.last_error:
            return str(mail.attempts)
        return with_detail(mail.attempts, mail.last_error)

    @admin.display(description=gettext_lazy("next attempt"))
    def next_try(self, mail: OutboxMail) -> str:
        is_due = mail.status in (OutboxMail.Status.QUEUED, OutboxMail.Status.SENDING)
        return moment(mail.next_attempt_at if is_due else None)

    made = moment_column("created_at", gettext_lazy("created"))

    @admin.action(description=gettext_lazy("Send again"), permissions=["action"])
    def send_again(self, request: HttpRequest, queryset: "QuerySet[OutboxMail]") -> None:
        """Queue the chosen mails again, except those without text or with an expired link."""
        actor = acting_admin(request)
        run_on_rows(
            request,
            queryset,
            lambda mail: retry_mail(mail, actor=actor),
            ngettext_lazy(
                "%(count)d mail will be sent again.", "%(count)d mails will be sent again.", "count"
            ),
        )


class SessionList(GatehouseList):
    """Links to rows by public_id, because the key of a session is the digest of its cookie."""

    def __init__(self, request: HttpRequest, *args: Any, **options: Any) -> None:
        super().__init__(request, *args, **options)
        # In a pop-up, Django would write the key of each row into the page.
        self.is_popup = False

    def url_for_result(self, result: Model) -> str:
        key = result.public_id  # type: ignore[attr-defined]  # a BrowserSession
        return reverse("admin:accounts_browsersession_change", args=[key])


@admin.register(BrowserSession, site=site)
class BrowserSessionAdmin(RowActionsAdmin):
    """Who is signed in where. Ended sessions are deleted."""

    title = gettext_lazy("Sessions")
    menu_group = MenuGroup.USERS
    menu_position = 30
    help_page = "accounts"
    # It moves with each use like last_seen_at, and unlike that it has an index.
    ordering: ClassVar[tuple[str, ...]] = ("-expire_date",)
    list_display = ("device", "person", "network", "begun", "seen")
    list_filter = (SessionCreatedFilter,)
    sortable_by = ("seen",)
    empty_text = gettext_lazy("Each device on which someone is signed in is listed here.")
    search_fields = ("user__email", "user__name", "ip")
    search_help_text = gettext_lazy("Part of a person's address or name, or a network address")
    actions = ("end_chosen",)
    exempt_actions = frozenset({"end_chosen"})
    tick_field: ClassVar[str] = "public_id"
    detail_fields: ClassVar[tuple[str, ...]] = (
        "person",
        "device",
        "user_agent",
        "network",
        "created_at",
        "last_seen_at",
        "expire_date",
        "public_id",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[BrowserSession]":
        live = Q(expire_date__gt=timezone.now(), user__isnull=False)
        found: QuerySet[BrowserSession] = super().get_queryset(request)
        return found.filter(live).defer("session_data").select_related("user")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[BrowserSession]", search_term: str
    ) -> "tuple[QuerySet[BrowserSession], bool]":
        """Search by the beginning of a network address, or by MAX_USERS_FOUND users at most.

        To compare the text with the owner of each session would take seconds in a long list.
        """
        text = search_term.strip()[:SEARCH_MAX_LENGTH]
        if not text:
            return queryset, False
        if re.fullmatch(r"[0-9a-fA-F]*[.:][0-9a-fA-F.:]*", text):
            return queryset.filter(ip__startswith=text), False
        owners = User.objects.found_ids(text, MAX_USERS_FOUND)
        return queryset.filter(user_id__in=owners), False

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return SessionList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> BrowserSession | None:
        """Look up by public_id only."""
        key = as_uuid(object_id)
        if key is None:
            return None
        found: BrowserSession | None = self.get_queryset(request).filter(public_id=key).first()
        return found

    @admin.display(description="")
    def action_checkbox(self, obj: BrowserSession) -> SafeString:
        """Django's checkbox, with public_id instead of the key."""
        label = _("Choose %(session)s") % {"session": obj}
        box = forms.CheckboxInput({"class": "action-select", "aria-label": label}, lambda _v: False)
        return box.render(ACTION_CHECKBOX_NAME, str(obj.public_id))

    @admin.display(description=gettext_lazy("device"))
    def device(self, session: BrowserSession) -> str:
        return device_name(session.user_agent)

    person = user_column("user", gettext_lazy("person"))
    network = network_column("ip", gettext_lazy("network address"))
    begun = moment_column("created_at", gettext_lazy("signed in"))
    seen = moment_column("last_seen_at", gettext_lazy("last seen"), ordering="expire_date")

    @admin.action(description=gettext_lazy("End session"), permissions=["action"])
    def end_chosen(self, request: HttpRequest, queryset: "QuerySet[BrowserSession]") -> None:
        """End the chosen sessions, except those of users whose role is not below yours."""
        actor = acting_admin(request)
        run_on_rows(
            request,
            queryset,
            lambda session: end_session(actor=actor, session=session),
            ngettext_lazy(
                "%(count)d session has ended.", "%(count)d sessions have ended.", "count"
            ),
        )

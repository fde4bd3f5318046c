"""Which pages and lists are measured with a million users: every list with every way to read it.

Runs inside a process with Django set up; see benchmarks.lists. The lists of the panel, their
columns, filters and choices are read from the admin itself, so that a new one is measured, too.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib.admin.views.main import ChangeList
from django.test import RequestFactory
from django.urls import reverse

from access_reviews.models import AccessReview, ReviewItem
from accounts.admin.site import site
from accounts.models import ROLE_LABELS, User
from api.pagination import Cursor
from audit.models import AuditEvent
from forward_auth.models import AccessRule, Denial
from moderation.models import Ban
from webhooks.models import WebhookEndpoint

# What people type: nothing, one person, a part of an address, what many have, what no one has.
TEXTS = ("person7777@example.com", "person7", "son777", "Number 7777", "nobody-at-all", "10.1.2.3")
PAGES = ("2", "100", "199")


class Look(NamedTuple):
    """A page to measure. group: the list or part that it belongs to."""

    group: str
    name: str
    url: str
    data: dict[str, str] | None = None


def looks(owner: User) -> Iterator[Look]:
    """All pages, as `owner` sees them."""
    yield from _single_pages()
    for table in site._registry.values():
        yield from _panel_list(table, owner)
    for path, queries in _endpoints().items():
        yield Look(f"API {path}", "as it is", f"/api/v1/{path}")
        for query in queries:
            yield Look(f"API {path}", urlencode(query), f"/api/v1/{path}?{urlencode(query)}")
        yield from _deep_api_pages(path)


def _single_pages() -> Iterator[Look]:
    ordinary, busy = _person(7777), _person(29)
    yield Look("panel", "overview", reverse("admin:index"))
    for name, person in (("ordinary", ordinary), ("10,000 events", busy)):
        url = reverse("admin:accounts_user_change", args=[person.pk])
        yield Look("panel", f"page of a user, {name}", url)
    for text in TEXTS:
        url = reverse("admin:accounts_user_find") + "?" + urlencode({"q": text})
        yield Look("panel", f"find a person, {text}", url)
    review = AccessReview.objects.get(closed_at=None)
    url = reverse("admin:access_reviews_accessreview_change", args=[review.pk])
    for query in ("", "?show=all", "?show=decided", "?p=2", "?p=199", *(f"?q={t}" for t in TEXTS)):
        yield Look("access review of everyone", query or "as it is", url + query)
    item = ReviewItem.objects.filter(review=review, decision="open").order_by("pk")[0]
    url = reverse("admin:access_reviews_accessreview_item", args=[review.pk, item.pk])
    yield Look("access review of everyone", "one account", url)
    yield Look("account pages", "account", "/account/")
    yield Look("account pages", "API keys", "/account/keys")
    for role in ("", "viewer", "none"):
        data = {"search": "", "role": role, "state": ""}
        yield Look("exports", f"users, panel {role}", reverse("admin:accounts_user_export"), data)


def _person(number: int) -> User:
    found: User = User.objects.get(email=f"person{number}@example.com")
    return found


def _panel_list(table: Any, owner: User) -> Iterator[Look]:
    """A list as it is, by each column, with each choice of each filter, searched, and deep."""
    url = reverse(f"admin:{table.opts.app_label}_{table.opts.model_name}_changelist")
    group = f"list of {table.opts.verbose_name_plural}"
    yield Look(group, "as it is", url)
    queries: list[dict[str, str]] = []
    for position, name in enumerate(table.list_display):
        if name in table.sortable_by:
            queries += [{"o": f"{position}"}, {"o": f"-{position}"}]
            queries += [{"o": f"-{position}", "p": PAGES[-1]}]
    queries += _filters(table, owner, url)
    queries += [{"q": text} for text in TEXTS if table.search_fields]
    queries += [{"p": page} for page in PAGES]
    for query in queries:
        yield Look(group, urlencode(query), f"{url}?{urlencode(query)}")


def _filters(table: Any, owner: User, url: str) -> Iterator[dict[str, str]]:
    request = RequestFactory().get(url)
    request.user = owner
    shown: ChangeList = table.get_changelist_instance(request)
    for spec in shown.filter_specs:
        name: Any = spec.expected_parameters()[0]
        choices = getattr(spec, "lookup_choices", None)
        for value, _label in choices or []:
            yield {name: str(value)}
            yield {name: str(value), "p": "150"}
    if table.model is User:
        yield from (
            {"role": "none", "state": "disabled"}, {"role": "admin", "factor": "yes"},
            {"role": "admin", "factor": "no"}, {"state": "active", "signed-in": "longer"},
            {"role": "viewer", "verified": "no"}, {"role": "viewer", "o": "1"},
            {"q": "person7", "o": "1"}, {"verified": "no", "o": "1"}, {"factor": "no", "o": "5"},
        )  # fmt: skip


def _endpoints() -> dict[str, list[dict[str, str]]]:
    """Path of a list of the API -> queries."""
    now = datetime.now(UTC)
    month, soon = (now - timedelta(days=30)).isoformat(), (now + timedelta(days=7)).isoformat()
    person, busy = str(_person(7777).pk), str(_person(29).pk)
    review = AccessReview.objects.get(closed_at=None)
    hook = WebhookEndpoint.objects.order_by("pk")[1]
    rule, ban = AccessRule.objects.order_by("pk")[7], Ban.objects.exclude(user=None)[0]
    actions = (
        "account:session:start",
        "account:role:change",
        "account:data:export",
        "nothing:at:all",
    )
    times = [{"after": month}, {"before": month}, {"after": month, "before": soon}]
    addresses = [{"ip": "10.1.2.3"}, {"ip": "192.0.2.1"}]
    return {
        "users": [
            *({"q": text} for text in TEXTS),
            *({"role": role} for role, _label in ROLE_LABELS),
            {"is_active": "true"}, {"is_active": "false"}, {"is_verified": "true"},
            {"is_verified": "false"}, {"created_after": month}, {"created_before": month},
            {"ends_before": soon}, {"role": "admin", "is_active": "false"},
            {"role": "viewer", "is_verified": "false", "created_before": month},
            {"q": "person7", "is_active": "false"},
        ],
        f"users/{person}/sessions": [],
        f"users/{person}/api-keys": [],
        "api-keys": [],
        "me/sessions": [],
        "me/apps": [],
        "access-rules": [],
        "webhooks": [],
        "invitations": [
            *({"state": state} for state in ("live", "expired", "all")),
            {"email": "invited77@example.com"}, {"email": "invited77"}, {"role": "viewer"},
            {"role": "owner"},
        ],
        "moderation/violations": [
            {"type": "login"}, {"type": "nothing"}, {"user": person}, {"user": busy}, *times,
            {"type": "login", "before": month}, {"user": person, "type": "nothing"},
        ],
        "moderation/bans": [
            {"user": str(ban.user_id)}, {"kind": "automatic"}, {"kind": "manual"},
            {"active": "true"}, {"active": "false"}, {"kind": "manual", "active": "true"},
        ],
        "audit-events": [
            *({"action": action} for action in actions), {"result": "success"},
            {"result": "refused"}, {"result": "failure"}, {"actor": person}, {"actor": busy},
            {"target": person}, {"target": busy}, *addresses, {"channel": "web"},
            {"channel": "worker"}, *times, {"actor": busy, "result": "failure"},
            {"action": "account:role:change", "result": "failure"},
            {"action": "account:session:start", "before": month},
        ],
        "refusals": [
            {"code": "banned"}, {"code": "nothing"}, {"status": "401"}, {"status": "404"},
            {"host": "app7.example.com"}, {"host": "nowhere.example.com"}, {"user": person},
            {"rule": str(rule.pk)}, *addresses, *times,
        ],
        "access-reviews": [{"state": "open"}, {"state": "closed"}],
        f"access-reviews/{review.pk}": [],
        f"access-reviews/{review.pk}/items": [
            {"decision": "open"}, {"decision": "confirmed"}, {"decision": "later"},
            {"user": person},
        ],
        f"webhooks/{hook.pk}/deliveries": [
            {"status": "failed"}, {"status": "queued"}, {"event_type": "user.created"},
            {"event_type": "nothing"},
        ],
    }  # fmt: skip


def _deep_api_pages(path: str) -> Iterator[Look]:
    """The page in the middle, by a cursor, where the rows are many."""
    middles: dict[str, Any] = {
        "users": lambda: _person(500_000 * User.objects.count() // 1_000_001).pk,
        "audit-events": lambda: AuditEvent.objects.order_by("-seq")[0].seq // 2,
        "refusals": lambda: _at_and_key(Denial.objects.order_by("at")[Denial.objects.count() // 2]),
    }
    if path in middles:
        key = middles[path]()
        for is_back, name in ((False, "middle"), (True, "middle, backwards")):
            query = urlencode({"cursor": Cursor(key, is_back).text})
            yield Look(f"API {path}", name, f"/api/v1/{path}?{query}")


def _at_and_key(row: Any) -> str:
    return f"{row.at.isoformat()} {row.pk}"

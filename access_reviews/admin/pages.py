"""The pages of one access review: its accounts, one account, several at once, the end, a file."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from access_reviews.admin.forms import (
    CloseForm,
    ConfirmManyForm,
    DecideForm,
    StartForm,
    ticked_ids,
)
from access_reviews.admin.labels import (
    decider_link,
    decision_badge,
    effect_text,
    key_lines,
    keys_text,
    person_cell,
    review_badge,
    role_text,
    scope_text,
)
from access_reviews.models import UNDECIDED, AccessReview, ReviewItem
from access_reviews.services.decisions import (
    confirm,
    confirm_many,
    plan_confirmation,
    postpone,
    require_may_decide,
    take_away,
)
from access_reviews.services.exports import ItemLine, export_csv, export_records, item_lines
from access_reviews.services.reviews import close_review, may_close, start_review
from accounts.admin.base import SEARCH_MAX_LENGTH, CappedPaginator, acting_admin
from accounts.admin.columns import user_link
from accounts.models import User
from accounts.services.bulk.exports import BYTE_ORDER_MARK
from core.errors import GatehouseError
from core.web.single_values import may_repeat

TEMPLATES = "admin/access_reviews"
PER_PAGE = 50
# How many accounts a search finds at most.
FOUND = 500
ASKING = require_http_methods(["GET", "HEAD", "POST"])
SHOWN: dict[str, Any] = {
    "open": gettext_lazy("To decide"),
    "decided": gettext_lazy("Decided"),
    "all": gettext_lazy("All"),
}
REVIEW, ITEM = "admin:access_reviews_accessreview_change", "admin:access_reviews_accessreview_item"
View = Callable[..., HttpResponseBase]


def start_page(modeladmin: Any) -> View:
    """The form of a new review; posted, leads to its page."""

    @may_repeat("reviewers")
    @ASKING
    def view(request: HttpRequest) -> HttpResponse:
        actor = acting_admin(request)
        if not modeladmin.has_add_permission(request):
            raise PermissionDenied
        form = StartForm(request.POST if request.method == "POST" else None, actor=actor)
        if form.is_valid():
            try:
                review = start_review(actor=actor, wanted=form.wanted)
            except GatehouseError as error:
                form.add_service_errors(error)
            else:
                messages.success(request, _("The review “%(name)s” has started.") % _name(review))
                return redirect(REVIEW, review.pk)
        title = _("Start a review")
        page: HttpResponse = modeladmin.own_form_page(
            request, f"{TEMPLATES}/start.html", form, title
        )
        return page

    return view


def review_page(modeladmin: Any) -> View:
    """The accounts of a review, with boxes to tick."""

    @require_safe
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        review = _find(modeladmin, request, key)
        shown = request.GET.get("show", "open" if review.is_open else "all")
        shown = shown if shown in SHOWN else "all"
        search = request.GET.get("q", "").strip()[:SEARCH_MAX_LENGTH]
        rows = _filtered(review, shown, search)
        page = CappedPaginator(rows, PER_PAGE).get_page(request.GET.get("p"))
        actor = acting_admin(request)
        context = _facts(review, actor) | {
            "title": review.name,
            "page": page,
            "rows": _rows(item_lines(page), review, actor),
            "shown": shown,
            "filters": [(name, label, name == shown) for name, label in SHOWN.items()],
            "search": search,
            "pages": page_numbers(page),
        }
        return _render(modeladmin, request, "review.html", context)

    return view


def page_numbers(page: "Page[Any]") -> list[int | str]:
    """The numbers of pages, with an ellipsis where some are left out."""
    return list(page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1))


def _filtered(review: AccessReview, shown: str, search: str) -> Any:
    rows = review.items.order_by("pk")
    if shown == "open":
        rows = rows.filter(decision__in=UNDECIDED)
    elif shown == "decided":
        rows = rows.exclude(decision__in=UNDECIDED)
    if search:
        rows = rows.filter(user_id__in=User.objects.found_ids(search, FOUND))
    return rows


def _trail(review: AccessReview) -> dict[str, Any]:
    """The review, in the breadcrumb of the pages below it."""
    return {"row_url": reverse(REVIEW, args=[review.pk]), "row_label": review.name}


def _facts(review: AccessReview, actor: User) -> dict[str, Any]:
    """What the head of a review says."""
    people = User.objects.in_bulk([key for key in (review.started_by, review.closed_by) if key])
    total, undecided = review.counts()
    reviewers = [row.user for row in review.reviewers.select_related("user").order_by("pk")]
    return {
        "review": review,
        "badge": review_badge(review, timezone.now()),
        "scope": scope_text(review),
        "reviewers": reviewers,
        "starter": _person(review.started_by, people),
        "closer": _person(review.closed_by, people) if review.closed_by else "",
        "total": total,
        "undecided": undecided,
        "decided": total - undecided,
        "may_close": review.is_open and may_close(actor, review),
    }


def _person(key: UUID | None, people: dict[UUID, User]) -> Any:
    """A link to a user; the command line for None."""
    if key is None:
        return _("the command line")
    return user_link(key, people[key].email if key in people else None)


def _rows(lines: Iterable[ItemLine], review: AccessReview, actor: User) -> list[dict[str, Any]]:
    return [_row(line, review, actor) for line in lines]


def _row(line: ItemLine, review: AccessReview, actor: User) -> dict[str, Any]:
    """One account as the table shows it. why_not: why it cannot be ticked."""
    item, access = line.item, line.access
    item.review = review
    return {
        "line": line,
        "person": person_cell(line),
        "name": line.user.get_full_name() if line.user else str(item.user_id),
        "role": role_text(access),
        "keys": keys_text(access),
        "last_login": line.user.last_login if line.user else None,
        "badge": decision_badge(item),
        "effect": effect_text(item),
        "decider": decider_link(line),
        "can_tick": review.is_open and item.is_undecided and line.user is not None,
    }


def item_page(modeladmin: Any) -> View:
    """One account: what it may do, and the decision."""

    @may_repeat("keys")
    @ASKING
    def view(request: HttpRequest, key: UUID, item_key: UUID) -> HttpResponse:
        review, actor = _find(modeladmin, request, key), acting_admin(request)
        item = review.items.filter(pk=item_key).first()
        if item is None:
            raise Http404
        item.review = review
        (line,) = item_lines([item])
        keys = key_lines(line.access.keys)
        data = request.POST if request.method == "POST" else None
        form = DecideForm(data, actor=actor, access=line.access, keys=keys)
        if form.is_valid():
            try:
                decided = _decide(request, actor, item, form)
            except GatehouseError as error:
                form = _again(form, error, actor, item)
                (line,) = item_lines([item])
            else:
                messages.success(request, _told(decided, line))
                return _next_page(decided)
        context = _facts(review, actor) | _trail(review) | _row(line, review, actor)
        context |= {
            "title": _("Review %(name)s") % {"name": context["name"]},
            "item": item,
            "form": form,
            "key_lines": key_lines(line.access.keys),
            "refusal": _refusal(actor, line),
            "first_role": role_text(item.first_access),
            "first_keys": keys_text(item.first_access),
        }
        return _render(modeladmin, request, "item.html", context)

    return view


def _decide(request: HttpRequest, actor: User, item: ReviewItem, form: DecideForm) -> ReviewItem:
    """Do what the button says. Raises GatehouseError."""
    given = form.cleaned_data
    match request.POST.get("decision"):
        case "confirm":
            return confirm(actor=actor, item=item, seen=given["seen"], note=given["note"])
        case "take-away":
            return take_away(
                actor=actor,
                item=item,
                seen=given["seen"],
                removal=form.removal,
                note=given["note"],
            )
        case "later":
            return postpone(actor=actor, item=item, note=given["note"])
    raise Http404


def _again(form: DecideForm, error: GatehouseError, actor: User, item: ReviewItem) -> DecideForm:
    """The form with what the service has refused, about the access as it is now."""
    (line,) = item_lines([ReviewItem.objects.get(pk=item.pk)])
    data = form.data.copy()  # type: ignore[attr-defined]  # a QueryDict
    data["seen"] = line.access.fingerprint
    again = DecideForm(data, actor=actor, access=line.access, keys=key_lines(line.access.keys))
    again.is_valid()
    again.add_service_errors(error)
    return again


def _told(item: ReviewItem, line: ItemLine) -> str:
    name = line.user.get_full_name() if line.user else ""
    texts = {
        ReviewItem.Decision.CONFIRMED: _("The access of %(name)s is confirmed."),
        ReviewItem.Decision.TAKEN_AWAY: _("Done for %(name)s: %(effect)s."),
        ReviewItem.Decision.LATER: _("%(name)s stays on the list."),
    }
    return texts[ReviewItem.Decision(item.decision)] % {"name": name, "effect": effect_text(item)}


def _next_page(item: ReviewItem) -> HttpResponse:
    """The next account to decide, or else the review."""
    rows = item.review.undecided().filter(pk__gt=item.pk).order_by("pk")
    following = rows.first() if AccessReview.objects.open().filter(pk=item.review_id) else None
    if following is None:
        return redirect(REVIEW, item.review_id)
    return redirect(ITEM, item.review_id, following.pk)


def _refusal(actor: User, line: ItemLine) -> str:
    """Why the administrator cannot decide; "" if they can."""
    item = line.item
    if not item.review.is_open:
        return _("This review is closed.")
    if not item.is_undecided or line.user is None:
        return _("This has been decided already.")
    try:
        require_may_decide(actor, item, line.user)
    except GatehouseError as error:
        return error.sentences
    return ""


def preview_page(modeladmin: Any) -> View:
    """What confirming the ticked rows would do: who is confirmed, and who is left out and why."""

    @may_repeat("item")
    @require_POST
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        review, actor = _find(modeladmin, request, key), acting_admin(request)
        keys = ticked_ids(request.POST.getlist("item"))[:PER_PAGE]
        items = review.items.filter(pk__in=keys).order_by("pk")
        found = plan_confirmation(actor=actor, review=review, items=items)
        ready = [candidate for candidate in found if not candidate.reason]
        if not ready:
            reasons = " ".join(sorted({candidate.reason for candidate in found}))
            text = (
                _("Nothing was changed. %(reasons)s") if found else _("Tick at least one person.")
            )
            messages.warning(request, text % {"reasons": reasons})
            return redirect(REVIEW, review.pk)
        context = _facts(review, actor) | _trail(review)
        context |= {
            "title": _("Confirm access"),
            "ready": [
                {
                    "value": f"{one.item.pk}:{one.access.fingerprint}",
                    "user": one.user,
                    "role": role_text(one.access),
                    "keys": keys_text(one.access) if one.access.keys else "",
                }
                for one in ready
                if one.access is not None
            ],
            "left_out": [candidate for candidate in found if candidate.reason],
            "form": ConfirmManyForm(),
        }
        return _render(modeladmin, request, "confirm.html", context)

    return view


def confirm_page(modeladmin: Any) -> View:
    """Confirm what the preview has listed; each account is checked again."""

    @may_repeat("seen_item")
    @require_POST
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        review, actor = _find(modeladmin, request, key), acting_admin(request)
        seen = dict(value.partition(":")[::2] for value in request.POST.getlist("seen_item"))
        keys = ticked_ids(seen)[:PER_PAGE]
        items = review.items.filter(pk__in=keys).order_by("pk")
        form = ConfirmManyForm(request.POST)
        note = form.cleaned_data["note"] if form.is_valid() else ""
        pairs = [(item, seen.get(str(item.pk), "")) for item in items]
        done, reasons = confirm_many(actor=actor, seen=pairs, note=note)
        if done:
            text = ngettext(
                "The access of %(count)d person is confirmed.",
                "The access of %(count)d people is confirmed.",
                done,
            )
            messages.success(request, text % {"count": done})
        for reason in sorted(set(reasons)):
            text = _("Skipped %(number)d: %(reason)s")
            messages.warning(request, text % {"number": reasons.count(reason), "reason": reason})
        return redirect(REVIEW, review.pk)

    return view


def close_page(modeladmin: Any) -> View:
    """Close a review by hand, with a reason."""

    @ASKING
    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        review, actor = _find(modeladmin, request, key), acting_admin(request)
        form = CloseForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                close_review(actor=actor, review=review, reason=form.cleaned_data["reason"])
            except GatehouseError as error:
                form.add_service_errors(error)
            else:
                messages.success(request, _("The review “%(name)s” is closed.") % _name(review))
                return redirect(REVIEW, review.pk)
        context = _facts(review, actor) | _trail(review)
        context |= {"title": _("Close the review"), "form": form}
        return _render(modeladmin, request, "close.html", context)

    return view


def export(modeladmin: Any) -> View:
    """The review as a file: CSV, or JSON."""

    @require_POST
    def view(request: HttpRequest, key: UUID) -> HttpResponseBase:
        review, actor = _find(modeladmin, request, key), acting_admin(request)
        is_json = request.POST.get("kind") == "json"
        response: HttpResponseBase
        if is_json:
            records = list(export_records(actor=actor, review=review))
            response = JsonResponse({"name": review.name, "items": records})
        else:
            lines = export_csv(actor=actor, review=review)
            response = StreamingHttpResponse(
                _with_mark(lines), content_type="text/csv; charset=utf-8"
            )
        name = f"access-review-{review.pk}.{'json' if is_json else 'csv'}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["Cache-Control"] = "no-store"
        return response

    return view


def _with_mark(lines: Iterable[str]) -> Iterable[str]:
    yield BYTE_ORDER_MARK
    yield from lines


def _find(modeladmin: Any, request: HttpRequest, key: UUID) -> AccessReview:
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    found = AccessReview.objects.filter(pk=key).first()
    if found is None:
        raise Http404
    return found


def _name(review: AccessReview) -> dict[str, str]:
    return {"name": review.name}


def _render(
    modeladmin: Any, request: HttpRequest, template: str, context: dict[str, Any]
) -> HttpResponse:
    common = modeladmin.admin_site.each_context(request) | {"opts": modeladmin.opts}
    return render(request, f"{TEMPLATES}/{template}", common | context)

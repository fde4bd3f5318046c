"""The section "Access reviews" of the page of one user."""

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access_reviews.admin.labels import decider_link, decision_badge, effect_text
from access_reviews.models import UNDECIDED, ReviewItem
from access_reviews.services.exports import ItemLine, item_lines
from accounts.admin.columns import NOTHING, exact_moment, moment
from accounts.admin.users.sections import Content, Row, add_section, found_in, newest
from accounts.models import User


def reviews(_request: HttpRequest, user: User) -> Content:
    """The newest reviews that list this account, and what was decided."""
    rows = ReviewItem.objects.filter(user_id=user.pk).select_related("review").order_by("-pk")
    lines = item_lines(newest(rows))
    last = next((line for line in lines if line.item.decided_by and _is_decided(line)), None)
    note = ""
    if last is not None:
        text = _("Last reviewed on {} by {}.")
        note = format_html(text, exact_moment(last.item.decided_at), decider_link(last))
    return Content(
        (_("Review"), _("Decision"), _("By"), _("When"), _("Note")),
        [_row(line) for line in lines],
        more=found_in("access_reviews_accessreview", user.email),
        note=note,
        empty=_("In no review yet."),
    )


def _is_decided(line: ItemLine) -> bool:
    return line.item.decision not in UNDECIDED


def _row(line: ItemLine) -> Row:
    item = line.item
    name = "admin:access_reviews_accessreview_item"
    page = reverse(name, args=[item.review_id, item.pk])
    link = format_html('<a href="{}">{}</a>', page, item.review.name)
    decision = format_html("{} {}", decision_badge(item), effect_text(item))
    when = moment(item.decided_at)
    return Row((link, decision, decider_link(line), when, item.note or NOTHING))


add_section("reviews", gettext_lazy("Access reviews"), reviews)

"""How pages show the access of an account, and what was decided about it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from access_reviews.access import Access, KeyAccess
from access_reviews.models import AccessReview, ReviewItem
from access_reviews.services.exports import ItemLine
from accounts.admin.columns import NOTHING, badge, exact_moment, until, user_link, with_detail
from accounts.models import ROLE_LABELS
from accounts.roles import Role
from api.models import ApiKey

Decision = ReviewItem.Decision
TONES: dict[str, str] = {
    Decision.OPEN: "warn",
    Decision.LATER: "warn",
    Decision.CONFIRMED: "good",
    Decision.TAKEN_AWAY: "bad",
    Decision.DISABLED: "bad",
    Decision.KEPT: "warn",
    Decision.DELETED: "plain",
}


def role_label(role: str) -> Any:
    """The name of a role; the code of one that does not exist."""
    return dict(ROLE_LABELS).get(role, role)


def role_text(access: Access) -> str | SafeString:
    """The role; with an end also until when, and which role follows."""
    role = role_label(access.role)
    if not access.role_until:
        return str(role)
    following = role_label(access.role_after)
    end = format_html(_("{}, then {}"), until(datetime.fromisoformat(access.role_until)), following)
    return format_html("{} {}", role, end)


class KeyLine(NamedTuple):
    """A key as a page shows it. name: "" for one that is not stored any more."""

    id: str
    name: str
    scopes: str
    end: str | SafeString


def key_lines(keys: Iterable[KeyAccess]) -> list[KeyLine]:
    """The keys with their present names, by one query."""
    keys = list(keys)
    found = ApiKey.objects.in_bulk([key.id for key in keys]) if keys else {}
    return [
        KeyLine(
            key.id,
            found[key.id].name if key.id in found else "",
            ", ".join(key.scopes),
            exact_moment(datetime.fromisoformat(key.expires_at)) if key.expires_at else _("never"),
        )
        for key in keys
    ]


def keys_text(access: Access) -> str:
    """`2 keys: read, users`; a dash without keys."""
    if not access.keys:
        return NOTHING
    scopes = sorted({scope for key in access.keys for scope in key.scopes})
    count = len(access.keys)
    text = ngettext("%(count)d key: %(scopes)s", "%(count)d keys: %(scopes)s", count)
    return text % {"count": count, "scopes": ", ".join(scopes)}


def scope_text(review: AccessReview) -> str:
    """Who is reviewed."""
    if review.scope == AccessReview.Scope.ROLE:
        return _("%(role)s and above") % {"role": role_label(review.min_role)}
    if review.scope == AccessReview.Scope.GROUP:
        return _("Members of the group %(group)s") % {"group": review.group_name}
    return str(review.get_scope_display())


def review_badge(review: AccessReview, now: datetime) -> SafeString:
    """Open, overdue or closed."""
    if not review.is_open:
        return badge("plain", _("Closed"))
    if review.is_overdue(now):
        return badge("bad", _("Overdue"))
    return badge("good", _("Open"))


def decision_badge(item: ReviewItem) -> SafeString:
    """What was decided."""
    return badge(TONES.get(item.decision, "plain"), item.get_decision_display())


def effect_text(item: ReviewItem) -> str:
    """What was taken away, in words; "" if nothing was."""
    effect = item.effect
    parts = []
    if effect.get("disabled"):
        parts.append(_("account disabled"))
    if effect.get("role_after"):
        text = _("role %(before)s → %(after)s")
        roles = {
            "before": role_label(effect["role_before"]),
            "after": role_label(effect["role_after"]),
        }
        parts.append(text % roles)
    if effect.get("keys"):
        count = len(effect["keys"])
        parts.append(ngettext("%(count)d key revoked", "%(count)d keys revoked", count)
                     % {"count": count})  # fmt: skip
    return ", ".join(parts)


def person_cell(line: ItemLine) -> str | SafeString:
    """The name and address of the account, linked; the end of its id if it is deleted."""
    user = line.user
    if user is None:
        return user_link(line.item.user_id, None)
    link = user_link(user.pk, user.email)
    named = format_html("{} {}", user.name, link) if user.name else link
    if not user.is_service:
        return named
    person = line.responsible
    text = _("Service account; nobody answers for it.")
    if person is not None:
        text = _("Service account of %(name)s") % {"name": person.get_full_name()}
    return with_detail(named, text)


def decider_link(line: ItemLine) -> str | SafeString:
    """Who decided; the due date, if it was no one."""
    if line.item.decided_by is None:
        return _("the due date") if line.item.decision in BY_DATE else NOTHING
    return user_link(line.item.decided_by, line.decider.email if line.decider else None)


BY_DATE = (Decision.DISABLED, Decision.KEPT)


def lower_roles(actor_role: str, role: str) -> list[tuple[str, Any]]:
    """The roles below `role` that the actor may give, highest first, with labels."""
    return [
        (lower, label)
        for lower, label in ROLE_LABELS
        if Role(lower).rank < Role(role).rank and Role(lower).rank < Role(actor_role).rank
    ]

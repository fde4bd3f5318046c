"""Decides about the items of a review. What is taken away goes through the services of accounts.

Each decision is one transaction with its effect: the rank is checked, the account and the roles
are locked, the last owner stays, and the audit log has the rows of both.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access_reviews.access import Access
from access_reviews.models import NOTE_MAX_LENGTH, AccessReview, ReviewItem
from access_reviews.scopes import access_of
from access_reviews.services.reviews import finish_if_decided, may_decide
from accounts import access_policy
from accounts.actors import Actor
from accounts.models import User
from accounts.roles import Role, can_give
from accounts.services.approvals.acts import Act, Arguments, Line, role_label
from accounts.services.approvals.rule import needs_second_owner
from accounts.services.ranks import require_rank
from accounts.services.users import change_role, disable_user, lock_account
from api.apikeys.services import revoke_key
from api.models import ApiKey
from audit import audit_log
from core.errors import Forbidden, GatehouseError, NotFound, RecordInvalid

Decision = ReviewItem.Decision


class AccessChanged(RecordInvalid):
    """The access is not what the reviewer saw: it must be shown and decided again."""

    def __init__(self) -> None:
        text = _("The access has changed since it was shown. Look at it again, then decide.")
        super().__init__({"seen": [text]})


@dataclass(frozen=True, slots=True)
class Removal:
    """What is taken away. role: a lower one, "" to keep it. keys: ids of API keys to revoke."""

    role: str = ""
    disable: bool = False
    keys: Sequence[str] = ()


def _removal_lines(target: User | None, given: Arguments) -> list[Line]:
    removal, found = given["removal"], []
    if removal.role:
        now = "" if target is None else role_label(target.role)
        found.append(Line(_("Role"), now, role_label(removal.role)))
    if removal.disable:
        found.append(Line(_("Account"), "", _("disabled")))
    if removal.keys:
        found.append(Line(_("API keys that are revoked"), "", ", ".join(removal.keys)))
    return found


TAKE_AWAY = Act(
    "review-take-away",
    gettext_lazy("Take access away from %(name)s, in an access review"),
    gettext_lazy("%(name)s loses what is listed at once, and the review has its decision."),
    lines=_removal_lines,
)


def confirm(*, actor: Actor, item: ReviewItem, seen: str, note: str = "") -> ReviewItem:
    """Confirm the access of an item. seen: the fingerprint of the access that the reviewer saw.

    Raises AccessChanged; Forbidden for an account that `actor` may not manage, and for oneself
    where another owner can decide; RecordInvalid for an item that is decided.
    """
    return _decide(actor, item, seen, note, lambda _user, _access: (Decision.CONFIRMED, {}))


@needs_second_owner(TAKE_AWAY, types=(Removal,))
def take_away(
    *, actor: Actor, item: ReviewItem, seen: str, removal: Removal, note: str = ""
) -> ReviewItem:
    """Take access away at once, and confirm the rest; see confirm().

    Raises also LastOwner, and RecordInvalid for a removal that takes nothing away.
    """

    def apply(user: User, access: Access) -> tuple[Decision, dict[str, Any]]:
        _check_removal(actor, user, access, removal)
        return Decision.TAKEN_AWAY, _remove(actor, user, removal)

    return _decide(actor, item, seen, note, apply)


def postpone(*, actor: Actor, item: ReviewItem, note: str = "") -> ReviewItem:
    """Mark an item as looked at and not decided. Raises as confirm() does; writes no audit row."""
    with transaction.atomic():
        user, current = _lock(item)
        require_may_decide(actor, current, user)
        save_decision(current, actor, Decision.LATER, current.first_access, _checked_note(note))
    return current


def _decide(
    actor: Actor,
    item: ReviewItem,
    seen: str,
    note: str,
    apply: Callable[[User, Access], tuple[Decision, dict[str, Any]]],
) -> ReviewItem:
    note = _checked_note(note)
    with transaction.atomic():
        user, current = _lock(item)
        require_may_decide(actor, current, user)
        present = access_of([user])[user.pk]
        if present.fingerprint != seen:
            raise AccessChanged
        decision, effect = apply(user, present)
        save_decision(current, actor, decision, present, note, effect)
        _record(actor, user, current)
        finish_if_decided(current.review, actor=actor)
    return current


def _lock(item: ReviewItem) -> tuple[User, ReviewItem]:
    """The account and the item as they are now, with the account and the roles locked.

    Raises RecordInvalid for a deleted account, a decided item and a closed review.
    """
    user = lock_account(User(pk=item.user_id))
    current = ReviewItem.objects.select_related("review").filter(pk=item.pk).first()
    if current is None:
        raise NotFound
    if not current.review.is_open:
        raise RecordInvalid({"review": [_("This review is closed.")]})
    if not current.is_undecided:
        raise RecordInvalid({"item": [_("This has been decided already.")]})
    return user, current


def require_may_decide(actor: Actor, item: ReviewItem, user: User) -> None:
    """Raise Forbidden unless `actor` may decide about this account in this review."""
    if not may_decide(actor, item.review):
        raise Forbidden(_("Only the reviewers of this review, and owners, decide."))
    require_rank(actor, user)
    if actor.pk == user.pk and _another_owner(user):
        raise Forbidden(_("Another owner decides about your own access."))


def _another_owner(user: User) -> bool:
    others = User.objects.people().filter(role=Role.OWNER, is_active=True).exclude(pk=user.pk)
    return any(other.role == Role.OWNER and access_policy.may_act(other) for other in others)


def _check_removal(actor: Actor, user: User, access: Access, removal: Removal) -> None:
    errors: dict[str, list[str]] = {}
    if not (removal.role or removal.disable or removal.keys):
        errors["removal"] = [_("Choose what is taken away: a lower role, the account, or keys.")]
    if removal.role and removal.disable:
        errors["role"] = [_("Either lower the role or disable the account.")]
    elif removal.role and not _is_lower(actor, user, removal.role):
        errors["role"] = [_("Choose a role below the present one.")]
    if not set(removal.keys) <= {key.id for key in access.keys}:
        errors["keys"] = [_("Choose keys of this account.")]
    if errors:
        raise RecordInvalid(errors)


def _is_lower(actor: Actor, user: User, role: str) -> bool:
    if role not in list(Role):
        return False
    return Role(role).rank < user.rank and can_give(Role(actor.role), Role(role))


def _remove(actor: Actor, user: User, removal: Removal) -> dict[str, Any]:
    """Take away under the locks that are held; returns what the item keeps of it."""
    keys = ApiKey.objects.select_related("user").filter(pk__in=removal.keys, user=user)
    for key in keys.order_by("pk"):
        revoke_key(actor=actor, key=key)
    effect: dict[str, Any] = {"role_before": user.role, "keys": sorted(removal.keys)}
    if removal.role:
        change_role(actor=actor, user=user, role=removal.role, reason=REASON)
        effect["role_after"] = removal.role
    if removal.disable:
        disable_user(actor=actor, user=user, reason=REASON)
        effect["disabled"] = True
    return effect


# Of the audit rows of what is taken away.
REASON = "access review"


def save_decision(
    item: ReviewItem,
    actor: Actor | None,
    decision: str,
    access: Access,
    note: str = "",
    effect: dict[str, Any] | None = None,
) -> None:
    """Write a decision about `access` into a locked item."""
    item.decision, item.decided_at = decision, timezone.now()
    item.decided_by = None if actor is None else actor.pk
    item.note, item.effect, item.access_decided = note, effect or {}, access.as_json()
    item.save(
        update_fields=["decision", "decided_at", "decided_by", "note", "effect", "access_decided"]
    )


def _record(actor: Actor, user: User, item: ReviewItem) -> None:
    taken = item.decision == Decision.TAKEN_AWAY
    audit_log.record(
        "review:item:take-away" if taken else "review:item:confirm",
        actor=actor,
        target=user,
        review=str(item.review_id),
        name=item.review.name,
        role=item.decided_access.role,
        keys=len(item.decided_access.keys),
    )


def _checked_note(note: str) -> str:
    note = " ".join(note.split())
    if len(note) > NOTE_MAX_LENGTH:
        text = _("A note has at most %(number)d characters.") % {"number": NOTE_MAX_LENGTH}
        raise RecordInvalid({"note": [text]})
    return note


class Candidate(NamedTuple):
    """An item that was ticked. user, access: None for a deleted account.

    reason: why it is left out.
    """

    item: ReviewItem
    user: User | None
    access: Access | None
    reason: str = ""


def plan_confirmation(
    *, actor: Actor, review: AccessReview, items: Iterable[ReviewItem]
) -> list[Candidate]:
    """Which of these items confirm_many() would confirm now, and why not the others."""
    items = list(items)
    users = User.objects.in_bulk([item.user_id for item in items])
    present = access_of(users.values())
    found = []
    for item in items:
        item.review = review
        user = users.get(item.user_id)
        if user is None or not item.is_undecided:
            found.append(Candidate(item, user, None, _("This has been decided already.")))
        else:
            found.append(_candidate(actor, item, user, present[user.pk]))
    return found


def _candidate(actor: Actor, item: ReviewItem, user: User, access: Access) -> Candidate:
    try:
        require_may_decide(actor, item, user)
    except Forbidden as error:
        return Candidate(item, user, access, error.sentences)
    if access != item.first_access:
        reason = _("The access has changed. Decide about it on its own page.")
        return Candidate(item, user, access, reason)
    return Candidate(item, user, access)


def confirm_many(
    *, actor: Actor, seen: Iterable[tuple[ReviewItem, str]], note: str = ""
) -> tuple[int, list[str]]:
    """Confirm items, each in its own transaction; returns how many, and why not the others.

    seen: items with the fingerprint of the access that the reviewer saw.
    """
    done, reasons = 0, []
    for item, fingerprint in seen:
        try:
            confirm(actor=actor, item=item, seen=fingerprint, note=note)
            done += 1
        except GatehouseError as error:
            reasons.append(error.sentences)
    return done, reasons

"""What both tables share: a search by user, network or id, and the stored types."""

from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext_lazy

from accounts.admin.base import SEARCH_MAX_LENGTH, as_uuid
from accounts.models import User
from moderation.models import Violation
from moderation.networks import network_name

MAX_USERS_FOUND = 50
MAX_TYPES = 30
SEARCH_HELP = gettext_lazy(
    "A network address, part of a person's address or name, or the id of a person or a row"
)


def search_condition(search_term: str) -> Q:
    """Search networks and ids by index; users by a part of their name."""
    text = search_term.strip()[:SEARCH_MAX_LENGTH]
    if not text:
        return Q()
    if "\x00" in text:
        return Q(pk__in=[])
    if (key := as_uuid(text)) is not None:
        return Q(pk=key) | Q(user_id=key)
    if network := network_name(text):
        return Q(network=network)
    return Q(user_id__in=found_user_ids(text))


def found_user_ids(text: str) -> list[UUID]:
    """The ids of users whose address or name has this part, MAX_USERS_FOUND at most."""
    return list(User.objects.search(text).values_list("pk", flat=True)[:MAX_USERS_FOUND])


def stored_types() -> list[str]:
    """The distinct types of violations, sorted, at most MAX_TYPES.

    One step along the index per type: SELECT DISTINCT would read all rows.
    """
    found: list[str] = []
    types = Violation.objects.order_by("type").values_list("type", flat=True)
    following = types.first()
    while following is not None and len(found) < MAX_TYPES:
        found.append(following)
        following = types.filter(type__gt=following).first()
    return found

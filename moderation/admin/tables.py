"""What both tables share: a search by person, network or id, and the types there are."""

from django.db.models import Q
from django.utils.translation import gettext_lazy

from accounts.admin.base import SEARCH_MAX_LENGTH, as_uuid
from accounts.models import User
from moderation.models import Violation
from moderation.networks import network_name

PEOPLE_FOUND = 50
TYPES_MAXIMUM = 30
SEARCH_HELP = gettext_lazy(
    "A network address, part of a person's address or name, or the id of a person or a row"
)


def search_condition(search_term: str) -> Q:
    """Networks and ids by index; a part of an address or name finds at most PEOPLE_FOUND people."""
    text = search_term.strip()[:SEARCH_MAX_LENGTH]
    if not text:
        return Q()
    if "\x00" in text:
        return Q(pk__in=[])
    if (key := as_uuid(text)) is not None:
        return Q(pk=key) | Q(user_id=key)
    if network := network_name(text):
        return Q(network=network)
    return Q(
        user_id__in=list(User.objects.search(text).values_list("pk", flat=True)[:PEOPLE_FOUND])
    )


def stored_types() -> list[str]:
    """The types that violations have, in order, at most TYPES_MAXIMUM.

    One step along the index for each type, because to read all rows takes long in a big table.
    """
    found: list[str] = []
    types = Violation.objects.order_by("type").values_list("type", flat=True)
    following = types.first()
    while following is not None and len(found) < TYPES_MAXIMUM:
        found.append(following)
        following = types.filter(type__gt=following).first()
    return found

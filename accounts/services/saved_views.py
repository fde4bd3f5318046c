"""Saving a view of a list of the admin, and removing it. Each administrator has their own."""

from uuid import UUID

from django.http import QueryDict
from django.utils.translation import gettext as _

from accounts.models import SavedView, User
from core.errors import RecordInvalid
from core.text.plain_text import clean_name

MAX_VIEWS = 30
NAME_MAX_LENGTH, QUERY_MAX_LENGTH = 60, 1000


def views_of(user: User, table: str) -> list[SavedView]:
    """The views of one list, sorted by name."""
    return list(SavedView.objects.filter(user=user, table=table).order_by("name"))


def save_view(*, user: User, table: str, name: str, query: str) -> SavedView:
    """Save the view; one of the same name is replaced. Raises RecordInvalid."""
    name = clean_name(name)
    query = QueryDict(query).urlencode()
    errors: dict[str, list[str]] = {}
    if not 1 <= len(name) <= NAME_MAX_LENGTH:
        errors["name"] = [
            _("Enter a name of at most %(count)d characters.") % {"count": NAME_MAX_LENGTH}
        ]
    if not 1 <= len(query) <= QUERY_MAX_LENGTH:
        errors["query"] = [_("Choose a filter first; a view with too many cannot be saved.")]
    others = SavedView.objects.filter(user=user, table=table).exclude(name=name)
    if others.count() >= MAX_VIEWS:
        errors["name"] = [_("Remove a view first: there may be %(count)d.") % {"count": MAX_VIEWS}]
    if errors:
        raise RecordInvalid(errors)
    view, _is_new = SavedView.objects.update_or_create(
        user=user, table=table, name=name, defaults={"query": query}
    )
    return view


def remove_view(*, user: User, key: UUID) -> SavedView | None:
    """Remove one of the user's own views; None if they have none of this id."""
    view: SavedView | None = SavedView.objects.filter(user=user, pk=key).first()
    if view is not None:
        SavedView.objects.filter(pk=view.pk).delete()
    return view

"""Which scopes an app may ask for now, and what is left of those that it was given.

A scope of the owners' own that was deleted, or taken from the app, is in no answer any more, and
neither is one that was made anew under the name of a deleted one.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from applications.models import App, CustomScope
from applications.services.custom_scopes import scopes_of
from oidc_provider import scopes
from oidc_provider.models import Grant


def custom_names(app: App) -> tuple[str, ...]:
    """The scopes of your own that the app may ask for."""
    return tuple(scope.name for scope in scopes_of(app))


def known_to(app: App, requested: Iterable[str]) -> tuple[str, ...]:
    """The scopes that exist for this app; others are ignored (Core, section 3.1.2.1)."""
    wanted = list(requested)
    return scopes.known(wanted, custom_names(app) if _are_custom(wanted) else ())


def still_given(app: App, names: Iterable[str], since: datetime) -> tuple[str, ...]:
    """Those of `names`, which were given at `since`, that the app has now."""
    given = list(names)
    if not _are_custom(given):
        return tuple(given)
    custom = {scope.name for scope in scopes_of(app, since)}
    return tuple(name for name in given if name in scopes.NAMES or name in custom)


def scope_of(grant: Grant) -> tuple[str, ...]:
    """What a grant gives now."""
    return still_given(grant.app, grant.scope.split(), grant.created_at)


def custom_scopes(names: Iterable[str]) -> list[CustomScope]:
    """The rows of those of `names` that are no standard ones, each with its API; no query for none.

    names: of still_given().
    """
    wanted = [name for name in names if name not in scopes.NAMES]
    found = CustomScope.objects.select_related("audience").filter(name__in=wanted)
    return list(found) if wanted else []


def labels(app: App, names: Iterable[str]) -> list[Any]:
    """What each scope lets the app do, in the words of the page of consent."""
    wanted = list(names)
    custom = scopes_of(app) if _are_custom(wanted) else []
    return [*scopes.labels(wanted), *(each.description for each in custom if each.name in wanted)]


def _are_custom(names: Iterable[str]) -> bool:
    return not set(names) <= {*scopes.NAMES}

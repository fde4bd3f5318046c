"""Claims about a user. One function for ID tokens, userinfo and the preview in the admin panel."""

from collections.abc import Iterable
from typing import Any

from accounts.models import User
from accounts.services.groups.reading import groups_of
from applications.models import App
from oidc_provider.scopes import CLAIMS, SCOPES
from oidc_provider.subjects import subject_of


def claims_of(
    app: App, user: User, scope: Iterable[str], single: Iterable[str] = ()
) -> dict[str, Any]:
    """What `app` is told: the claims of these scopes, and single ones; none without a value."""
    scopes = set(scope)
    wanted = {*single, *(name for each in SCOPES if each.name in scopes for name in each.claims)}
    values: dict[str, Any] = {
        "sub": subject_of(app, user.pk),
        "name": user.get_full_name(),
        "preferred_username": user.username or user.email,
        "locale": user.language,
        "zoneinfo": user.time_zone,
        "email": user.email,
        "email_verified": user.is_verified,
    }
    if "groups" in wanted:
        values["groups"] = [user.role, *groups_of(user)]
    return {name: values[name] for name in CLAIMS if name in wanted and values[name] != ""}

"""How apps add buttons to the rows of a section of the user page, for tables without a list.

This is one of the seams by which other apps extend accounts; see docs/architecture.md. The button
is a small POST form at `<user>/<name>/<row>/`, with the checks of the admin site.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from django.urls import reverse

from accounts.admin.users.sections import Button
from accounts.models import User


class RowAction(NamedTuple):
    """What a button does to one row of a user.

    run: called with the keywords `actor`, `user` and `key` (of the row); a service, which decides
    whether the actor may. label: of the button. done: the message afterwards. is_sensitive:
    requires recent authentication; see accounts.admin.sensitive_actions for the exceptions.
    """

    run: Callable[..., object]
    label: Any
    done: Any
    is_sensitive: bool = True


_row_actions: dict[str, RowAction] = {}


def add_row_action(name: str, action: RowAction) -> None:
    """Serve `action` below the page of each user; a second one of the same name replaces it."""
    _row_actions[name] = action


def row_actions() -> dict[str, RowAction]:
    """The registered actions by name."""
    return dict(_row_actions)


def row_button(name: str, user: User, key: UUID, question: str) -> Button:
    """The button of a row. question: names the object and the consequence."""
    url = reverse(f"admin:accounts_user_{name}", args=[user.pk, key])
    return Button(url, "", "", _row_actions[name].label, question)

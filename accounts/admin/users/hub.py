"""What the page of one user shows besides the form: state, buttons, sections of all apps."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.actions import CONFIRMED, PageAction, page_actions
from accounts.admin.base import USER_PAGE, acting_admin
from accounts.admin.columns import badge
from accounts.admin.service_accounts.actions import SERVICE_ACTIONS
from accounts.admin.users.actions import USER_ACTIONS
from accounts.admin.users.filters import STATE_LABELS, State, badges_of, state_of
from accounts.admin.users.sections import Content, Section, notices_of, sections
from accounts.models import User

GROUPS: dict[str, Any] = {
    "sign-in": gettext_lazy("Sign-in"),
    "access": gettext_lazy("Access"),
    "sessions": gettext_lazy("Devices"),
}
# What a service account has; the other sections are about signing in.
SERVICE_SECTIONS = frozenset({"reach", "denials", "keys", "moderation", "history"})
_STATE_TONES = {State.ACTIVE: "good", State.DISABLED: "bad"}


class ActionButton(NamedTuple):
    """A button: a form that is posted to `url` with the hidden `fields`.

    question: shown before the button that confirms; "" if the next page asks.
    """

    label: Any
    url: str
    question: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    is_danger: bool = False
    is_link: bool = False


class ButtonGroup(NamedTuple):
    """Buttons under one heading."""

    title: Any
    buttons: list[ActionButton]


class ShownSection(NamedTuple):
    """A section with its content."""

    section: Section
    content: Content


def page_context(request: HttpRequest, user: User) -> dict[str, Any]:
    """Template context of the page of `user`."""
    actor = acting_admin(request)
    may_manage = actor.can_manage(user)
    shown = SERVICE_SECTIONS if user.is_service else None
    return {
        "title": user.email if user.is_service else user.name or user.email,
        "subtitle": None,
        "badges": _badges(user),
        "notices": notices_of(request, user),
        "may_manage": may_manage,
        "groups": _groups(actor, user) if may_manage else [],
        "sections": [
            ShownSection(each, each.build(request, user))
            for each in sections()
            if shown is None or each.name in shown
        ],
        "changelist_field": USER_PAGE,
        # The page has a button for it, beside the others.
        "show_delete": False,
    }


def _badges(user: User) -> list[SafeString]:
    state = state_of(user)
    found = [
        badge("plain", user.get_role_display()),
        badge(_STATE_TONES.get(state, "warn"), STATE_LABELS[state]),
        *(badge("bad", label) for label in badges_of(user).values()),
    ]
    if user.is_service:
        return [badge("plain", _("Service account")), *found]
    return found if user.is_verified else [*found, badge("warn", _("Address not verified"))]


def _groups(actor: User, user: User) -> list[ButtonGroup]:
    if user.is_service:
        return [ButtonGroup(GROUPS["access"], list(_service_buttons(user)))]
    found: dict[str, list[ActionButton]] = {name: [] for name in GROUPS}
    for name, action in page_actions().items():
        if action.is_useful(user):
            found[action.group].append(_list_button(name, action, user))
    for name, simple in USER_ACTIONS.items():
        if simple.is_useful(user):
            button = ActionButton(simple.label, _url(name, user), _ask(simple.question, user))
            found[simple.group].append(button)
    if actor.pk != user.pk:
        found["sign-in"] += _recovery_buttons(user)
    found["access"].append(ActionButton(_("Offboard…"), _url("offboard", user)))
    delete = ActionButton(_("Delete…"), _url("delete", user), is_danger=True, is_link=True)
    found["access"].append(delete)
    return [ButtonGroup(GROUPS[name], buttons) for name, buttons in found.items() if buttons]


def _service_buttons(user: User) -> Iterator[ActionButton]:
    """Its own buttons: the others are about people."""
    for name, action in SERVICE_ACTIONS.items():
        if action.is_useful(user):
            url = reverse(f"admin:accounts_serviceaccount_{name}", args=[user.pk])
            yield ActionButton(action.label, url, str(action.question) % {"name": user.email})
    url = reverse("admin:accounts_serviceaccount_delete", args=[user.pk])
    yield ActionButton(_("Delete…"), url, is_danger=True, is_link=True)


def _list_button(name: str, action: PageAction, user: User) -> ActionButton:
    """A button that runs an action of the user list on this user."""
    fields = [("action", name), ("_selected_action", str(user.pk)), (USER_PAGE, str(user.pk))]
    if action.question:
        fields.append((CONFIRMED, "yes"))
    return ActionButton(
        action.label,
        reverse("admin:accounts_user_changelist"),
        _ask(action.question, user),
        tuple(fields),
        action.is_danger,
    )


def _recovery_buttons(user: User) -> Iterator[ActionButton]:
    """For people who have lost their password or their second factor."""
    question = _(
        "Remove the password of %(name)s? The old password stops working, every device is signed "
        "out, and you get a link to hand over with which they choose a new one."
    )
    label = _("Start password reset")
    yield ActionButton(label, _url("reset", user), _ask(question, user))
    if user.authenticators.exists():
        yield ActionButton(_("Reset second factors…"), _url("reset-factors", user))


def _ask(question: Any, user: User) -> str:
    return str(question) % {"name": user.name or user.email} if question else ""


def _url(name: str, user: User) -> str:
    return reverse(f"admin:accounts_user_{name}", args=[user.pk])

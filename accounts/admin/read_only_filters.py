"""The filters of the read-only tables."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin.users.filters import ChoiceFilter, Choices, ColumnFilter, Option, SinceFilter
from audit.models import is_result
from audit.wordings import WORDINGS
from mail.models import OutboxMail

# Value in the URL -> label, and prefixes of action names.
ACTION_FAMILIES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "sessions": (_("Signing in and out"), ("account:session:",)),
    "links": (_("Sign-in links"), ("link:",)),
    "passwords": (_("Passwords"), ("account:password:",)),
    "roles": (_("Roles"), ("account:role:",)),
    "people": (
        _("People"),
        ("account:user:", "account:invitation:", "account:set-up:", "account:data:"),
    ),
    "addresses": (_("Email addresses"), ("account:email:",)),
    "factors": (
        _("Second factors"),
        ("account:factor:", "account:passkey:", "account:recovery-codes:", "account:confirm:"),
    ),
    "keys": (_("API keys"), ("api:key:",)),
    "rules": (_("Access rules"), ("sso:rule:",)),
    "apps": (_("Apps"), ("sso:app:", "openid:")),
    "reviews": (_("Access reviews"), ("review:",)),
    "mail": (_("Mail"), ("mail:",)),
    "webhooks": (_("Webhooks"), ("webhook:",)),
}
RESULTS: Choices = [
    ("success", _("Done")),
    ("refused", _("Refused")),
    ("failure", _("Failed")),
]
# The names of the files in templates/mail.
MAIL_KINDS: Choices = [
    ("magic-link", _("Sign-in link")),
    ("invitation", _("Invitation")),
    ("reset-password", _("Password reset")),
    ("verify-email", _("Address verification")),
    ("change-email", _("Address change")),
    ("email-changed", _("Address changed")),
    ("identity-connected", _("Provider connected")),
    ("identity-disconnected", _("Provider disconnected")),
    ("passkey-added", _("Passkey added")),
    ("passkey-removed", _("Passkey removed")),
    ("password-changed", _("Password changed")),
    ("factor-added", _("Second factor added")),
    ("factor-removed", _("Second factor removed")),
    ("factors-reset", _("Second factors reset")),
    ("recovery-codes-made", _("Recovery codes made")),
    ("recovery-code-used", _("Recovery code used")),
    ("key-created", _("API key made")),
    ("access-ends", _("Access ends")),
    ("access-of-people-ends", _("Access of people ends")),
    ("access-review", _("Access review")),
    ("approval-asked", _("Request for a second owner")),
    ("account-exists", _("Account exists already")),
    ("account-removed", _("Account removed")),
    ("admin-notice", _("Notice to an administrator")),
]


class ActionFilter(ChoiceFilter):
    title = _("kind of action")
    parameter_name = "about"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        for name, (label, prefixes) in ACTION_FAMILIES.items():
            yield (
                name,
                label,
                Q(action__in=[each for each in WORDINGS if each.startswith(prefixes)]),
            )

    def branches(self) -> list[Q]:
        _label, prefixes = ACTION_FAMILIES.get(self.value() or "", ("", ()))
        return (
            [Q(action=each) for each in WORDINGS if each.startswith(prefixes)] if prefixes else []
        )


class ResultFilter(ColumnFilter):
    title = _("result")
    parameter_name = "result"
    values = RESULTS

    def options(self, request: HttpRequest) -> Iterable[Option]:
        return [(value, label, is_result(value)) for value, label in RESULTS]


class StatusFilter(ColumnFilter):
    title = _("status")
    parameter_name = "status"
    values = OutboxMail.Status.choices


class KindFilter(ColumnFilter):
    title = _("kind")
    parameter_name = "kind"
    values = MAIL_KINDS


class AtFilter(SinceFilter):
    title = _("when")
    parameter_name = "at"
    field = "at"
    is_indexed = True


class MailCreatedFilter(SinceFilter):
    title = _("created")
    parameter_name = "created"
    field = "created_at"
    is_indexed = True


class SessionCreatedFilter(SinceFilter):
    title = _("signed in")
    parameter_name = "begun"
    field = "created_at"
    is_indexed = True

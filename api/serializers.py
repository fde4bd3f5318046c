"""Serializers that describe responses, and the base of those that read requests."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from accounts.group_names import MAX_NAME_LENGTH
from accounts.models import ROLE_LABELS, Kind
from accounts.services.groups.members import MAX_GROUPS_OF_USER

Shape = serializers.Serializer[Any]
# A body may contain thousands of unknown fields; the response names the first.
MAX_NAMED_FIELDS, MAX_FIELD_NAME_LENGTH = 20, 100
INVITATION_STATES = [
    ("live", "Open"),
    ("used", "Accepted"),
    ("replaced", "Withdrawn or replaced"),
    ("expired", "Expired"),
]
SESSION_KINDS = [("browser", "Browser"), ("tokens", "Tokens")]


def record(kind: type[Shape], row: object, /, **values: Any) -> dict[str, Any]:
    """Return the fields of `kind`, from `values` or else from the attributes of `row`.

    The values go to the JSON renderer as they are, unlike `kind(row).data`, which converts each.
    """
    return {
        name: values[name] if name in values else getattr(row, source)
        for name, source in _sources(kind)
    }


@cache
def _sources(kind: type[Shape]) -> tuple[tuple[str, str], ...]:
    """Return each field with the attribute that it shows."""
    return tuple((name, field.source or name) for name, field in kind().fields.items())


class StrictFields:
    """Mixin for serializers: refuses fields that the serializer does not have or does not write.

    Otherwise a misspelt field has no effect, and the caller believes that it had. The errors are
    reported together with those of the other fields. A nested serializer needs the mixin as well.
    """

    fields: Any

    def to_internal_value(self, data: Any) -> Any:
        errors = self._unknown_fields(data) if isinstance(data, dict) else {}
        try:
            found = super().to_internal_value(data)  # type: ignore[misc]  # that of the serializer
        except ValidationError as error:
            if errors and isinstance(error.detail, dict):
                raise ValidationError({**errors, **error.detail}) from None
            raise
        if errors:
            raise ValidationError(errors)
        return found

    def _unknown_fields(self, data: dict[str, Any]) -> dict[str, list[str]]:
        writable = [name for name, field in self.fields.items() if not field.read_only]
        unknown = (name for name in data if name not in writable)
        return {
            # JSON may contain lone surrogates, which no response can.
            name[:MAX_FIELD_NAME_LENGTH].encode(errors="replace").decode(): [
                _("This field is read-only.") if name in self.fields else _unknown(name, writable)
            ]
            for name in islice(unknown, MAX_NAMED_FIELDS)
        }


def _unknown(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    if near:
        return _("There is no such field. Did you mean “%(name)s”?") % {"name": near}
    return _("There is no such field.")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that `name` resembles; "" for none."""
    found = get_close_matches(name[:MAX_FIELD_NAME_LENGTH], list(known), n=1)
    return found[0] if found else ""


class StrictSerializer(StrictFields, serializers.Serializer[Any]):
    """The base of serializers that read requests."""


class StrictModelSerializer(StrictFields, serializers.ModelSerializer[Any]):
    """The same for the fields of a model."""


def example(value: dict[str, Any]) -> list[OpenApiExample]:
    """Return the example of a body whose required fields alone are not sufficient."""
    return [OpenApiExample("Example", value, request_only=True)]


class ExactMoment(serializers.DateTimeField):
    """A time with a UTC offset; without one it would be ambiguous."""

    def enforce_timezone(self, value: datetime) -> datetime:
        if value.utcoffset() is None:
            raise serializers.ValidationError(
                _("Include the UTC offset, as in 2027-01-31T12:00:00Z.")
            )
        return super().enforce_timezone(value)


class Seconds(serializers.IntegerField):
    """How long something lasts, for callers that do not want to compute `expires_at`.

    Its value is a timedelta.
    """

    def __init__(self, *, shortest: timedelta, longest: timedelta, **options: Any) -> None:
        super().__init__(
            required=False,
            min_value=int(shortest.total_seconds()),
            max_value=int(longest.total_seconds()),
            help_text="Seconds; instead of `expires_at`.",
            **options,
        )

    def run_validation(self, data: Any = empty) -> Any:
        found = super().run_validation(data)
        return timedelta(seconds=found) if isinstance(found, int) else found


class EndsOnce(StrictSerializer):
    """The base of requests with `expires_at` and a field of the kind Seconds: one, not both."""

    span_field: ClassVar[str]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "expires_at" in attrs and self.span_field in attrs:
            raise ValidationError({self.span_field: _("Send this or “expires_at”, not both.")})
        return attrs


class NoFields(StrictSerializer):
    """A request without fields."""


class Problem(Shape):
    """A problem document (RFC 9457)."""

    type = serializers.URLField(help_text="URL of the code in this reference.")
    title = serializers.CharField(help_text="The kind of failure, for people.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="What is wrong and how to fix it, for people.")
    code = serializers.CharField(help_text="The kind of failure, for programs; stable.")
    errors = serializers.DictField(  # type: ignore[assignment]  # the name that RFC 9457 uses
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="With `record_invalid`: messages by field name.",
    )
    until = serializers.DateTimeField(
        required=False, help_text="When the denial ends automatically."
    )
    request_id = serializers.CharField(
        required=False, help_text="With `server_error`: identifies the error in the server's log."
    )


class HeldRecord(Shape):
    """An act on an owner that waits for a second owner. Nothing has changed yet."""

    type = serializers.URLField(help_text="URL of the code in this reference.")
    title = serializers.CharField(help_text="The kind of answer, for people.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="What happens next, for people.")
    code = serializers.CharField(help_text="`two_person_required`.")
    id = serializers.UUIDField(help_text="Of the request, for `GET approvals/{id}`.")
    url = serializers.URLField(help_text="The page of the request, for the second owner.")
    expires_at = serializers.DateTimeField(help_text="The request is closed then.")


class UserRecord(Shape):
    """An account."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(
        Kind.choices, help_text="`service`: a service account, which has API keys only."
    )
    email = serializers.CharField(
        source="address",
        allow_null=True,
        help_text="The address, in lower case. Null: a service account, which has none.",
    )
    username = serializers.CharField(
        allow_null=True, help_text="May be used to sign in. Of a service account: how it is called."
    )
    name = serializers.CharField(allow_blank=True)
    responsible_id = serializers.UUIDField(
        allow_null=True, help_text="Who answers for a service account. Null for people."
    )
    responsible_group_id = serializers.UUIDField(
        allow_null=True, help_text="The group whose people answer for a service account, too."
    )
    role = serializers.ChoiceField(ROLE_LABELS)
    role_until = serializers.DateTimeField(
        allow_null=True, help_text="When the role ends, and `role_after` follows. Null: never."
    )
    role_after = serializers.CharField(
        allow_blank=True, help_text="The role that follows; empty for a role without an end."
    )
    groups = serializers.ListField(
        source="group_names",
        child=serializers.CharField(),
        help_text="The names of the groups that they are in now.",
    )
    is_active = serializers.BooleanField(help_text="False: the account is disabled.")
    expires_at = serializers.DateTimeField(
        allow_null=True, help_text="When the access of the account ends by itself. Null: never."
    )
    is_verified = serializers.BooleanField(help_text="Whether the email address is verified.")
    created_at = serializers.DateTimeField()
    last_sign_in_at = serializers.DateTimeField(source="last_login", allow_null=True)


class OwnRecord(UserRecord):
    """Your own account, with what only you choose."""

    language = serializers.CharField(
        allow_blank=True,
        help_text="Of mails: `en` or `de`. Empty: that of the request that causes them.",
    )
    time_zone = serializers.CharField(
        allow_blank=True,
        help_text="In which pages and mails show times, such as `Europe/Berlin`. Empty: that of "
        "the server.",
    )


class SessionRecord(Shape):
    """A sign-in of a browser, or of a program with tokens."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(SESSION_KINDS)
    device = serializers.CharField(help_text="Derived from the user agent.")
    ip = serializers.CharField(allow_blank=True, help_text="IP address of the sign-in.")
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="When it expires without further activity.")
    is_current = serializers.BooleanField(help_text="Whether it made this request.")


class AuditRecord(Shape):
    """An event of the audit log."""

    seq = serializers.IntegerField(help_text="Position in the chain; without gaps.")
    at = serializers.DateTimeField()
    action = serializers.CharField(help_text="For example `account:role:change`.")
    sentence = serializers.CharField(
        help_text="The event in a sentence, in your language. For people; it may change."
    )
    result = serializers.CharField(help_text="`success`, `refused` or `failure`.")
    actor_id = serializers.UUIDField(allow_null=True, help_text="Null: the system or no account.")
    actor_email = serializers.CharField(
        allow_null=True, help_text="Their present address; null if the account is deleted."
    )
    target_id = serializers.UUIDField(allow_null=True)
    target_email = serializers.CharField(
        allow_null=True, help_text="Null for a deleted account, or a target that is no account."
    )
    channel = serializers.CharField(help_text="`web`, `command` or `worker`.")
    ip = serializers.CharField(
        allow_blank=True, help_text="IP address of the client; empty for commands and the worker."
    )
    request_id = serializers.CharField(allow_blank=True)
    detail = serializers.DictField(help_text="Details of the action; never secrets.")
    undoes = serializers.IntegerField(
        allow_null=True, help_text="`seq` of the event that this one takes back."
    )
    undone_by = serializers.IntegerField(
        allow_null=True, help_text="`seq` of the event that took this one back."
    )
    undoable = serializers.BooleanField(
        help_text="Whether it can be undone, as far as the event shows. `POST …/undo` decides."
    )
    undo_reason = serializers.CharField(
        allow_blank=True, help_text="Why not, in your language; empty if it records no change."
    )


class IssuedLinkRecord(Shape):
    """A single-use sign-in link. Only this response contains it."""

    url = serializers.URLField()
    expires_at = serializers.DateTimeField()


class TestMailRecord(Shape):
    """The result of a test mail."""

    is_sent = serializers.BooleanField(help_text="Whether the mail service accepted it.")
    email = serializers.CharField()
    dialogue = serializers.ListField(
        child=serializers.CharField(),
        help_text="The protocol: `>` by Gatehouse, `<` by the mail server. Without passwords.",
    )
    reason = serializers.CharField(allow_blank=True, help_text="Why it was not sent.")
    fix = serializers.CharField(allow_blank=True, help_text="How to fix it.")


class NamesOfGroups(serializers.ListField):
    """Groups that exist, in a request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            child=serializers.CharField(max_length=MAX_NAME_LENGTH),
            default=list,
            max_length=MAX_GROUPS_OF_USER,
            help_text="Names or ids of groups that exist; joined when the invitation is accepted.",
            **options,
        )


class InvitationRecord(Shape):
    """An invitation."""

    id = serializers.UUIDField()
    email = serializers.CharField()
    state = serializers.ChoiceField(
        INVITATION_STATES, help_text="`replaced`: withdrawn, or replaced by a newer one."
    )
    name = serializers.CharField(allow_blank=True)
    role = serializers.ChoiceField(ROLE_LABELS)
    role_until = serializers.DateTimeField(
        allow_null=True, help_text="When the role will end, and `role_after` follows. Null: never."
    )
    role_after = serializers.CharField(allow_blank=True)
    groups = serializers.ListField(
        child=serializers.CharField(), help_text="Names; joined when it is accepted."
    )
    invited_by = serializers.UUIDField(
        source="invited_by_id", allow_null=True, help_text="Null: the command line."
    )
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    used_at = serializers.DateTimeField(allow_null=True, help_text="When it was accepted.")
    replaced_at = serializers.DateTimeField(allow_null=True)
    user_id = serializers.UUIDField(allow_null=True, help_text="The account that accepted it.")


class IssuedInvitationRecord(InvitationRecord):
    """A new invitation."""

    link = serializers.URLField(help_text="The only copy of the secret.")
    mailed = serializers.BooleanField(
        help_text="Whether it is also sent by mail. False while mail is failing."
    )


class ViolationRecord(Shape):
    """An exceeded limit, or a violation that an app has reported."""

    id = serializers.UUIDField()
    type = serializers.CharField(
        help_text="For example `login`, `message`, or a name chosen by an app."
    )
    score = serializers.FloatField()
    total = serializers.FloatField(
        source="total_after", help_text="Score of the user or address after this violation."
    )
    user_id = serializers.UUIDField(allow_null=True)
    network = serializers.CharField(allow_blank=True, help_text="An IPv4 address or an IPv6 /64.")
    at = serializers.DateTimeField()
    limit = serializers.CharField(allow_blank=True, help_text="For example `7 in 5m`.")
    detail = serializers.DictField()
    ban_id = serializers.UUIDField(allow_null=True, help_text="The ban that it caused.")
    reported_by = serializers.UUIDField(
        allow_null=True, help_text="The owner of the API key that reported it."
    )


class BanRecord(Shape):
    """A ban of a user, an address, or both."""

    id = serializers.UUIDField()
    user_id = serializers.UUIDField(allow_null=True)
    network = serializers.CharField(allow_blank=True)
    kind = serializers.CharField(help_text="`automatic` or `manual`.")
    state = serializers.CharField(help_text="`active`, `lifted` or `over`.")
    reason = serializers.CharField(help_text="Shown to the banned user.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(
        source="until", allow_null=True, help_text="Null: until it is lifted."
    )
    created_by = serializers.UUIDField(
        allow_null=True, help_text="Null: Gatehouse, or the command line."
    )
    lifted_at = serializers.DateTimeField(allow_null=True)
    lifted_by = serializers.UUIDField(allow_null=True)


class ReportedRecord(Shape):
    """The result of a report."""

    violation = ViolationRecord()
    total = serializers.FloatField(help_text="The score now.")
    ban = BanRecord(allow_null=True, help_text="The ban that this caused.")


class LimitStatusRecord(Shape):
    """The state of the strictest limit; all null without a limit."""

    limit = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True)
    reset_at = serializers.DateTimeField(allow_null=True, help_text="When counting starts again.")


class StartedActionRecord(LimitStatusRecord):
    """An action that has started."""

    slot = serializers.CharField(
        allow_null=True, help_text="Release it at the end; null without a limit."
    )
    slot_expires_at = serializers.DateTimeField(
        allow_null=True, help_text="When it is released automatically."
    )


class ResetLinkRecord(Shape):
    """A single-use link to set a new password."""

    url = serializers.URLField()


class Message(Shape):
    """A message for people."""

    detail = serializers.CharField()


class ExportedAccount(Shape):
    """The account in an export."""

    id = serializers.UUIDField()
    email = serializers.CharField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_blank=True)
    role = serializers.ChoiceField(ROLE_LABELS)
    is_verified = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    last_login = serializers.DateTimeField(allow_null=True)


class ExportedSession(Shape):
    """A signed-in browser in an export."""

    id = serializers.UUIDField()
    device = serializers.CharField()
    ip = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()


class ExportedInvitation(Shape):
    """The invitation that created the account."""

    role = serializers.ChoiceField(ROLE_LABELS)
    invited_at = serializers.DateTimeField()
    accepted_at = serializers.DateTimeField()


class ExportedMail(Shape):
    """A mail that was sent to the user."""

    kind = serializers.CharField()
    subject = serializers.CharField()
    created_at = serializers.DateTimeField()


class ExportedEvent(Shape):
    """An audit event about the user."""

    at = serializers.DateTimeField()
    action = serializers.CharField()
    result = serializers.CharField()
    ip = serializers.CharField(allow_blank=True)
    by_you = serializers.BooleanField()


class Export(Shape):
    """Everything that is stored about the caller."""

    account = ExportedAccount()
    sessions = ExportedSession(many=True)
    invitations = ExportedInvitation(many=True)
    mails = ExportedMail(many=True)
    events = ExportedEvent(many=True, help_text="The newest 10,000.")


@cache
def page_of(kind: type[Shape]) -> type[Shape]:
    """Return the serializer of one page of a list of `kind`."""
    fields = {
        "next": serializers.URLField(allow_null=True, help_text="URL of the page of older rows."),
        "previous": serializers.URLField(
            allow_null=True, help_text="URL of the page of newer rows."
        ),
        "results": kind(many=True),
        "__doc__": "One page of a list.",
        "__module__": __name__,
    }
    return type(f"{kind.__name__.removesuffix('Record')}Page", (serializers.Serializer,), fields)

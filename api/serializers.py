"""The shapes of answers, for the description of the API, and of what is sent in."""

from typing import Any

from rest_framework import serializers

from accounts.models import ROLE_LABELS

Shape = serializers.Serializer[Any]
SESSION_KINDS = [("browser", "Browser"), ("tokens", "Tokens")]


class Problem(Shape):
    """Every failure, as RFC 9457 has it."""

    type = serializers.URLField(help_text="Leads to the code in this reference.")
    title = serializers.CharField(help_text="What kind of failure, for people.")
    status = serializers.IntegerField(help_text="The HTTP status once more.")
    detail = serializers.CharField(help_text="What to do about it, for people.")
    code = serializers.CharField(help_text="What kind of failure, for programs; never changes.")
    errors = serializers.DictField(  # type: ignore[assignment]  # the name that RFC 9457 uses
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="With `record_invalid`: messages by the name of the field.",
    )
    until = serializers.DateTimeField(required=False, help_text="When the refusal ends by itself.")
    request_id = serializers.CharField(
        required=False, help_text="With `server_error`: by this the log of the server tells more."
    )


class UserRecord(Shape):
    """An account."""

    id = serializers.UUIDField()
    email = serializers.CharField(help_text="The address, in lower case.")
    username = serializers.CharField(allow_null=True, help_text="Signs in like the address.")
    name = serializers.CharField(allow_blank=True)
    role = serializers.ChoiceField(ROLE_LABELS)
    is_active = serializers.BooleanField(help_text="False: an operator has shut the account.")
    is_verified = serializers.BooleanField(help_text="Is the address known to be the person's?")
    created_at = serializers.DateTimeField()
    last_sign_in_at = serializers.DateTimeField(allow_null=True)


class SessionRecord(Shape):
    """A sign-in: a browser, or a program with tokens."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(SESSION_KINDS)
    device = serializers.CharField(help_text="A guess from what the program says of itself.")
    ip = serializers.CharField(allow_blank=True, help_text="From where it signed in.")
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="When it ends if nothing more is done.")
    is_current = serializers.BooleanField(help_text="Is it the one that asks?")


class AuditRecord(Shape):
    """Who did what to whom."""

    seq = serializers.IntegerField(help_text="Its place in the chain; without gaps.")
    at = serializers.DateTimeField()
    action = serializers.CharField(help_text="As in `account:role:change`.")
    result = serializers.CharField(help_text="`success` or `refused`.")
    actor_id = serializers.UUIDField(allow_null=True, help_text="Null: the system or nobody.")
    target_id = serializers.UUIDField(allow_null=True)
    channel = serializers.CharField(help_text="`web`, `command` or `worker`.")
    ip = serializers.CharField(allow_blank=True)
    request_id = serializers.CharField(allow_blank=True)
    detail = serializers.DictField(help_text="What the action says beside; never a secret.")


class IssuedLinkRecord(Shape):
    """A link that signs somebody in, once. It is shown nowhere else."""

    url = serializers.URLField()
    expires_at = serializers.DateTimeField()


class TestMailRecord(Shape):
    """What became of a test mail."""

    is_sent = serializers.BooleanField(help_text="Has the mail service taken it?")
    email = serializers.CharField()
    dialogue = serializers.ListField(
        child=serializers.CharField(),
        help_text="What was said: `>` by Gatehouse, `<` by the mail server. Without passwords.",
    )
    reason = serializers.CharField(allow_blank=True, help_text="Why it was not sent.")
    fix = serializers.CharField(allow_blank=True, help_text="What to mend.")


class InvitationRecord(Shape):
    """An open invitation."""

    id = serializers.UUIDField()
    email = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    role = serializers.ChoiceField(ROLE_LABELS)
    invited_by = serializers.UUIDField(allow_null=True, help_text="Null: the command line.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class IssuedInvitationRecord(InvitationRecord):
    """A new invitation."""

    link = serializers.URLField(help_text="The only copy of the secret.")
    mailed = serializers.BooleanField(help_text="Is it on its way by mail, too?")


class ViolationRecord(Shape):
    """An exceeded limit, or a deed that an app has reported."""

    id = serializers.UUIDField()
    type = serializers.CharField(help_text="As in `login`, `message`, or a name of an app.")
    score = serializers.FloatField()
    total = serializers.FloatField(help_text="What the person or address had then, this included.")
    user_id = serializers.UUIDField(allow_null=True)
    network = serializers.CharField(allow_blank=True, help_text="An IPv4 address or an IPv6 /64.")
    at = serializers.DateTimeField()
    limit = serializers.CharField(allow_blank=True, help_text="As in `7 in 5m`.")
    detail = serializers.DictField()
    ban_id = serializers.UUIDField(allow_null=True, help_text="The ban that it brought about.")
    reported_by = serializers.UUIDField(allow_null=True, help_text="Whose service key it was.")


class BanRecord(Shape):
    """A ban of a person, an address, or both."""

    id = serializers.UUIDField()
    user_id = serializers.UUIDField(allow_null=True)
    network = serializers.CharField(allow_blank=True)
    kind = serializers.CharField(help_text="`automatic` or `manual`.")
    state = serializers.CharField(help_text="`active`, `lifted` or `over`.")
    reason = serializers.CharField(help_text="The banned person reads this.")
    created_at = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True, help_text="Null: until it is lifted.")
    created_by = serializers.UUIDField(
        allow_null=True, help_text="Null: Gatehouse, or the command line."
    )
    lifted_at = serializers.DateTimeField(allow_null=True)
    lifted_by = serializers.UUIDField(allow_null=True)


class ReportedRecord(Shape):
    """What a report has done."""

    violation = ViolationRecord()
    total = serializers.FloatField(help_text="The score now.")
    ban = BanRecord(allow_null=True, help_text="The ban that this brought about.")


class StandingRecord(Shape):
    """What is left of the tightest limit; all null where nothing is limited."""

    limit = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True)
    reset_at = serializers.DateTimeField(allow_null=True, help_text="When it counts from 0 again.")


class StartedRecord(StandingRecord):
    """An admitted beginning."""

    slot = serializers.CharField(
        allow_null=True, help_text="To be given back at the end; null where nothing is counted."
    )
    slot_until = serializers.DateTimeField(
        allow_null=True, help_text="When it is free again by itself."
    )


class ResetLinkRecord(Shape):
    """A link by which somebody sets a new password, once."""

    url = serializers.URLField()


class Sentence(Shape):
    """What happened, for people."""

    detail = serializers.CharField()


class ExportedAccount(Shape):
    """The account in an export."""

    id = serializers.UUIDField()
    email = serializers.CharField()
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
    """The invitation that the account was made by."""

    role = serializers.ChoiceField(ROLE_LABELS)
    invited_at = serializers.DateTimeField()
    accepted_at = serializers.DateTimeField()


class ExportedMail(Shape):
    """A mail that went to the person."""

    kind = serializers.CharField()
    subject = serializers.CharField()
    created_at = serializers.DateTimeField()


class ExportedEvent(Shape):
    """An audit event about the person."""

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


def page_of(kind: type[Shape]) -> type[Shape]:
    """The shape of one page of a list of `kind`."""
    fields = {
        "next": serializers.URLField(allow_null=True, help_text="The page of older rows."),
        "previous": serializers.URLField(allow_null=True, help_text="The page of newer rows."),
        "results": kind(many=True),
        "__doc__": "One page of a list.",
        "__module__": __name__,
    }
    return type(f"{kind.__name__.removesuffix('Record')}Page", (serializers.Serializer,), fields)

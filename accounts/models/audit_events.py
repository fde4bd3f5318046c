"""Names of the users in events of the audit log, which holds ids only."""

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, When

from accounts.models.users import Kind, User
from audit.models import AuditEvent
from audit.sentences import sentence


def with_emails(rows: "QuerySet[AuditEvent]") -> "QuerySet[AuditEvent]":
    """Annotate with the current addresses and names of actor and target; None if deleted.

    They are actor_email, target_email, actor_name and target_name; for a name that is not set, the
    address. The name of a service account is how it is called, not what it is for.
    """
    emails = User.objects.values("email")
    is_email = Q(name="") | Q(kind=Kind.SERVICE)
    name = Case(When(is_email, then=F("email")), default=F("name"))
    names = User.objects.annotate(shown=name).values("shown")
    return rows.annotate(
        actor_email=Subquery(emails.filter(pk=OuterRef("actor_id"))[:1]),
        target_email=Subquery(emails.filter(pk=OuterRef("target_id"))[:1]),
        actor_name=Subquery(names.filter(pk=OuterRef("actor_id"))[:1]),
        target_name=Subquery(names.filter(pk=OuterRef("target_id"))[:1]),
    )


def sentence_of(event: AuditEvent) -> str:
    """What happened, in a sentence with the names that with_emails() has loaded."""
    actor, target = getattr(event, "actor_name", None), getattr(event, "target_name", None)
    return sentence(event, actor=actor or "", target=target or "", second=_second_owner(event))


def _second_owner(event: AuditEvent) -> str:
    """Who confirmed the event as second owner; "" if nobody had to, or they are deleted."""
    detail = event.detail if isinstance(event.detail, dict) else {}
    if "confirmed_by" not in detail:
        return ""
    found = User.all_objects.filter(pk=detail["confirmed_by"]).first()
    return "" if found is None else found.get_full_name()

"""The final state of the database, read in one transaction."""

from dataclasses import dataclass
from typing import Any

from devtools.servers.databases import InstanceData

READ = """
from collections import Counter
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from audit import audit_log
from accounts.models import BrowserSession, EmailRequest, Invitation, User
from audit.models import AuditEvent
from mail.models import OutboxMail
from api.models import ApiKey, TokenFamily
from magiclinks.models import LoginLink
from moderation.models import Ban
now = timezone.now()
with transaction.atomic():
    events = list(AuditEvent.objects.values_list("action", "result", "target_id", "detail"))
    good = Counter(action for action, result, _target, _detail in events if result == "success")
    invited = {str(row.pk): row.email for row in Invitation.objects.all()}
    verdict = audit_log.verify()
    live = Q(revoked_at=None)
    result = {
        "chain": verdict.reason,
        "people": {row.email: [str(row.pk), row.role, row.is_active, bool(row.password)]
                   for row in User.objects.all()},
        "events": [[action, str(target), detail.get("invitation") or ""]
                   for action, outcome, target, detail in events if outcome == "success"],
        "invited": invited,
        "generations": {str(row.pk): row.generation for row in TokenFamily.objects.all()},
        "mails": list(OutboxMail.objects.filter(kind="magic-link").values_list(
            "recipient", "status")),
        "stuck": OutboxMail.objects.filter(status="sending", lease_until__lt=now).count(),
        "dead": OutboxMail.objects.filter(status="dead").count(),
        "requests": EmailRequest.objects.count(),
        "owners": User.objects.active_owners().count(),
        # A row and its audit event are written in the same transaction.
        "pairs": {
            "people": [User.objects.count(),
                       good["account:user:create"] - good["account:user:delete"]
                       + (1 if User.objects.filter(email="owner@example.com").exists() else 0)],
            "disabled": [User.objects.filter(is_active=False).count(),
                         good["account:user:disable"] - good["account:user:enable"]],
            "links": [LoginLink.objects.count(), good["link:login:issue"]],
            "link mails": [OutboxMail.objects.filter(kind="magic-link").count(),
                           good["link:login:issue"]],
            "used links": [LoginLink.objects.exclude(used_at=None).count(),
                           good["link:login:redeem"]],
            "bans": [Ban.objects.count(), good["moderation:ban:start"]],
            "lifted bans": [Ban.objects.exclude(lifted_at=None).count(),
                            good["moderation:ban:lift"]],
            "ended programs": [TokenFamily.objects.filter(end_reason="signed-out").count(),
                               good["api:token:end"]],
            "invitations": [Invitation.objects.count(), good["account:invitation:issue"]],
            "withdrawn": [Invitation.objects.exclude(replaced_at=None).count(),
                          good["account:invitation:withdraw"]],
            "keys of the living": [
                ApiKey.objects.count(),
                sum(1 for action, outcome, target, _detail in events
                    if action == "api:key:create"
                    and User.all_objects.filter(pk=target).exists())],
            "revoked keys": [ApiKey.objects.exclude(revoked_at=None).count(),
                             good["api:key:revoke"]],
        },
        # Each sign-in has one event, and a session or a token family unless that has ended.
        "more sign-ins than events": [
            str(user.pk) for user in User.objects.annotate(
                sessions_now=Count("sessions", distinct=True),
                programs=Count("token_families", distinct=True))
            if user.sessions_now + user.programs > sum(
                1 for action, outcome, target, _detail in events
                if action == "account:session:start" and outcome == "success"
                and target == user.pk)],
    }
"""


@dataclass(frozen=True, slots=True)
class State:
    """found: the result of READ."""

    found: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.found[name]


def read_state(data: InstanceData) -> State:
    """Everything that the final checks need."""
    return State(data.shell(READ))

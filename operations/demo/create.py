"""Fill an empty instance with the people of a demo and their history, all or nothing."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from access_reviews.models import AccessReview
from accounts.actors import SYSTEM
from accounts.models import BrowserSession, Group, User
from accounts.passwords import password_problems
from api.models import ApiKey
from applications.models import App
from audit.audit_log import verify
from core.errors import RecordInvalid
from core.locks import ROLES, acquire_lock
from forward_auth.models import AccessRule
from magiclinks.models import LoginLink
from magiclinks.services import issue_link
from mail.models import OutboxMail
from moderation.models import Ban, Violation
from operations.demo.activity import REFUSED_MAILBOX, plan_activity
from operations.demo.clock import history
from operations.demo.groups import plan_groups
from operations.demo.mailbox import demo_mail
from operations.demo.people import MAX_PEOPLE, MIN_PEOPLE, make_people
from operations.demo.service_accounts import plan_service_accounts
from operations.demo.story import DAYS, Progress, Story
from operations.errors import OperationError
from webhooks.models import WebhookEndpoint


@dataclass(frozen=True, slots=True)
class CreatedDemo:
    """What there is now. link: signs the owner in once, until expires_at."""

    owner: str
    link: str = field(repr=False)
    expires_at: datetime
    people: dict[str, int]
    rows: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self) | {"expires_at": self.expires_at.isoformat(timespec="seconds")}


def create_demo(*, count: int, seed: int, password: str | None, progress: Progress) -> CreatedDemo:
    """Make up `count` people and 60 days of history, in one transaction.

    password: the owner's; None: the owner signs in by link only. progress: called with the number
    of what has happened and of everything. Raises OperationError if the instance has accounts or
    the count is out of bounds, RecordInvalid for a password that is too weak; nothing is changed
    then.
    """
    if not MIN_PEOPLE <= count <= MAX_PEOPLE:
        raise OperationError(f"--people: choose from {MIN_PEOPLE} to {MAX_PEOPLE}.")
    people = make_people(count, seed, DAYS)
    problems = password_problems(password, User(email=people[0].email)) if password else []
    if problems:
        raise RecordInvalid({"password": problems})
    story = Story(people, seed=seed, end=timezone.now(), password=password)
    story.plan_people()
    plan_activity(story)
    plan_service_accounts(story)
    plan_groups(story)
    with transaction.atomic():
        acquire_lock(ROLES)
        _require_empty()
        with history(story.start) as clock, demo_mail(refused=REFUSED_MAILBOX):
            story.play(clock, progress)
        owner = story.user_of(people[0])
        issued = issue_link(
            owner,
            actor=SYSTEM,
            lifetime=settings.MAGIC_LINK_OPERATOR_EXPIRY,
            source=LoginLink.Source.COMMAND,
        )
        _require_valid_chain()
    states = Counter(str(persona.state) for persona in people)
    return CreatedDemo(owner.email, issued.url, issued.expires_at, dict(states), _count_rows())


def _require_empty() -> None:
    if User.objects.filter(setup_completed=True).exists():
        raise OperationError(
            "This instance has accounts, and demo data never mixes with real data. Nothing was "
            "changed. Use an empty folder: DATA_DIR=./demo manage.py demo"
        )


def _require_valid_chain() -> None:
    result = verify()
    if result.broken_at is not None:
        raise OperationError(f"The audit log broke at row {result.broken_at}: {result.reason}.")


def _count_rows() -> dict[str, int]:
    tables = {
        "sessions": BrowserSession,
        "API keys": ApiKey,
        "groups": Group,
        "apps": App,
        "access rules": AccessRule,
        "violations": Violation,
        "bans": Ban,
        "links": LoginLink,
        "mails": OutboxMail,
        "webhooks": WebhookEndpoint,
        "open reviews": AccessReview,
    }
    counts = {name: model._default_manager.count() for name, model in tables.items()}
    return counts | {"audit rows": verify().checked}

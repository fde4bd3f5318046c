"""What the people of a demo do: keys, rules, links by mail, bans, a webhook and a review."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from access_reviews.services.reviews import ReviewRequest, start_review
from accounts.models import EmailRequest
from accounts.roles import Role
from accounts.services.email_requests import enqueue_request
from accounts.services.invitations import invite
from api.apikeys.services import IssuedKey, KeyRequest, create_key, revoke_key, rotate_key
from api.apikeys.sql import note_use
from api.permissions import Scope
from magiclinks.services import handle_link_requests
from moderation.models import Ban
from moderation.services.bans import ban, lift
from moderation.services.violations import record_violation
from operations.demo.browsers import web_request
from operations.demo.people import DOMAIN, Persona, State
from operations.demo.rules import APPS, RULES, make_app, make_rule
from operations.demo.story import DAYS, Story
from webhooks.services.endpoints import create_endpoint

# A mailbox that refuses mail: its invitation is a failed mail.
REFUSED_MAILBOX = f"old.colleague@{DOMAIN}"
BUILD_SERVER = "192.0.2.5"
GUESSER, SCRAPER, OFFICE = "203.0.113.66", "203.0.113.17", "198.51.100.200"


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key and what becomes of it. days: its lifetime. last_use: days before the end, or None."""

    name: str
    scopes: tuple[Scope, ...]
    created_day: int
    days: int
    last_use: int | None
    end: str = ""


KEYS = (
    KeySpec("Deployment of the wiki", (Scope.READ, Scope.WRITE), 4, 365, 0),
    KeySpec("Nightly export", (Scope.READ,), 6, 365, 1),
    KeySpec("Grafana data source", (Scope.READ,), 12, DAYS - 12 + 5, 2),
    KeySpec("Import of last year's notes", (Scope.READ, Scope.WRITE), 8, 30, 30),
    KeySpec("Trial on my laptop", (Scope.READ,), 3, 365, None),
    KeySpec("Calendar on the phone", (Scope.READ,), 20, 90, 35, "revoke"),
    KeySpec("Synchronisation of contacts", (Scope.READ,), 10, 180, 15, "rotate"),
)


def plan_activity(story: Story) -> None:
    """Everything but joining, signing in and leaving."""
    for number in range(len(APPS)):
        at = story.start + timedelta(days=1, minutes=number)
        story.plan(at, lambda number=number: make_app(story.user_of(story.people[0]), number))
    for number in range(len(RULES)):
        at = story.start + timedelta(days=1, minutes=20 * (number + 1))
        story.plan(at, lambda number=number: make_rule(story.user_of(story.people[0]), number))
    _plan_keys(story)
    _plan_links(story)
    _plan_violations(story)
    _plan_bans(story)
    story.plan(story.working_hour(5), _add_webhook, story)
    story.plan(story.end - timedelta(days=4), _start_review, story)


def _plan_keys(story: Story) -> None:
    owners = [
        persona
        for persona in story.people
        if persona.role.rank >= Role.EDITOR.rank and persona.state is State.ACTIVE
    ]
    for number, spec in enumerate(KEYS):
        persona, issued = owners[number % len(owners)], list[IssuedKey]()
        created = story.working_hour(max(spec.created_day, persona.joined_day + 1))
        story.plan(created, _create_key, story, persona, spec, issued)
        if spec.last_use is not None:
            used = max(story.end - timedelta(days=spec.last_use, minutes=17), created)
            story.plan(used, _use_key, issued)
        if spec.end:
            ended = max(story.end - timedelta(days=9), created)
            story.plan(ended, _end_key, story, persona, spec, issued)


def _create_key(story: Story, persona: Persona, spec: KeySpec, issued: list[IssuedKey]) -> None:
    user = story.user_of(persona)
    lifetime = timedelta(days=spec.days)
    if settings.API_KEY_MAX_AGE:
        lifetime = min(lifetime, settings.API_KEY_MAX_AGE)
    request = KeyRequest(name=spec.name, scopes=spec.scopes, expires_at=timezone.now() + lifetime)
    issued.append(create_key(actor=user, user=user, key_request=request))


def _use_key(issued: list[IssuedKey]) -> None:
    note_use(issued[0].key, BUILD_SERVER, timezone.now())


def _end_key(story: Story, persona: Persona, spec: KeySpec, issued: list[IssuedKey]) -> None:
    user, key = story.user_of(persona), issued[0].key
    if spec.end == "revoke":
        revoke_key(actor=user, key=key)
    else:
        rotate_key(actor=user, key=key)


def _plan_links(story: Story) -> None:
    """Links that people ask for on the sign-in page, and an invitation that cannot be delivered."""
    active = [persona for persona in story.people if persona.state is State.ACTIVE]
    for persona in active[3:9]:
        at = story.working_hour(story.draw.randrange(persona.joined_day + 1, DAYS))
        story.plan(at, _request_link, persona.email)
    story.plan(story.end - timedelta(minutes=6), _request_link, active[-1].email)
    story.plan(story.working_hour(DAYS - 12), _invite_refused, story)


def _request_link(email: str) -> None:
    enqueue_request(EmailRequest.Kind.MAGIC_LINK, email=email, binding="")
    handle_link_requests()


def _invite_refused(story: Story) -> None:
    owner = story.user_of(story.people[0])
    invite(actor=owner, email=REFUSED_MAILBOX, role=Role.VIEWER, name="Old Colleague")


def _plan_violations(story: Story) -> None:
    """A password guesser who gets banned, a script, and people who send too much."""
    burst = story.working_hour(DAYS - 3)
    for number in range(21):
        at = burst + timedelta(seconds=30 * number)
        story.plan(at, _violate_from, GUESSER, "login", "7 in 5m")
    for _number in range(3):
        at = story.working_hour(story.draw.randrange(5, DAYS))
        story.plan(at, _violate_from, SCRAPER, "non_browser", "")
    senders = [persona for persona in story.people if persona.state is State.ACTIVE][4:7]
    for persona in senders:
        for _number in range(story.draw.randrange(1, 5)):
            day = story.draw.randrange(persona.joined_day + 1, DAYS)
            story.plan(story.working_hour(day), _violate_as, story, persona)


def _violate_from(ip: str, kind: str, limit: str) -> None:
    with web_request(ip, "python-requests/2.32" if kind == "non_browser" else ""):
        record_violation(type=kind, network=ip, limit=limit, detail={"count": 1})


def _violate_as(story: Story, persona: Persona) -> None:
    user = story.user_of(persona)
    record_violation(type="message", user=user, limit="40 in 1m", detail={"count": 41})


def _plan_bans(story: Story) -> None:
    """People whom an administrator bans, and an office that was banned by mistake."""
    for persona in story.people:
        if persona.state is State.BANNED:
            day = story.draw.randrange(max(persona.joined_day + 2, DAYS - 12), DAYS)
            story.plan(story.working_hour(day), _ban, story, persona)
    story.plan(story.working_hour(DAYS - 2), _ban_scraper, story)
    mistaken, found = story.working_hour(DAYS - 20), list[Ban]()
    story.plan(mistaken, _ban_office, story, found)
    story.plan(mistaken + timedelta(minutes=25), _lift, story, found)


def _ban(story: Story, persona: Persona) -> None:
    for _number in range(3):
        _violate_as(story, persona)
    ban(
        actor=story.user_of(story.people[0]),
        user=story.user_of(persona),
        duration=timedelta(days=30),
        reason="Sent advertising to everyone.",
    )


def _ban_scraper(story: Story) -> None:
    owner = story.user_of(story.people[0])
    reason = "A script that reads all pages."
    ban(actor=owner, network=SCRAPER, duration=timedelta(days=90), reason=reason)


def _ban_office(story: Story, found: list[Ban]) -> None:
    owner = story.user_of(story.people[0])
    reason = "Many failed sign-ins."
    found.append(ban(actor=owner, network=OFFICE, duration=timedelta(days=7), reason=reason))


def _lift(story: Story, found: list[Ban]) -> None:
    lift(actor=story.user_of(story.people[0]), ban=found[0])


def _add_webhook(story: Story) -> None:
    """Switched off: a demo sends nothing to others."""
    values = {
        "name": "Chat of the team",
        "url": f"https://chat.{DOMAIN}/hooks/gatehouse",
        "event_types": ["user.created", "user.disabled", "user.deleted"],
        "is_enabled": False,
    }
    create_endpoint(actor=story.user_of(story.people[0]), values=values)


def _start_review(story: Story) -> None:
    """Of all who have access, due soon after the end of the history."""
    owner = story.user_of(story.people[0])
    due_at = story.end + timedelta(days=10)
    start_review(actor=owner, wanted=ReviewRequest("Fourth quarter", due_at, reviewers=[owner.pk]))

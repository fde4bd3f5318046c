"""The timeline of a demo, and how its people join, sign in and leave."""

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from functools import partial

from django.conf import settings

from accounts.actors import SYSTEM, Actor
from accounts.models import User
from accounts.roles import Role
from accounts.services.first_run import claim_owner, ensure_owner, issue_setup_link
from accounts.services.invitations import IssuedInvitation, accept_invitation, invite
from accounts.services.sessions import note_refused_sign_in
from accounts.services.signup import SignUp
from accounts.services.users import change_role, create_user, disable_user
from accounts.services.verification import mail_verification
from accounts.sign_in.methods import SignInMethod
from core.web.request_context import RequestContext, use_context
from magiclinks.models import LoginLink
from magiclinks.services import find_link, issue_link, redeem_link
from operations.demo.browsers import USER_AGENTS, DemoBrowser, web_request
from operations.demo.clock import HistoryClock
from operations.demo.mailbox import deliver
from operations.demo.people import Persona, State
from operations.errors import OperationError

DAYS = 60
# Beyond these, people get no password, because hashing it takes longer than all the rest.
WITH_PASSWORD = 60
Act = Callable[..., object]
Progress = Callable[[int, int], None]


@dataclass(order=True)
class Moment:
    """Something that happens at a time. `number` keeps the order of what is planned."""

    at: datetime
    number: int
    act: Act = field(compare=False)


class Story:
    """Plans what happens, then plays it in the order of time.

    end: the time now. password: the owner's, or None for a sign-in by link only.
    """

    def __init__(
        self, people: list[Persona], *, seed: int, end: datetime, password: str | None
    ) -> None:
        self.people = people
        self.draw = random.Random(f"{seed} story")  # noqa: S311 - times and counts, no secrets
        self.start = datetime.combine(end.date() - timedelta(days=DAYS), time(7), end.tzinfo)
        self.end = end
        self._password = password
        self._moments: list[Moment] = []

    def plan(self, at: datetime, act: Act, *arguments: object) -> None:
        """Let `act(*arguments)` happen at a time from the start to the end."""
        self._moments.append(Moment(at, len(self._moments), partial(act, *arguments)))

    def play(self, clock: HistoryClock, progress: Progress) -> None:
        """Let everything happen, each at its time, and its mail be delivered."""
        moments = sorted(self._moments)
        for number, moment in enumerate(moments, start=1):
            clock.move_to(max(clock.now, moment.at))
            with web_request(self.address()):
                moment.act()
            deliver()
            progress(number, len(moments))
        clock.move_to(self.end)

    def working_hour(self, day: int) -> datetime:
        """A time of that day, from 8:00 to 18:00. The days end yesterday."""
        return self.start + timedelta(days=day, minutes=60 + self.draw.randrange(600))

    def address(self) -> str:
        """A network address of the office, or of someone at home."""
        if self.draw.random() < 0.7:
            return f"198.51.100.{self.draw.randrange(2, 30)}"
        return f"192.0.2.{self.draw.randrange(30, 250)}"

    def user_of(self, persona: Persona) -> User:
        """The account as it is now."""
        found: User = User.objects.get(email=persona.email)
        return found

    def superior_of(self, persona: Persona) -> User:
        """The owner for administrators and founders, otherwise the first admin."""
        is_early = persona.role in (Role.OWNER, Role.ADMIN) or persona.joined_day == 0
        return self.user_of(self.people[0 if is_early else 1])

    def plan_people(self) -> None:
        """How everyone joins, signs in, and leaves."""
        self.plan(self.start, self._found)
        for number, persona in enumerate(self.people[1:], start=1):
            at = self.start + timedelta(minutes=5 * number)
            if persona.joined_day:
                at = self.working_hour(persona.joined_day)
            self._plan_joining(persona, at, number)
        for number, persona in enumerate(self.people):
            if persona.state not in (State.INVITED, State.UNCONFIRMED):
                self._plan_presence(persona, visits=6 if number < WITH_PASSWORD else 0)
        self._plan_promotions()

    def _found(self) -> None:
        """The owner sets the instance up."""
        persona = self.people[0]
        owner = ensure_owner()
        # Made at the first start of the server, if there was one, which may be a minute ago.
        User.all_objects.filter(pk=owner.pk).update(
            created_at=self.start, credentials_valid_from=self.start, keys_valid_from=self.start
        )
        owner.refresh_from_db()
        link = issue_setup_link(owner)
        if link is None:
            raise OperationError(
                "DEFAULT_OWNER_PASSWORD has made an owner already. Remove it for the demo, whose "
                "owner signs in with a link. Nothing was changed."
            )
        claim_owner(link.token, SignUp(persona.email, persona.name, self._password))

    def _plan_joining(self, persona: Persona, at: datetime, number: int) -> None:
        if persona.state is State.INVITED:
            self.plan(at, self._invite, persona, [])
        elif persona.state is State.UNCONFIRMED:
            self.plan(at, self._sign_up, persona)
        elif persona.by_invitation and number < WITH_PASSWORD:
            issued: list[IssuedInvitation] = []
            self.plan(at, self._invite, persona, issued)
            self.plan(at + timedelta(minutes=3), self._accept, persona, issued)
        else:
            self.plan(at, self._create, persona)

    def _invite(self, persona: Persona, issued: list[IssuedInvitation]) -> None:
        actor = self.superior_of(persona)
        issued.append(
            invite(actor=actor, email=persona.email, role=persona.role, name=persona.name)
        )

    def _accept(self, persona: Persona, issued: list[IssuedInvitation]) -> None:
        accept_invitation(
            issued[0].url.rpartition("/")[2],
            name=persona.name,
            username=persona.username,
            # No one knows it: a demo has no passwords that a stranger could read in the code.
            password=secrets.token_urlsafe(18),
        )

    def _sign_up(self, persona: Persona) -> None:
        user = create_user(
            actor=SYSTEM, email=persona.email, role=persona.role, name=persona.name,
            source="sign-up",
        )  # fmt: skip
        mail_verification(user, binding="", language="")

    def _create(self, persona: Persona) -> None:
        create_user(
            actor=self.superior_of(persona),
            email=persona.email,
            role=persona.role,
            name=persona.name,
            username=persona.username,
            verified=True,
        )

    def _plan_presence(self, persona: Persona, visits: int) -> None:
        """Sign-ins until the last day, or until the person is disabled."""
        first, last = persona.joined_day, DAYS
        if persona.state is State.DISABLED:
            last = self.draw.randrange(first + 3, DAYS)
            self.plan(self.start + timedelta(days=last), self._disable, persona)
        days = [first + 1, *(self.draw.randrange(first + 1, last) for _visit in range(visits))]
        for day in days[: self.draw.randrange(1, len(days) + 1)]:
            self._plan_sign_in(persona, self.working_hour(min(day, last - 1)))
        if persona.role is Role.OWNER:
            self._plan_sign_in(persona, self.end - timedelta(hours=2))

    def _plan_sign_in(self, persona: Persona, at: datetime) -> None:
        browser = DemoBrowser(self.address(), self.draw.choice(USER_AGENTS))
        if self.draw.random() < 0.08:
            typed_wrong = partial(note_refused_sign_in, persona.email, ["password"])
            self.plan(at - timedelta(seconds=40), typed_wrong)
        self.plan(at, self._sign_in, persona, browser)
        after = self.draw.random()
        later = at + timedelta(minutes=self.draw.randrange(20, 3600))
        if after < 0.2:
            self.plan(min(at + timedelta(hours=3), self.end), self._sign_out, persona, browser)
        elif after < 0.8 and later < self.end:
            self.plan(later, browser.visit)

    def _sign_in(self, persona: Persona, browser: DemoBrowser) -> None:
        user = self.user_of(persona)
        if user.has_usable_password():
            browser.sign_in(user, SignInMethod.PASSWORD)
            return
        if persona.role is Role.OWNER:
            with use_context(RequestContext(channel="command")):
                token = self._issue_link(persona, SYSTEM)
        else:
            token = self._issue_link(persona, self.superior_of(persona))
        browser.sign_in(user, SignInMethod.MAGIC_LINK, before=lambda: redeem_link(find_link(token)))

    def _sign_out(self, persona: Persona, browser: DemoBrowser) -> None:
        browser.sign_out(self.user_of(persona))

    def _issue_link(self, persona: Persona, actor: Actor) -> str:
        """Issue a link as an administrator does on the list of people; returns its secret."""
        issued = issue_link(
            self.user_of(persona),
            actor=actor,
            lifetime=settings.MAGIC_LINK_OPERATOR_EXPIRY,
            source=LoginLink.Source.COMMAND if actor is SYSTEM else LoginLink.Source.PANEL,
        )
        return issued.url.rpartition("/")[2]

    def _disable(self, persona: Persona) -> None:
        actor = self.superior_of(persona)
        disable_user(actor=actor, user=self.user_of(persona), reason="Left the team")

    def _plan_promotions(self) -> None:
        """Some viewers become editors."""
        viewers = [
            persona
            for persona in self.people
            if persona.role is Role.VIEWER and persona.state is State.ACTIVE
        ]
        for persona in viewers[2::6][:20]:
            day = self.draw.randrange(min(persona.joined_day + 4, DAYS - 1), DAYS)
            self.plan(self.working_hour(day), self._promote, persona)

    def _promote(self, persona: Persona) -> None:
        owner = self.user_of(self.people[0])
        change_role(actor=owner, user=self.user_of(persona), role=Role.EDITOR)

"""The final checks: no acknowledged action is lost or half done, no revoked credential works."""

from collections import Counter

from devtools.servers.processes import wait_for
from tests.soak.attackers import Attacker, opens, tries_of
from tests.soak.calls import Caller, Unsure
from tests.soak.clients import family_of
from tests.soak.deployment import Deployment
from tests.soak.journal import DONE, UNKNOWN, Journal, TestUser
from tests.soak.state import State, read_state

# Not checked again with the later clock, because time makes none of them valid.
TIMELESS = ("password", "link", "invitation")
LATER_SECONDS = 2 * 3600.0
IDLE = """
from accounts.models import EmailRequest; from mail.models import OutboxMail
result = EmailRequest.objects.count() + OutboxMail.objects.filter(status="sending").count()
"""
SENT = ("sent", "queued", "sending")


class Proof:
    """All checks; run() records every broken promise in the journal."""

    def __init__(self, deployment: Deployment, journal: Journal) -> None:
        self.deployment, self.journal = deployment, journal
        self.promise = journal.break_promise

    def run(self, lease_seconds: float) -> None:
        """Wait up to lease_seconds for mail whose sender was killed, then run all checks."""
        wait_for(lambda: self.deployment.data.shell(IDLE) == 0, lease_seconds)
        state = read_state(self.deployment.data)
        self._whole(state)
        self._creations(state)
        self._events(state)
        self._mails(state)
        self._generations(state)
        self._verify_audit()
        self._ask_nodes(())
        # A credential that a wrong clock issued or revoked must not become valid later.
        for node in self.deployment.nodes:
            node.move_clock(LATER_SECONDS)
        self._ask_nodes(TIMELESS)

    def _whole(self, state: State) -> None:
        """Rows that are written in one transaction agree in number."""
        for name, (rows, events) in state["pairs"].items():
            if rows != events:
                self.promise(f"half done: {rows} {name}, but {events} events")
        if state["more sign-ins than events"]:
            self.promise(f"sign-ins without an event: {state['more sign-ins than events'][:5]}")
        if state["chain"]:
            self.promise(f"the audit log: {state['chain']}")
        if state["owners"] < 1:
            self.promise("there is no owner")

    def _creations(self, state: State) -> None:
        """Users exist, are deleted or disabled as acknowledged."""
        done = self.journal.count_actions(DONE)
        unknown = self.journal.count_actions(UNKNOWN)
        for person in self.journal.people:
            name = person.email
            is_made = done["account:user:create", name] > 0
            is_gone = (done + unknown)["account:user:delete", name] > 0
            row = state["people"].get(name)
            if is_made and not is_gone and row is None:
                self.promise(f"an acknowledged person is lost: {name}")
            if row is not None and done["account:user:delete", name]:
                self.promise(f"an acknowledged deletion is lost: {name}")
            is_disabled = (
                done["account:user:disable", name]
                and not (done + unknown)["account:user:enable", name]
            )
            if row is not None and is_disabled and row[2]:
                self.promise(f"an acknowledged disabling is lost: {name}")

    def _events(self, state: State) -> None:
        """Each acknowledged action has one audit event, each unknown one has one or none."""
        names = {row[0]: email for email, row in state["people"].items()}
        names |= {person.id: person.email for person in self.journal.people if person.id}
        found = Counter(
            (action, state["invited"].get(invitation) or names.get(target, target))
            for action, target, invitation in state["events"]
        )
        done, unknown = self.journal.count_actions(DONE), self.journal.count_actions(UNKNOWN)
        for key in done.keys() | unknown.keys():
            if not done[key] <= found[key] <= done[key] + unknown[key]:
                self.promise(
                    f"{key[0]} of {key[1]}: {done[key]} acknowledged, {unknown[key]} unknown, "
                    f"{found[key]} events"
                )

    def _mails(self, state: State) -> None:
        """Each acknowledged request for a link has one mail, which is sent or queued."""
        mails = Counter(to for to, status in state["mails"] if status in SENT)
        sent = {to for to, status in state["mails"] if status == "sent"}
        received = {to for mail in list(self.deployment.mail.mails) for to in mail.recipients}
        requests = [act for act in self.journal.acts if act.kind == "ask for link"]
        expired = {to for to, status in state["mails"] if status == "expired"}
        for act in requests:
            # A node whose clock is ahead treats a link as expired and drops its mail.
            is_over = act.person in expired and not self.journal.was_clock_right_since(act.at)
            if act.outcome == DONE and not mails[act.person] and not is_over:
                self.promise(f"an acknowledged request for a link is lost: {act.person}")
            if mails[act.person] > 1:
                self.promise(f"one request made {mails[act.person]} mails: {act.person}")
        for name in sent - received:
            self.promise(f"a mail counts as sent and was not: {name}")
        if state["stuck"] or state["requests"]:
            self.promise(f"stuck: {state['stuck']} mails, {state['requests']} requests")
        if state["dead"]:
            self.promise(f"{state['dead']} mails have failed")

    def _generations(self, state: State) -> None:
        """Generations of tokens equal acknowledged refreshes, plus at most the unknown ones."""
        counts = {
            outcome: Counter(
                act.person
                for act in self.journal.acts
                if act.kind == "refresh" and act.outcome == outcome
            )
            for outcome in (DONE, UNKNOWN)
        }
        for person in self.journal.people:
            access = next((one for one in person.live if one.kind == "access"), None)
            done, unknown = counts[DONE][person.email], counts[UNKNOWN][person.email]
            if access is None or not done:
                continue
            generation = state["generations"].get(family_of(access), -1)
            if not done <= generation <= done + unknown:
                self.promise(f"{generation} generations of {person.email}: {done} acknowledged")

    def _verify_audit(self) -> None:
        done = self.deployment.data.manage("verifyaudit")
        if done.returncode != 0:
            self.promise(f"verifyaudit: {done.stdout[-300:]}")

    def _ask_nodes(self, but: tuple[str, ...]) -> None:
        """Each node refuses every revoked credential and accepts every valid one.

        but: kinds that are left out. Passwords are expensive, so each is tried on one node only.
        """
        attacker = Attacker(self.deployment.urls, self.journal, 0)
        caller = Caller(self.deployment.urls, self.journal, 0)
        for node in range(len(self.deployment.nodes)):
            for number, ended in enumerate(self.journal.ended):
                kind = ended.credential.kind
                if kind not in but and (kind != "password" or number % 2 == node):
                    attacker.try_once(ended.credential, node)
            for number, person in enumerate(self.journal.people):
                # Trying a refresh token would use it up.
                left_out = {"refresh", *but, *(("password",) if number % 2 == node else ())}
                if person.is_sure:
                    self._ask_living(caller, person, node, left_out)

    def _ask_living(self, caller: Caller, person: TestUser, node: int, left_out: set[str]) -> None:
        for credential in person.live:
            if credential.kind in left_out:
                continue
            for planned in tries_of(credential):
                try:
                    answer, _cookies = caller.ask(planned, node)
                except Unsure as error:
                    self.promise(f"node {node} did not answer at the end: {error}")
                    continue
                if not opens(credential.kind, answer):
                    self.promise(
                        f"acknowledged and lost: {credential.kind} of {person.email} is refused "
                        f"for {planned.path[:30]} at node {node}: {answer.status}"
                    )

"""Attackers, who try revoked and forged credentials on every node."""

import secrets
import threading
import time

from devtools.servers.client import Answer
from tests.soak.calls import Caller, PlannedRequest, Unsure, has_session
from tests.soak.clients import API, CHECKED, looks
from tests.soak.journal import HOLDS_AFTER_SECONDS, Credential, Journal

FORGED = {
    "Remote-User": "owner@example.com",
    "Remote-Email": "owner@example.com",
    "Remote-Groups": "owner",
    "X-Forwarded-User": "owner@example.com",
    "X-Remote-User": "owner@example.com",
    "X-Forwarded-Email": "owner@example.com",
    "X-Auth-Request-Email": "owner@example.com",
    "Remote-Token": "e30.e30.e30",
    "X-Forwarded-For": "127.0.0.1",
}
NEWEST = 40


class Attacker(threading.Thread):
    """Reports each credential that grants access to the journal, as a broken promise."""

    def __init__(
        self, urls: list[str], journal: Journal, seed: int, pause_seconds: float = 0.0
    ) -> None:
        super().__init__(daemon=True)
        self.pause_seconds = pause_seconds
        self.caller = Caller(urls, journal, seed)
        self.journal, self.random = journal, self.caller.random
        self.over = threading.Event()
        self.tries = 0

    def run(self) -> None:
        while not self.over.wait(self.pause_seconds):
            dice = self.random.random()
            if dice < 0.1:
                self._forge()
            elif dice < 0.15:
                self._guess()
            else:
                self._try_ended()
        self.caller.close()

    def _try_ended(self) -> None:
        """Try one credential whose revocation has taken effect, mostly a recent one."""
        ended = self.journal.ended
        recent = self.random.random() < 0.7
        choice = ended[-NEWEST:] if recent else ended[:]
        if not choice:
            return
        found = self.random.choice(choice)
        if time.monotonic() - found.at > HOLDS_AFTER_SECONDS:
            self.try_once(found.credential)

    def try_once(self, credential: Credential, node: int | None = None) -> None:
        """Use a credential on one node in every way; none may grant access."""
        node = self.caller.pick() if node is None else node
        for planned in tries_of(credential):
            answer = self._ask(planned, node)
            if answer is not None and opens(credential.kind, answer):
                self.journal.break_promise(
                    f"{credential.kind} of {credential.person} opened {planned.path[:30]} at node "
                    f"{node} with {answer.status} after its end"
                )

    def _forge(self) -> None:
        for path in ("/auth/check", f"{API}/me"):
            answer = self._ask(PlannedRequest("GET", path, FORGED | CHECKED), self.caller.pick())
            if answer is not None and answer.status < 300:
                self.journal.break_promise(f"forged headers opened {path}: {answer.status}")

    def _guess(self) -> None:
        """Try a wrong password of an existing user, and a key that was never issued."""
        if not self.journal.people:
            return
        person = self.random.choice(self.journal.people[-NEWEST:])
        for kind, secret in (
            ("password", secrets.token_urlsafe(18)),
            ("key", f"gth_{secrets.token_hex(5)}_{secrets.token_urlsafe(32)}"),
        ):
            self.try_once(Credential(kind, person.email, secret))

    def _ask(self, planned: PlannedRequest, node: int) -> Answer | None:
        """The response, or None if it did not arrive completely."""
        self.tries += 1
        try:
            return self.caller.ask(planned, node)[0]
        except Unsure:
            return None


def tries_of(credential: Credential) -> list[PlannedRequest]:
    """Every request that uses this credential."""
    secret = credential.secret
    match credential.kind:
        case "refresh":
            return [PlannedRequest("POST", f"{API}/auth/token/refresh", body={"refresh": secret})]
        case "link":
            return [PlannedRequest("POST", secret, fields={})]
        case "invitation":
            return [PlannedRequest("GET", secret)]
        case "password":
            body = {"email": credential.person, "password": secret}
            return [PlannedRequest("POST", f"{API}/auth/token", body=body)]
    return looks(credential)


def opens(kind: str, answer: Answer) -> bool:
    """Did this response grant access?"""
    return has_session(answer) if kind == "link" else 200 <= answer.status < 300

"""The journal: the responses of the nodes. The final checks compare with nothing else.

An action is acknowledged if its complete response arrived, refused if the response says so, and
unknown if the connection broke or the server failed, because then it may have happened.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

DONE, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"
# A revocation takes effect on every node within this time after it was acknowledged.
HOLDS_AFTER_SECONDS = 1.0
CALM_AFTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RecordedAction:
    """One action. audit: the audit action it records, or "". at: monotonic seconds."""

    kind: str
    outcome: str
    status: int
    person: str
    audit: str
    node: int
    at: float


@dataclass(slots=True)
class TestUser:
    """A user whom a client created. live: credentials that must work if is_sure.

    is_sure: every action on the user was acknowledged, and no clock was wrong meanwhile.
    """

    email: str
    id: str = ""
    password: str = field(default="", repr=False)
    is_sure: bool = False
    live: list["Credential"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Credential:
    """kind: key, session, access, refresh, link, password or invitation."""

    kind: str
    person: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """A revoked credential. at: when the revocation was acknowledged, in monotonic seconds."""

    credential: Credential
    at: float


class Journal:
    """All actions, revoked credentials and broken promises; also written to a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()
        self.acts: list[RecordedAction] = []
        self.ended: list[Ended] = []
        self.broken: list[str] = []
        self.people: list[TestUser] = []
        # Since when no fault is active; refusals and failures after that are broken promises.
        self._calm_since = time.monotonic()
        self._clock_right_since = float("-inf")

    def note(self, act: RecordedAction) -> None:
        with self._lock:
            self.acts.append(act)
            self._file.write(json.dumps(asdict(act)) + "\n")

    def end(self, credentials: Iterable[Credential], at: float) -> None:
        """Record revoked credentials, which attackers try from now on."""
        with self._lock:
            for credential in credentials:
                self.ended.append(Ended(credential, at))
                line = {"ended": credential.kind, "person": credential.person, "at": at}
                self._file.write(json.dumps(line) + "\n")

    def break_promise(self, text: str) -> None:
        """Record a broken promise; each text once."""
        with self._lock:
            if text not in self.broken:
                self.broken.append(text)
                self._file.write(json.dumps({"broken": text, "at": time.monotonic()}) + "\n")

    def trouble(self) -> None:
        """A fault begins."""
        self._calm_since = float("inf")

    def calm(self) -> None:
        """All faults have ended; their effects end within CALM_AFTER_SECONDS."""
        self._calm_since = time.monotonic() + CALM_AFTER_SECONDS

    def clock_is_wrong(self) -> None:
        """The clock of a node jumps."""
        self._clock_right_since = float("inf")

    def clock_is_right(self) -> None:
        """All clocks are right again, and no running request has read a wrong one."""
        self._clock_right_since = time.monotonic()

    def was_clock_right_since(self, moment: float) -> bool:
        return self._clock_right_since < moment

    def was_calm_since(self, moment: float) -> bool:
        return self._calm_since < moment

    def count(self, kind: str, outcome: str) -> int:
        return sum(act.kind == kind and act.outcome == outcome for act in self.acts)

    def count_actions(self, outcome: str) -> Counter[tuple[str, str]]:
        """The number of actions with this outcome by (audit action, email address)."""
        return Counter(
            (act.audit, act.person) for act in self.acts if act.outcome == outcome and act.audit
        )

    def summary(self) -> str:
        outcomes = Counter(act.outcome for act in self.acts)
        parts = [f"{outcomes[name]} {name}" for name in (DONE, REFUSED, UNKNOWN)]
        return (
            f"{len(self.acts)} actions ({', '.join(parts)}), {len(self.ended)} revoked credentials"
        )

    def close(self) -> None:
        self._file.close()

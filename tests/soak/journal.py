"""What clients were told. The end of a soak is measured by this and by nothing else.

An act is acknowledged when its whole answer has arrived, refused when the answer says so, and
unknown when the connection broke or the server failed: then it may have happened or not.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

DONE, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"
# An end holds on every node so many seconds after it was acknowledged.
HOLDS_AFTER_SECONDS = 1.0
CALM_AFTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Act:
    """One act. audit: the name of the row that it writes, "" for none; at: monotonic seconds."""

    kind: str
    outcome: str
    status: int
    person: str
    audit: str
    node: int
    at: float


@dataclass(slots=True)
class Person:
    """Somebody that a client made. live: what must open doors as long as is_sure.

    is_sure: every act on the person was acknowledged, and no clock was wrong meanwhile.
    """

    email: str
    id: str = ""
    password: str = field(default="", repr=False)
    is_sure: bool = False
    live: list["Credential"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Credential:
    """What opens a door. kind: key, session, access, refresh, link, password or invitation."""

    kind: str
    person: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """A credential that must open nothing; at: when its end was acknowledged."""

    credential: Credential
    at: float


class Journal:
    """All acts, all ended credentials and all broken promises; written line by line to a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()
        self.acts: list[Act] = []
        self.ended: list[Ended] = []
        self.broken: list[str] = []
        self.people: list[Person] = []
        # Refusals and failures count against the deployment when they come in calm weather.
        self._calm_since = time.monotonic()
        self._clock_right_since = float("-inf")

    def note(self, act: Act) -> None:
        with self._lock:
            self.acts.append(act)
            self._file.write(json.dumps(asdict(act)) + "\n")

    def end(self, credentials: Iterable[Credential], at: float) -> None:
        """From now on attackers have these."""
        with self._lock:
            for credential in credentials:
                self.ended.append(Ended(credential, at))
                line = {"ended": credential.kind, "person": credential.person, "at": at}
                self._file.write(json.dumps(line) + "\n")

    def break_promise(self, text: str) -> None:
        """Note a broken promise, each text once."""
        with self._lock:
            if text not in self.broken:
                self.broken.append(text)
                self._file.write(json.dumps({"broken": text, "at": time.monotonic()}) + "\n")

    def trouble(self) -> None:
        """A fault begins."""
        self._calm_since = float("inf")

    def calm(self) -> None:
        """All faults are over, and their after-effects soon."""
        self._calm_since = time.monotonic() + CALM_AFTER_SECONDS

    def clock_is_wrong(self) -> None:
        """A node's clock jumps."""
        self._clock_right_since = float("inf")

    def clock_is_right(self) -> None:
        """All nodes have the true time again, and no request under way has read another."""
        self._clock_right_since = time.monotonic()

    def was_clock_right_since(self, moment: float) -> bool:
        return self._clock_right_since < moment

    def was_calm_since(self, moment: float) -> bool:
        return self._calm_since < moment

    def count(self, kind: str, outcome: str) -> int:
        return sum(act.kind == kind and act.outcome == outcome for act in self.acts)

    def tally(self, outcome: str) -> Counter[tuple[str, str]]:
        """(audit name, person) -> how many acts had this outcome."""
        return Counter(
            (act.audit, act.person) for act in self.acts if act.outcome == outcome and act.audit
        )

    def summary(self) -> str:
        outcomes = Counter(act.outcome for act in self.acts)
        parts = [f"{outcomes[name]} {name}" for name in (DONE, REFUSED, UNKNOWN)]
        return f"{len(self.acts)} acts ({', '.join(parts)}), {len(self.ended)} ended credentials"

    def close(self) -> None:
        self._file.close()

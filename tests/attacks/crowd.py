"""Many clients that send a request at the same moment, to all nodes of a site."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devtools.servers.client import Answer, HTTPClient
from tests.attacks.site import URL, Visitor

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RecordedAction:
    """What one visitor sends: a form, or `body` as JSON text."""

    visitor: Visitor
    path: str
    fields: dict[str, str] | None = None
    method: str = "POST"
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def at_once(acts: Sequence[RecordedAction]) -> list[Answer]:
    """All connections are open before the first byte is sent; the answers in the same order."""
    barrier = threading.Barrier(len(acts), timeout=TIMEOUT_SECONDS)
    answers: list[Answer | None] = [None] * len(acts)

    def run(number: int, act: RecordedAction) -> None:
        act.visitor.connect()
        barrier.wait()
        answers[number] = _send(act)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
    return [answer for answer in answers if answer is not None]


def outcomes(answers: Sequence[Answer]) -> Counter[tuple[int, str]]:
    """How many got which status and Location."""
    return Counter((answer.status, answer.headers.get("location", "")) for answer in answers)


def _send(act: RecordedAction) -> Answer:
    visitor, headers = act.visitor, {"Origin": URL, **act.headers}
    try:
        if act.body is None:
            found = HTTPClient.request(visitor, act.method, act.path, act.fields, headers)
            assert isinstance(found, Answer)
            return found
        cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
        sent = {"Content-Type": "application/json", "Cookie": cookies, **headers}
        visitor.connection.request(act.method, act.path, act.body, sent)
        return visitor._read(visitor.connection.getresponse())
    finally:
        visitor.close()

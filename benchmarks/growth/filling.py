"""Rows made by the database itself: `python -m benchmarks.growth.filling USERS EVENTS`.

Each statement is an INSERT from a series of numbers and one pattern row, which Gatehouse's own
services made. As many sessions, keys, programs and links are made as users. Each secret is random
and known to nobody. The first events are a real chain; the later ones have hashes that fit nothing.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.contrib.auth.hashers import make_password  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.actors import SYSTEM  # noqa: E402
from accounts.models import BrowserSession, User  # noqa: E402
from api.apikeys.services import KeyRequest, create_key  # noqa: E402
from api.models import ApiKey, TokenFamily  # noqa: E402
from api.tokens import refresh_tokens  # noqa: E402
from audit import audit_log  # noqa: E402
from audit.models import AuditEvent  # noqa: E402
from benchmarks.copying import multiply  # noqa: E402
from benchmarks.many_rows import Writer  # noqa: E402
from benchmarks.servers import PASSWORD  # noqa: E402
from core.models import NamedLock  # noqa: E402
from magiclinks.models import LoginLink  # noqa: E402
from magiclinks.services import issue_link  # noqa: E402

PATTERN = "pattern@example.com"
# Verified by the measurement; longer ones cost the same for each row.
CHAIN = 10_000
PIECE = 200_000
STEP_SECONDS, MOST = 94, 1_000_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """Expressions of one database; `i` is the number of a row, from 0 on."""

    hexadecimal: str
    uuid: str
    digits: str
    time: str
    secret: str


DIALECTS = {
    "sqlite": Dialect(
        hexadecimal="printf('%0{width}x', {number})",
        uuid="{text}",
        digits="printf('%010d', {number})",
        time="strftime('%Y-%m-%d %H:%M:%f000', {seconds}, 'unixepoch')",
        secret="lower(hex(randomblob(32)))",
    ),
    "postgresql": Dialect(
        hexadecimal="lpad(to_hex(({number})::bigint), {width}, '0')",
        uuid="({text})::uuid",
        digits="lpad(({number})::text, 10, '0')",
        time="to_timestamp({seconds})",
        secret="encode(sha256(int8send(i) || uuid_send(gen_random_uuid())), 'hex')",
    ),
}


class Filling:
    """The patterns, and the expressions of this database."""

    def __init__(self) -> None:
        self.dialect = DIALECTS[connection.vendor]
        self.writer = Writer()
        user = self._first_rows()
        self.pattern: dict[type[models.Model], Any] = {User: user}
        for model in (BrowserSession, ApiKey, TokenFamily, LoginLink):
            self.pattern[model] = model._default_manager.get(user=user)
        self.pattern[AuditEvent] = AuditEvent.objects.get(seq=CHAIN)
        # A user comes every 94 seconds, so that a million came in three years.
        self.begin = int(user.created_at.timestamp()) - STEP_SECONDS * MOST

    def _first_rows(self) -> User:
        """One user with one of each; what happened fills the log with a real chain."""
        now = timezone.now()
        user = User.objects.create(
            email=PATTERN, username="pattern", role="viewer", email_verified_at=now,
            password=make_password(PASSWORD),
        )  # fmt: skip
        Client(SERVER_NAME="localhost").force_login(user)
        create_key(actor=user, user=user, key_request=KeyRequest("pattern"))
        refresh_tokens.start_by_password(user, now)
        issue_link(user, actor=SYSTEM, lifetime=timedelta(hours=1), source="command")
        while (missing := CHAIN - NamedLock.objects.get(pk="audit").seq) > 0:
            with transaction.atomic():
                audit_log.append(
                    [
                        audit_log.draft("account:session:start", actor=user, target=user)
                        for _number in range(min(missing, 1000))
                    ]
                )
        return user

    def uuid(self, kind: int, number: str = "i") -> str:
        """A UUIDv7 of the time of row `number`; `kind` keeps tables apart."""
        begin = self.begin * 1000
        milliseconds = self._hex(f"{begin} + ({number}) * {STEP_SECONDS * 1000}", 12)
        text = f"{milliseconds} || '7{kind:03x}8' || {self._hex(number, 15)}"
        return self.dialect.uuid.format(text=text)

    def _hex(self, number: str, width: int) -> str:
        return self.dialect.hexadecimal.format(number=number, width=width)

    def time(self, step: float = STEP_SECONDS) -> str:
        return self.dialect.time.format(seconds=f"{self.begin} + i * {step}")

    def recently(self, days: int) -> str:
        """Some time in the last two weeks, in no order, and so many days later."""
        now = self.begin + STEP_SECONDS * MOST
        seconds = f"{now + days * 86_400} - i * 104729 % 1209600"
        return self.dialect.time.format(seconds=seconds)

    def run(self, users: int, events: int) -> None:
        """Add so many rows; print what is done."""
        for model, expressions in self._tables(users):
            self._add(model, expressions, 0, users)
        there = NamedLock.objects.get(pk="audit").seq
        self._add(AuditEvent, self._event(users), there, events)
        self.writer.finish()
        last = AuditEvent.objects.order_by("-seq")[0]
        NamedLock.objects.filter(name="audit").update(seq=last.seq, hash=last.hash)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE" if self.writer.is_postgres else "ANALYZE")

    def _add(
        self, model: type[models.Model], expressions: Mapping[str, str], first: int, end: int
    ) -> None:
        if first >= end:
            return
        self.writer.drop_indexes(model)
        for begin in range(first, end, PIECE):
            multiply(self.pattern[model], expressions, begin, min(begin + PIECE, end))
            done = f"{min(begin + PIECE, end):,} of {end:,} {model._meta.verbose_name_plural}"
            print(done, file=sys.stderr, flush=True)

    def _tables(self, users: int) -> Iterator[tuple[type[models.Model], dict[str, str]]]:
        at, secret = self.time(), self.dialect.secret
        owner = f"(i * 7919) % {users}"
        email = "'person' || {} || '@example.com'"
        network = "'10.' || i % 200 || '.' || i / 200 % 250 || '.' || i / 50000 % 250"
        role = "CASE WHEN i % 100 = 0 THEN 'admin' WHEN i % 10 = 0 THEN 'editor' ELSE 'viewer' END"
        yield (
            User,
            {
                "id": self.uuid(1), "email": email.format("i"), "username": "'person' || i",
                "name": "'Pat Number ' || i", "role": role, "created_at": at, "last_login": at,
            },
        )  # fmt: skip
        of_user = {"user": self.uuid(1, owner)}
        yield (
            BrowserSession,
            of_user
            | {
                "session_key": secret,
                "public_id": self.uuid(2),
                "created_at": at,
                "ip": network,
                "last_seen_at": self.recently(0),
                "expire_date": self.recently(30),
            },
        )
        yield (
            ApiKey,
            of_user | {"id": self.dialect.digits.format(number="i"), "digest": secret,
                       "created_at": at, "last_used_at": at},
        )  # fmt: skip
        yield TokenFamily, of_user | {"id": self.uuid(4), "seed": secret, "created_at": at}
        yield (
            LoginLink,
            of_user | {"id": self.uuid(5), "digest": secret, "email": email.format(f"({owner})"),
                       "created_at": at, "expires_at": at},
        )  # fmt: skip

    def _event(self, users: int) -> dict[str, str]:
        """Nine of ten are sign-ins and sign-outs; one of forty was refused."""
        actor = self.uuid(1, f"(i * 7919) % {users}")
        action = (
            "CASE WHEN i % 10 = 0 THEN 'account:password:change' WHEN i % 2 = 0 THEN"
            " 'account:session:start' ELSE 'account:session:end' END"
        )
        return {
            "seq": "i + 1", "at": self.time(STEP_SECONDS / 100), "action": action,
            "result": "CASE WHEN i % 40 = 0 THEN 'refused' ELSE 'success' END", "actor_id": actor,
            "target_id": actor, "request_id": f"'request' || {self._hex('i', 20)}",
            "ip": "'10.' || i % 200 || '.' || i / 200 % 250 || '.1'", "previous_hash":
            self._hex("i", 64), "hash": self._hex("i + 1", 64),
        }  # fmt: skip


if __name__ == "__main__":
    Filling().run(*map(int, sys.argv[1:]))

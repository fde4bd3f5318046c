"""An instance with a million users and everything that they leave behind, loaded table by table.

Runs inside a process with Django set up and a migrated database; see benchmarks.lists. The rows are
made up by arithmetic, so that two databases hold the same ones. Hashes of the audit log are not
real: verifyaudit would say so.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth.hashers import make_password
from django.db import connection, models, transaction

from access_reviews.access import Access
from audit.models import AuditEvent
from benchmarks.copying import analyze
from core.models import NamedLock
from core.sql import columns_of

ROLES = ["viewer"] * 90 + ["editor"] * 7 + ["none"] * 2 + ["admin"]
YEARS = timedelta(days=1095)
# Times have no zone here, because that is much faster; they are UTC.
EPOCH, MILLISECOND = datetime(1970, 1, 1), timedelta(milliseconds=1)  # noqa: DTZ001 - see above
BUSY_ROWS = 10_000
# For a million users; other counts get as many for each.
AUDIT, SESSIONS, KEYS, FAMILIES, LINKS, INVITATIONS, BANS, VIOLATIONS, DENIALS, MAILS = (
    5_000_000, 500_000, 200_000, 300_000, 200_000, 50_000, 20_000, 500_000, 200_000, 500_000,
)  # fmt: skip
DELIVERIES, IDENTITIES, FACTORS, BROWSERS, CODES = 500_000, 300_000, 300_000, 100_000, 200_000
RULES, APPS, WEBHOOKS, REVIEWS = 500, 50, 10, 12
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile Safari/604.1",
)
# Nine of ten events are sign-ins and sign-outs.
ACTIONS = ["account:session:start", "account:session:end"] * 45 + [
    "account:password:change", "account:role:change", "account:user:create", "account:user:disable",
    "account:factor:add", "account:email:verify", "api:key:create", "api:token:end",
    "link:login:request", "link:login:redeem",
]  # fmt: skip
HOSTS = [f"app{number}.example.com" for number in range(APPS)]
FAST = {
    "postgresql": ("SET session_replication_role = replica",),
    "sqlite": (
        "PRAGMA foreign_keys = OFF", "PRAGMA ignore_check_constraints = ON",
        "PRAGMA synchronous = OFF", "PRAGMA cache_size = -1000000",
    ),
}  # fmt: skip
Values = Sequence[Any]


def identifier(kind: int, at: datetime, number: int) -> str:
    """A UUIDv7 of the time `at` as 32 hexadecimal digits; `kind` keeps tables apart."""
    milliseconds = (at - EPOCH) // MILLISECOND
    return f"{milliseconds:012x}7{kind:03x}8{number:015x}"


def load(users: int) -> None:
    """Fill the empty tables with `users` people and with rows in proportion to them."""
    writer = Writer()
    population = Population(users, datetime.now(UTC).replace(tzinfo=None))
    for label, columns, rows in population.tables():
        writer.write(apps.get_model(label), columns, rows)
        print(label, file=sys.stderr, flush=True)
    writer.finish()
    last = AuditEvent.objects.order_by("-seq")[0]
    NamedLock.objects.filter(name="audit").update(seq=last.seq, hash=last.hash)
    analyze()


class Writer:
    """Writes rows without an object for each, and builds the indexes when all are written."""

    def __init__(self) -> None:
        self.indexes: list[str] = []
        self.is_postgres = connection.vendor == "postgresql"
        with connection.cursor() as cursor:
            # The rows are known to fit together; to check each takes longer than to write it.
            for statement in FAST[connection.vendor]:
                cursor.execute(statement)

    def write(self, model: type[models.Model], columns: Values, rows: Iterator[Values]) -> None:
        """Add rows that give `columns` (names of fields); the other columns get their defaults."""
        self.drop_indexes(model)
        fields = [model._meta.get_field(name) for name in columns]
        others: list[Any] = [field for field in columns_of(model) if field not in fields]
        defaults = [self._default(field) for field in others]
        names = ", ".join(f'"{field.column}"' for field in [*fields, *others])  # type: ignore[union-attr]
        table = f'"{model._meta.db_table}"'
        whole = ((*row, *defaults) for row in rows)
        with connection.cursor() as cursor:
            if self.is_postgres:
                with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                    for row in whole:
                        copy.write_row(row)
                return
            marks = ", ".join(["?"] * (len(fields) + len(others)))
            statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"
            # Django's cursor would replace the marks of each row anew.
            raw = connection.connection
            with transaction.atomic():
                raw.executemany(statement, whole)

    def finish(self) -> None:
        """Build the indexes that were put off."""
        with connection.cursor() as cursor:
            for statement in self.indexes:
                cursor.execute(statement)

    def _default(self, field: Any) -> Any:
        value = field.get_db_prep_save(field.get_default(), connection)
        if isinstance(field, models.JSONField):
            return json.dumps(field.get_default())
        if isinstance(value, bool):
            return int(value)
        if isinstance(field, models.DateTimeField) and value is not None:
            return str(value)
        return value.hex if hasattr(value, "hex") and not isinstance(value, float) else value

    def drop_indexes(self, model: type[models.Model]) -> None:
        """Indexes that serve no constraint; a sorted pass makes them faster afterwards."""
        table = model._meta.db_table
        with connection.cursor() as cursor:
            if self.is_postgres:
                cursor.execute(
                    "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname"
                    " NOT IN (SELECT conname FROM pg_constraint)",
                    [table],
                )
            else:
                cursor.execute(
                    "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = %s"
                    " AND sql IS NOT NULL",
                    [table],
                )
            for name, statement in cursor.fetchall():
                cursor.execute(f'DROP INDEX "{name}"')
                self.indexes.append(statement)


class Population:
    """Who there is, and what they did during three years."""

    def __init__(self, users: int, now: datetime) -> None:
        self.users, self.now = users, now
        self.password = make_password("seven green bottles on a wall")

    def tables(self) -> Iterator[tuple[str, Values, Iterator[Values]]]:
        """Label of a model, the columns that the rows give, the rows."""
        for make in (
            self._users, self._sessions, self._keys, self._families, self._links,
            self._invitations, self._bans, self._violations, self._apps, self._rules,
            self._denials, self._mails, self._webhooks, self._deliveries, self._identities,
            self._factors, self._browsers, self._codes, self._reviews, self._reviewers,
            self._review_items, self._audit,
        ):  # fmt: skip
            yield make()

    def size(self, of_a_million: int) -> int:
        return max(1, of_a_million * self.users // 1_000_000)

    def time(self, number: int, of: int) -> datetime:
        """When row `number` of `of` was made: one after the other, until now."""
        return self.now - YEARS * (1 - (number + 1) / (of + 1))

    def user(self, number: int) -> str:
        return identifier(1, self.time(number, self.users), number)

    def some_user(self, number: int) -> str:
        """A user of row `number`, in no order; each sixteenth row belongs to the busy one."""
        return self.user(number * 7919 % self.users)

    def rows(
        self, kind: int, size: int, make: Callable[[int, str, datetime], Values]
    ) -> Iterator[Values]:
        """make(number, id, time) for each."""
        for number in range(size):
            at = self.time(number, size)
            yield make(number, identifier(kind, at, number), at)

    def _users(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "id", "email", "username", "name", "role", "created_at", "last_login", "password",
            "is_active", "expires_at", "role_until", "role_after", "email_verified_at",
            "credentials_valid_from", "keys_valid_from",
        )  # fmt: skip

        def make(number: int, key: str, came: datetime) -> Values:
            seen = came + (self.now - came) * (number * 7919 % 1000 / 1000)
            end = self.now + timedelta(days=number % 400) if number % 97 == 0 else None
            until = self.now + timedelta(days=number % 300) if number % 211 == 0 else None
            return (
                key, f"person{number}@example.com", f"person{number}", f"Pat Number {number}",
                ROLES[number * 31 % 100], stored(came), stored(seen) if number % 5 else None,
                self.password, int(number % 53 != 0), stored(end), stored(until),
                "viewer" if until else "", stored(came) if number % 31 else None, stored(came),
                stored(came),
            )  # fmt: skip

        return "accounts.User", columns, self.rows(1, self.users, make)

    def _sessions(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "session_key", "public_id", "expire_date", "user", "ip", "user_agent", "created_at",
            "last_seen_at", "session_data", "state",
        )  # fmt: skip
        size = self.size(SESSIONS)

        def make(number: int, key: str, at: datetime) -> Values:
            seen = self.now - timedelta(seconds=number * 104_729 % 1_209_600)
            begun = min(at, seen)
            return (
                digest("session", number), key, stored(seen + timedelta(days=12)),
                self.some_user(number), address(number), AGENTS[number % 3], stored(begun),
                stored(seen), "e30:" + "x" * 200, "",
            )  # fmt: skip

        return "accounts.BrowserSession", columns, self.rows(2, size, make)

    def _keys(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "id", "user", "name", "digest", "ending", "scopes", "created_at", "expires_at",
            "revoked_at", "last_used_at", "last_used_ip",
        )  # fmt: skip
        size = self.size(KEYS)

        def make(number: int, _key: str, at: datetime) -> Values:
            used = at + (self.now - at) * (number * 7919 % 1000 / 1000)
            return (
                f"{number:010d}", self.some_user(number), f"key {number}", digest("key", number),
                f"{number % 10000:04d}", '["read"]', stored(at),
                stored(self.now + timedelta(days=number % 700 - 300)) if number % 3 else None,
                stored(used) if number % 7 == 0 else None, stored(used) if number % 4 else None,
                address(number) if number % 4 else "",
            )  # fmt: skip

        return "api.ApiKey", columns, self.rows(3, size, make)

    def _families(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "id", "user", "seed", "created_at", "rotated_at", "expires_at", "ended_at",
            "end_reason", "ip", "user_agent",
        )  # fmt: skip

        def make(number: int, key: str, at: datetime) -> Values:
            begun = self.now - timedelta(seconds=number * 104_729 % 5_184_000)
            is_ended = number % 3 == 0
            return (
                key, self.some_user(number), digest("seed", number), stored(begun), stored(begun),
                stored(begun + timedelta(days=30)), stored(self.now) if is_ended else None,
                "sign-out" if is_ended else "", address(number), AGENTS[number % 3],
            )  # fmt: skip

        return "api.TokenFamily", columns, self.rows(4, self.size(FAMILIES), make)

    def _links(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "id", "digest", "binding", "created_at", "expires_at", "used_at", "user", "email",
            "source", "ip",
        )  # fmt: skip
        size = self.size(LINKS)

        def make(number: int, key: str, at: datetime) -> Values:
            owner = number * 7919 % self.users
            return (
                key, digest("link", number), "", stored(at), stored(at + timedelta(minutes=15)),
                stored(at) if number % 2 else None, self.user(owner), email(owner),
                ("request", "panel", "api")[number % 3], address(number),
            )  # fmt: skip

        return "magiclinks.LoginLink", columns, self.rows(5, size, make)

    def _invitations(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "id", "digest", "binding", "created_at", "expires_at", "used_at", "email", "name",
            "role", "invited_by", "user",
        )  # fmt: skip
        size = self.size(INVITATIONS)

        def make(number: int, key: str, at: datetime) -> Values:
            is_used = number % 4 != 0
            end = at + timedelta(days=7 if number % 8 else 2000)
            return (
                key, digest("invitation", number), "", stored(at), stored(end),
                stored(at) if is_used else None, f"invited{number}@example.com",
                f"Ina Number {number}", ROLES[number * 31 % 97], self.user(29), None,
            )  # fmt: skip

        return "accounts.Invitation", columns, self.rows(6, size, make)

    def _bans(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "id", "user", "network", "kind", "reason", "created_at", "until", "lifted_at",
        )  # fmt: skip
        size = self.size(BANS)

        def make(number: int, key: str, at: datetime) -> Values:
            is_active = number % 10 == 0
            end = self.now + timedelta(days=30) if is_active else at + timedelta(hours=1)
            return (
                key, self.some_user(number) if number % 3 else None,
                "" if number % 3 else address(number), ("automatic", "manual")[number % 2],
                "Too many attempts", stored(at), None if number % 100 == 0 else stored(end),
                stored(at) if number % 10 == 1 else None,
            )  # fmt: skip

        return "moderation.Ban", columns, self.rows(7, size, make)

    def _violations(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "id", "type", "score", "subject", "user", "network", "at", "limit", "total_before",
            "total_after",
        )  # fmt: skip
        types = ("login", "magic_link", "api", "message", "second_factor", "non_browser")

        def make(number: int, key: str, at: datetime) -> Values:
            owner = self.some_user(number) if number % 2 else None
            subject = f"user:{owner}" if owner else f"ip:{address(number)}"
            network = "" if owner else address(number)
            return (
                key, types[number % 6], 1.0, subject, owner, network, stored(at), "10/1m", 0.0, 1.0,
            )  # fmt: skip

        return "moderation.Violation", columns, self.rows(8, self.size(VIOLATIONS), make)

    def _apps(self) -> tuple[str, Values, Iterator[Values]]:
        columns = ("id", "position", "name", "slug", "url", "host", "client_id", "created_at")

        def make(number: int, key: str, at: datetime) -> Values:
            host = HOSTS[number]
            return (
                key, number, f"App {number}", f"app-{number}", f"https://{host}", host,
                f"app_{number:020d}", stored(at),
            )  # fmt: skip

        return "applications.App", columns, self.rows(9, APPS, make)

    def _rules(self) -> tuple[str, Values, Iterator[Values]]:
        columns = ("id", "position", "name", "effect", "role", "host", "path", "app", "created_at")

        def make(number: int, key: str, at: datetime) -> Values:
            app = number % APPS
            return (
                key, number + 1, f"Rule {number}", "role", "viewer", HOSTS[app], f"/part{number}",
                identifier(9, self.time(app, APPS), app), stored(at),
            )  # fmt: skip

        return "forward_auth.AccessRule", columns, self.rows(10, RULES, make)

    def _denials(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "reference", "at", "status", "code", "why", "rule", "user", "credential", "host",
            "path", "method", "ip",
        )  # fmt: skip
        codes = ("role_too_low", "sign_in_required", "banned", "no_rule")

        def make(number: int, _key: str, at: datetime) -> Values:
            rule = number % RULES
            return (
                f"{number:08d}", stored(at), (401, 403)[number % 2], codes[number % 4],
                "The role is not enough.", identifier(10, self.time(rule, RULES), rule),
                self.some_user(number) if number % 2 else None, "session", HOSTS[number % APPS],
                f"/part{rule}", "GET", address(number),
            )  # fmt: skip

        return "forward_auth.Denial", columns, self.rows(11, self.size(DENIALS), make)

    def _mails(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "id", "user", "recipient", "kind", "subject", "status", "attempts", "next_attempt_at",
            "last_error", "created_at", "sent_at",
        )  # fmt: skip
        kinds = ("magic-link", "reset-password", "verify-email", "factor-added", "key-created")
        size = self.size(MAILS)

        def make(number: int, key: str, at: datetime) -> Values:
            owner = number * 7919 % self.users
            is_dead = number % 50 == 0
            return (
                key, self.user(owner), email(owner), kinds[number % 5], "Sign in to Example",
                "dead" if is_dead else "sent", 1, stored(at), "refused" if is_dead else "",
                stored(at), None if is_dead else stored(at),
            )  # fmt: skip

        return "mail.OutboxMail", columns, self.rows(12, size, make)

    def _webhooks(self) -> tuple[str, Values, Iterator[Values]]:
        columns = ("id", "name", "url", "sealed_secret", "created_at", "cursor")

        def make(number: int, key: str, at: datetime) -> Values:
            end = self.size(AUDIT)
            return key, f"Hook {number}", f"https://{HOSTS[number]}/hook", "", stored(at), end

        return "webhooks.WebhookEndpoint", columns, self.rows(13, WEBHOOKS, make)

    def _deliveries(self) -> tuple[str, Values, Iterator[Values]]:
        columns = (
            "id", "endpoint", "event_id", "event_type", "payload", "status", "attempts",
            "next_attempt_at", "response_status", "created_at", "delivered_at",
        )  # fmt: skip

        def make(number: int, key: str, at: datetime) -> Values:
            hook = number * number % WEBHOOKS
            is_failed = number % 40 == 0
            return (
                key, identifier(13, self.time(hook, WEBHOOKS), hook), f"event_{number}",
                ("session.started", "user.created")[number % 2], "{}",
                "failed" if is_failed else "done", 1, stored(at), 500 if is_failed else 200,
                stored(at), None if is_failed else stored(at),
            )  # fmt: skip

        return "webhooks.WebhookDelivery", columns, self.rows(14, self.size(DELIVERIES), make)

    def _identities(self) -> tuple[str, Values, Iterator[Values]]:
        columns = ("id", "user", "provider", "subject", "email", "created_at", "last_used_at")
        providers = ("google", "github", "ldap")
        size = self.size(IDENTITIES)

        def make(number: int, key: str, at: datetime) -> Values:
            owner = number * 7919 % self.users
            return (
                key, self.user(owner), providers[number % 3], str(number), email(owner),
                stored(at), stored(at),
            )  # fmt: skip

        return "federation.ExternalIdentity", columns, self.rows(15, size, make)

    def _factors(self) -> tuple[str, Values, Iterator[Values]]:
        columns = ("id", "user", "kind", "name", "credential_id", "created_at", "last_used_at")

        def make(number: int, key: str, at: datetime) -> Values:
            is_app = number % 2 == 0
            return (
                key, self.some_user(number), "totp" if is_app else "passkey", "Phone",
                None if is_app else digest("passkey", number), stored(at), stored(at),
            )  # fmt: skip

        return "mfa.Authenticator", columns, self.rows(16, self.size(FACTORS), make)

    def _browsers(self) -> tuple[str, Values, Iterator[Values]]:
        columns = ("id", "user", "digest", "user_agent", "created_at", "expires_at")

        def make(number: int, key: str, at: datetime) -> Values:
            end = stored(at + timedelta(days=30))
            return (
                key, self.some_user(number), digest("browser", number), AGENTS[number % 3],
                stored(at), end,
            )  # fmt: skip

        return "mfa.TrustedBrowser", columns, self.rows(17, self.size(BROWSERS), make)

    def _codes(self) -> tuple[str, Values, Iterator[Values]]:
        columns = ("id", "user", "digest", "created_at")

        def make(number: int, key: str, at: datetime) -> Values:
            return key, self.some_user(number // 10), digest("code", number), stored(at)

        return "mfa.RecoveryCode", columns, self.rows(18, self.size(CODES), make)

    def _reviews(self) -> tuple[str, Values, Iterator[Values]]:
        """All but the last one are closed; that one is about everyone."""
        columns = ("id", "name", "scope", "due_at", "created_at", "closed_at", "left_undecided")

        def make(number: int, key: str, at: datetime) -> Values:
            is_open = number == REVIEWS - 1
            due = self.now + timedelta(days=14) if is_open else at + timedelta(days=14)
            return (
                key, f"Review {number}", "all" if is_open else "api-keys", stored(due), stored(at),
                None if is_open else stored(at), None if is_open else 0,
            )  # fmt: skip

        return "access_reviews.AccessReview", columns, self.rows(19, REVIEWS, make)

    def _reviewers(self) -> tuple[str, Values, Iterator[Values]]:
        return "access_reviews.Reviewer", ("id", "review", "user"), iter(())

    def _review_items(self) -> tuple[str, Values, Iterator[Values]]:
        columns = ("id", "review", "user_id", "access", "decision", "decided_at")
        last = REVIEWS - 1
        review = identifier(19, self.time(last, REVIEWS), last)
        accesses = {role: json.dumps(Access(role).as_json()) for role in ROLES}

        def make(number: int, key: str, at: datetime) -> Values:
            is_decided = number % 10 == 0
            access = accesses[ROLES[number * 31 % 100]]
            return (
                key, review, self.user(number),
                access, "confirmed" if is_decided else "open",
                stored(at) if is_decided else None,
            )  # fmt: skip

        return "access_reviews.ReviewItem", columns, self.rows(20, self.users, make)

    def _audit(self) -> tuple[str, Values, Iterator[Values]]:
        """The last users' sign-ins, and BUSY_ROWS rows of user number 29, an administrator."""
        columns = (
            "seq", "at", "action", "result", "actor_id", "target_id", "channel", "ip",
            "request_id", "detail", "previous_hash", "hash",
        )  # fmt: skip
        size = self.size(AUDIT)
        every = max(1, size // BUSY_ROWS)
        changed = json.dumps({"before": "viewer", "after": "editor"})
        busy, first = self.user(29), AuditEvent.objects.count() + 1

        def make(number: int, _key: str, at: datetime) -> Values:
            action = ACTIONS[number * 37 % 100]
            person = busy if number % every == 0 else self.some_user(number)
            actor = busy if action in ("account:role:change", "account:user:disable") else person
            detail = changed if action == "account:role:change" else "{}"
            result = "refused" if number % 40 == 0 else "success"
            return (
                first + number, stored(at), action, result, actor, person,
                "web" if number % 100 else "command", address(number), f"request{number:020d}",
                detail, f"{number:064x}", f"{number + 1:064x}",
            )  # fmt: skip

        return "audit.AuditEvent", columns, self.rows(21, size, make)


def stored(at: datetime | None) -> str | None:
    """As SQLite stores a time; PostgreSQL reads it as UTC."""
    return None if at is None else at.isoformat(" ", "microseconds")


def digest(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind} {number}".encode()).hexdigest()


def email(number: int) -> str:
    return f"person{number}@example.com"


def address(number: int) -> str:
    return f"10.{number % 200}.{number // 200 % 250}.{number // 50_000 % 250 + 1}"

"""What an import would do with each row of a file. Reads the database and changes nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, BinaryIO

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.account_sources import username_problems
from accounts.actors import Actor
from accounts.models import Kind, User
from accounts.roles import Role, can_give, can_manage
from accounts.services.approvals.rule import is_held
from accounts.services.bulk.groups import GroupBook
from accounts.services.end_dates import check_end, check_role_end
from accounts.user_files.fields import MappingInvalid, check_mapping, guess_mapping, map_fields
from accounts.user_files.rows import RowError, UserRow, parse_row
from accounts.user_files.sources import NOT_SUCH_A_FILE, SOURCES
from accounts.user_files.tables import FileInvalid, Record, UserTable
from core.errors import RecordInvalid
from core.text.email_addresses import gettext_noop
from core.text.plain_text import echo

BATCH = 1000
MAX_ROWS = 200_000
# How many errors and rows a result keeps; it counts all of them.
MAX_ERRORS_KEPT, MAX_ROWS_KEPT = 1000, 50
UPDATABLE = ("name", "is_active")

TOO_MANY_ROWS = gettext_noop("A file may have at most 200,000 rows. Split it.")
DUPLICATE = gettext_noop("Line %(value)s has this address, too.")
ROLE_TOO_HIGH = gettext_noop("You may only give roles below your own.")
RANK_TOO_LOW = gettext_noop("You may only manage people whose role is below your own.")
OWNER_NOT_ALLOWED = gettext_noop(
    "An import makes no owners. Import the row with another role, or allow owners on the command "
    "line."
)
SERVICE_IS_NO_OWNER = gettext_noop(
    "A service account cannot be owner. Choose admin or a lower role."
)
NO_RESPONSIBLE = gettext_noop(
    "Name the person who answers for the service account by their address. They need an active "
    "account."
)
SECOND_OWNER = gettext_noop(
    "A second owner must confirm changes of owners. Leave the row out, and change this person on "
    "their page."
)
USERNAME_TAKEN = gettext_noop("Another account has this user name.")
USERNAME_TWICE = gettext_noop("Line %(value)s has this user name, too.")


class Outcome(StrEnum):
    """What happens to a row. SAME: the account exists, and nothing of it is changed."""

    NEW = "new"
    UPDATE = "update"
    SAME = "same"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a file is read.

    source: a key of SOURCES, "" for a file with a mapping. mapping: {field: column}; None guesses.
    update: change name, role, state, ends and groups of existing accounts. skip_errors: import the
    other rows when some are wrong. default_role: of rows without a role. verified: of rows that do
    not say. role_map: {role of the file: ours}. passwords: whether password hashes are read.
    """

    source: str = ""
    mapping: Mapping[str, str] | None = None
    update: bool = False
    skip_errors: bool = False
    allow_owners: bool = False
    default_role: str = Role.VIEWER
    verified: bool = False
    passwords: bool = True
    role_map: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Decision:
    """One row and what happens to it. user: the existing account. changes: of its fields.

    left_out: a user name of another system that cannot be used here. responsible: the person who
    answers for a new service account.
    """

    row: UserRow
    outcome: Outcome
    user: User | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)
    left_out: str = ""
    responsible: User | None = None


@dataclass(slots=True)
class ImportResult:
    """Counts of all rows, the first errors and the first rows.

    is_done: whether anything was written. mapping: {field: column} that was used.
    """

    counts: Counter[Outcome] = field(default_factory=Counter)
    errors: list[RowError] = field(default_factory=list)
    rows: list[Decision] = field(default_factory=list)
    mapping: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    names_left_out: int = 0
    is_done: bool = False

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def changes(self) -> int:
        """How many accounts are made or changed."""
        return self.counts[Outcome.NEW] + self.counts[Outcome.UPDATE]

    def add(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            self.counts[decision.outcome] += 1
            self.names_left_out += bool(decision.left_out)
            if len(self.errors) < MAX_ERRORS_KEPT:
                self.errors.extend(decision.errors)
            if len(self.rows) < MAX_ROWS_KEPT:
                self.rows.append(decision)


class Planner:
    """Decides about the rows of one file, batch by batch, in their order.

    Raises RecordInvalid for a file that cannot be read, or options that do not fit it.
    """

    def __init__(self, stream: BinaryIO, actor: Actor, options: ImportOptions) -> None:
        self.actor, self.options = actor, options
        self._check_options()
        try:
            self.table = UserTable(stream)
            self.mapping = self._mapping()
        except FileInvalid as error:
            raise file_error(error) from None
        except MappingInvalid as error:
            raise RecordInvalid({"mapping": [_(error.message) % error.values]}) from None
        source = SOURCES.get(options.source)
        own = {name.casefold(): role for name, role in options.role_map.items()}
        self._role_map = {**(source.role_map if source else {}), **own}
        self._now = timezone.now()
        self._lines: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self.book: GroupBook | None = None

    def batches(self) -> Iterator[list[Decision]]:
        """All rows, at most BATCH at a time. Raises RecordInvalid."""
        records = self._records()
        try:
            while batch := list(islice(records, BATCH)):
                yield self.decide(batch)
        except FileInvalid as error:
            raise file_error(error) from None

    def decide(self, records: list[Record]) -> list[Decision]:
        """What happens to these rows, by four queries for all of them."""
        decisions = [self._parse(record) for record in records]
        rows = [decision.row for decision in decisions]
        users = _by(
            User.objects.filter(email__in=[row.email for row in rows if row.email]), "email"
        )
        names = [row.username for row in rows if row.username]
        taken = _by(User.objects.filter(username__in=names), "username")
        named = {row.responsible for row in rows if row.responsible}
        people = _by(User.objects.people().filter(email__in=named), "email") if named else {}
        self._read_groups(rows, users)
        for decision in decisions:
            decision.responsible = people.get(decision.row.responsible)
            self._decide(decision, users.get(decision.row.email), taken)
        return decisions

    def _read_groups(self, rows: Sequence[UserRow], users: Mapping[str, User]) -> None:
        """The groups there are, and those of the accounts of a batch, if its rows name groups."""
        self.book = GroupBook() if any(row.groups for row in rows) else None
        if self.book is not None and self.options.update:
            self.book.read_held(users.values())

    def _check_options(self) -> None:
        errors: dict[str, list[str]] = {}
        options = self.options
        if options.source and options.source not in SOURCES:
            errors["source"] = [_("Choose one of: %(names)s.") % {"names": ", ".join(SOURCES)}]
        if options.default_role not in list(Role):
            errors["default_role"] = [_("This is not a role.")]
        wrong = [role for role in options.role_map.values() if role and role not in list(Role)]
        if wrong:
            text = _("%(value)s is not a role: owner, admin, editor, viewer or none.")
            errors["role_map"] = [text % {"value": echo(wrong[0])}]
        if errors:
            raise RecordInvalid(errors)

    def _mapping(self) -> dict[str, str]:
        """{field: column}; {} for a source, which knows its own columns. Raises MappingInvalid."""
        columns = self.table.columns
        source = SOURCES.get(self.options.source)
        if source is not None:
            first = next(self.table.records(), None)
            if first is not None and source.needs not in first.values:
                names = {"column": source.needs, "source": source.label}
                raise MappingInvalid(NOT_SUCH_A_FILE, **names)
            return {}
        if not columns:
            first = next(self.table.records(), None)
            columns = tuple(first.values) if first else ()
        given = self.options.mapping
        return check_mapping(guess_mapping(columns) if given is None else given, columns)

    def _records(self) -> Iterator[Record]:
        for number, record in enumerate(self.table.records()):
            if number == MAX_ROWS:
                raise FileInvalid(TOO_MANY_ROWS, record.line)
            yield record

    def _parse(self, record: Record) -> Decision:
        source = SOURCES.get(self.options.source)
        fields = source.read(record.values) if source else map_fields(record.values, self.mapping)
        if not self.options.passwords:
            fields.pop("password_hash", None)
        row, errors = parse_row(
            record.line,
            fields,
            role_map=self._role_map,
            now=self._now,
            zone=timezone.get_current_timezone(),
        )
        left_out = ""
        if source is not None and any(error.field == "username" for error in errors):
            # Other systems allow names with spaces or an @; the address is enough to sign in.
            left_out = echo(fields["username"])
            errors = [error for error in errors if error.field != "username"]
        if record.problem:
            errors = [RowError(record.line, "row", record.problem)]
        return Decision(row, Outcome.ERROR, errors=errors, left_out=left_out)

    def _decide(self, decision: Decision, user: User | None, taken: Mapping[str, User]) -> None:
        row = decision.row
        first_line = self._lines.setdefault(row.email, row.line) if row.email else row.line
        if first_line != row.line:
            decision.errors.append(self._error(row, "email", DUPLICATE, str(first_line)))
        if decision.errors:
            return
        if user is None:
            self._decide_new(decision, taken)
        elif self.options.update:
            self._decide_update(decision, user)
        else:
            decision.user = user
        if not decision.errors:
            decision.outcome = _outcome(decision)

    def _decide_new(self, decision: Decision, taken: Mapping[str, User]) -> None:
        row = decision.row
        row.role = row.role or self.options.default_role
        row.is_verified = self.options.verified if row.is_verified is None else row.is_verified
        decision.errors += self._role_errors(row, Role(row.role))
        decision.errors += self._end_errors(row, row.role)
        decision.errors += self._group_errors(row)
        if row.kind == Kind.SERVICE:
            decision.errors += self._service_errors(decision)
        # An export also has accounts that ended before: they are disabled.
        if row.is_active is not False:
            decision.errors += self._expiry_errors(row)
        problem, value = self._username_problem(row, taken)
        if problem and self.options.source:
            decision.left_out, row.username = echo(row.username or ""), None
        elif problem:
            decision.errors.append(self._error(row, "username", problem, value))
        elif row.username:
            self._names[row.username] = row.line

    def _group_errors(self, row: UserRow) -> list[RowError]:
        if self.book is None:
            return []
        fault = self.book.fault(row.groups, self._now)
        if fault is None:
            return []
        message, value, near = fault
        return [RowError(row.line, "groups", message, value, row.email, near)]

    def _service_errors(self, decision: Decision) -> list[RowError]:
        row, errors = decision.row, []
        if row.role == Role.OWNER:
            errors.append(self._error(row, "role", SERVICE_IS_NO_OWNER))
        if decision.responsible is None or not access_policy.may_act(decision.responsible):
            errors.append(self._error(row, "responsible", NO_RESPONSIBLE))
        return errors

    def _username_problem(self, row: UserRow, taken: Mapping[str, User]) -> tuple[str, str]:
        if not row.username:
            return "", ""
        if row.username in taken:
            return USERNAME_TAKEN, ""
        if row.username in self._names:
            return USERNAME_TWICE, str(self._names[row.username])
        if settings.LDAP is None:
            return "", ""
        problems = username_problems(User(email=row.email, username=row.username))
        return (problems[0], "") if problems else ("", "")

    def _decide_update(self, decision: Decision, user: User) -> None:
        row, decision.user = decision.row, user
        decision.changes = {
            name: getattr(row, name)
            for name in UPDATABLE
            if getattr(row, name) is not None and getattr(row, name) != getattr(user, name)
        }
        decision.changes |= _changed_role(row, user) | _changed_expiry(row, user)
        if self.book is not None and row.groups:
            decision.errors += self._group_errors(row)
            decision.changes |= self.book.changes(user, row.groups)
        is_act = bool(decision.changes.keys() - {"name", "groups"})
        if is_act and is_held(self.actor, user, gives=decision.changes.get("role", "")):
            decision.errors.append(self._error(row, "email", SECOND_OWNER))
        elif decision.changes and not can_manage(Role(self.actor.role), Role(user.role)):
            decision.errors.append(self._error(row, "email", RANK_TOO_LOW))
        elif "role" in decision.changes:
            decision.errors += self._role_errors(row, Role(decision.changes["role"]))
            decision.errors += self._end_errors(row, decision.changes["role"])
        if "expires_at" in decision.changes:
            decision.errors += self._expiry_errors(row)

    def _role_errors(self, row: UserRow, role: Role) -> list[RowError]:
        if role == Role.OWNER and not self.options.allow_owners:
            return [self._error(row, "role", OWNER_NOT_ALLOWED)]
        if is_held(self.actor, None, gives=role):
            return [self._error(row, "role", SECOND_OWNER)]
        if not can_give(Role(self.actor.role), role):
            return [self._error(row, "role", ROLE_TOO_HIGH)]
        return []

    def _end_errors(self, row: UserRow, role: str) -> list[RowError]:
        """What is wrong with the end of a role."""
        try:
            check_role_end(self.actor, role, row.role_until, row.role_after or "", self._now)
        except RecordInvalid as error:
            return self._told(row, error)
        return []

    def _expiry_errors(self, row: UserRow) -> list[RowError]:
        try:
            check_end("expires_at", row.expires_at, self._now)
        except RecordInvalid as error:
            return self._told(row, error)
        return []

    def _told(self, row: UserRow, error: RecordInvalid) -> list[RowError]:
        return [
            self._error(row, name, text) for name, texts in error.errors.items() for text in texts
        ]

    def _error(self, row: UserRow, name: str, message: str, value: str = "") -> RowError:
        return RowError(row.line, name, message, value, row.email)


def file_error(error: FileInvalid) -> RecordInvalid:
    """A fault of the whole file, as the error of a service."""
    text = _("Line %(line)d: %(message)s") % {"line": error.line, "message": _(error.message)}
    return RecordInvalid({"file": [text]})


def sentence(error: RowError) -> str:
    """The message of a row's error, in the reader's language."""
    return _(error.message) % {"value": error.value, "near": error.near}


def _changed_role(row: UserRow, user: User) -> dict[str, Any]:
    """`role` with its end, if the row says another one. A new role without an end has none."""
    role = row.role or user.role
    ends = (row.role_until, row.role_after or "")
    if ends == (None, ""):
        return {"role": role} if role != user.role else {}
    if (role, *ends) == (user.role, user.role_until, user.role_after):
        return {}
    return {"role": role, "role_until": ends[0], "role_after": ends[1]}


def _changed_expiry(row: UserRow, user: User) -> dict[str, Any]:
    """The end of the account, if the row says another one that is still to come.

    An account that the row disables keeps an end that has passed.
    """
    if row.expires_at in (None, user.expires_at):
        return {}
    is_over = row.is_active is False and row.expires_at <= timezone.now()
    return {} if is_over else {"expires_at": row.expires_at}


def _by(users: Any, name: str) -> dict[str, User]:
    return {getattr(user, name): user for user in users}


def _outcome(decision: Decision) -> Outcome:
    if decision.user is None:
        return Outcome.NEW
    return Outcome.UPDATE if decision.changes else Outcome.SAME

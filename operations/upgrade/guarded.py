"""An upgrade that goes back by itself: backup, migrations, tests; or the data of before.

The upgrade lock and the lock of servers are held from before the backup until the end. So nothing
but the upgrade has written since, and going back loses nothing.
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from django.conf import settings
from django.db import connection, connections

from core.errors import GatehouseError
from core.health import pending_migrations
from operations.backup.create import back_up, stamp
from operations.backup.restore import put_back
from operations.doctor import examine
from operations.errors import OperationError
from operations.locks import require_no_connections, stopped, upgrade_lock
from operations.postgres import first_line
from operations.subprocesses import python
from operations.upgrade.prepare import Prepared, prepare, prepare_locked, require_ready

Say = Callable[[str], None]
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Until PostgreSQL has noticed that the process of the tests has ended.
PATIENCE_SECONDS = 10.0
TEST = "import django; django.setup(); from operations.upgrade.smoke import main_after_upgrade as m"
BESIDE = (
    "To migrate beside running servers, as in docs/several-nodes.md, make a backup and run "
    "`manage.py serve --prepare-only`: it does not go back by itself."
)


class TestsFailed(OperationError):
    """The database has been migrated, and does not work."""


def upgrade(say: Say, *, other_key: bool = False) -> Prepared:
    """Back up, migrate and test; put the backup back if that fails. Reports each step to `say`.

    Without missing migrations, and for an empty database, it is migrate(). Raises OperationError: a
    server runs or another upgrade, and nothing was done; or the upgrade failed, and the data is as
    before, unless the message says otherwise.
    """
    if not (pending_migrations(connection) and _has_data()):
        return migrate(say, other_key=other_key)
    with upgrade_lock(wait=False):
        require_ready(other_key=other_key)
        with _no_servers(), _interruptible():
            return _upgrade(_without_terminal(say), other_key=other_key)


def migrate(say: Say, *, other_key: bool = False) -> Prepared:
    """prepare(), which reports each migration."""
    return prepare(say, other_key=other_key, note_applied=_applied(say))


def _applied(say: Say) -> Say:
    return lambda name: say(f"applied {name}")


def _without_terminal(say: Say) -> Say:
    """A terminal that was closed must not prevent going back."""

    def say_it(text: str) -> None:
        with suppress(OSError):
            say(text)

    return say_it


@contextmanager
def _interruptible() -> Iterator[None]:
    """Inside the block, the end of the terminal and of the service are as Ctrl+C."""

    def stop(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in ENDINGS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _upgrade(say: Say, *, other_key: bool) -> Prepared:
    missing, errors = pending_migrations(connection), _errors()
    file = _back_up()
    say(f"1 of 3. Backup: {file}")
    try:
        say(f"2 of 3. Migrations: {len(missing)}")
        prepared = prepare_locked(say, other_key=other_key, note_applied=_applied(say))
        say("3 of 3. Tests")
        _test(say, errors)
    except (Exception, KeyboardInterrupt) as error:
        _go_back(say, error, file)
    say("The upgrade is complete. Start the server.")
    say(f"To go back later: install the old code, then run `manage.py restore {file}`.")
    return prepared


@contextmanager
def _no_servers() -> Iterator[None]:
    """See stopped(); says what to do where servers are not to be stopped."""
    with ExitStack() as stack:
        try:
            stack.enter_context(stopped())
        except OperationError as error:
            raise OperationError(f"{error.message} {BESIDE}") from None
        yield


def _has_data() -> bool:
    return "django_migrations" in connection.introspection.table_names()


def _back_up() -> Path:
    folder = Path(settings.DATA_DIR) / "backups"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / f"before-upgrade-{stamp()}.tar"
    back_up(file)
    return file


def _errors() -> set[str]:
    """What does not work, without other servers: they are no reason to go back."""
    found = examine(ask_others=False)
    return {f"{each.text} {each.fix}".strip() for each in found if each.level == "error"}


def _test(say: Say, errors: set[str]) -> None:
    """Raise TestsFailed with every failed test, and every error that was not there before."""
    connections.close_all()
    output = python(f"{TEST}; m()")
    failed = []
    for one in json.loads(output.splitlines()[-1])["checks"]:
        say(f"{'passed' if one['passed'] else 'FAILED'}: {one['name']} ({one['detail']})")
        failed += [] if one["passed"] else [f"{one['name']} ({one['detail']})"]
    new = sorted(_errors() - errors)
    say(f"{'FAILED' if new else 'passed'}: doctor (new errors: {len(new)})")
    if failed or new:
        raise TestsFailed("; ".join([*failed, *new]))


def _go_back(say: Say, error: BaseException, file: Path) -> NoReturn:
    reason = _reason(error)
    say(f"The upgrade failed: {reason}")
    say("Going back to the backup.")
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    try:
        connections.close_all()
        require_no_connections(patience_seconds=PATIENCE_SECONDS)
        put_back(file)
    except Exception as second:
        raise OperationError(
            f"The upgrade failed ({reason}), and going back failed too ({_reason(second)}). The "
            "data may be half migrated: start no server. Mend the second cause, install the old "
            f"code, and run `manage.py restore {file}`."
        ) from error
    raise OperationError(
        f"The upgrade failed: {reason} The data is as it was before, and nothing was revoked. "
        "Install the old code and start it, or mend the cause and run `manage.py upgrade` again. "
        f"The backup stays: {file}"
    ) from error


def _reason(error: BaseException) -> str:
    """One line without a trace."""
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted."
    text = error.message if isinstance(error, GatehouseError) else first_line(str(error))
    name = "" if isinstance(error, GatehouseError) else f"{type(error).__name__}: "
    return f"{name}{text.rstrip('.')}."

"""`manage.py exportaudit`"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from django.core.management import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit import exporting
from audit.models import AuditEvent
from core.commands import GatehouseCommand


class Output(Protocol):
    """A file, or the standard output of the command."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...


class Command(GatehouseCommand):
    """Write audit events as JSON lines."""

    help = (
        "Write audit events as one JSON object a line, oldest first. If the file exists, events "
        "after its last one are appended, so it is safe to repeat. Changes nothing in the log. "
        "Exits with 1 if the file does not fit the log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", nargs="?", default="-", help="the file; standard output by default"
        )
        start = parser.add_mutually_exclusive_group()
        start.add_argument(
            "--after", type=int, metavar="SEQ", help="begin after the event with this number"
        )
        start.add_argument(
            "--since", metavar="TIME", help="begin at this time, as 2026-12-01T10:00:00Z"
        )
        parser.add_argument(
            "--follow", action="store_true", help="then wait for new events, until it is stopped"
        )

    def act(self, **options: Any) -> None:
        try:
            self._export(options)
        except BrokenPipeError:
            raise CommandError("The reader has closed the pipe.") from None
        except OSError as error:
            raise CommandError(f"The events cannot be written: {error.strerror}.") from error

    def _export(self, options: dict[str, Any]) -> None:
        after = self._start(options)
        if options["file"] == "-":
            self._write(self.stdout, after or 0, follows=options["follow"])
            return
        path = Path(options["file"])
        file, last = exporting.open_for_appending(path)
        with file:
            if last and after is not None:
                raise CommandError(
                    f"{path} has events up to {last}, and the export continues after it. Leave "
                    "out --after and --since, or choose another file."
                )
            count = self._write(file, last or after or 0, follows=options["follow"])
        self.stderr.write(f"{count} events written to {path}.")

    def _start(self, options: dict[str, Any]) -> int | None:
        after: int | None = options["after"]
        if after is not None and after < 0:
            raise CommandError("--after: write the number of an event, or 0 for all.")
        return after if options["since"] is None else exporting.last_before(_time(options["since"]))

    def _write(self, file: Output, after: int, *, follows: bool) -> int:
        """Write until the end of the log, or until somebody stops it; returns how many."""
        events: Iterable[AuditEvent] = exporting.events_after(after)
        if follows:
            events = exporting.follow(after)
        count = 0
        try:
            for event in events:
                file.write(f"{exporting.as_line(event)}\n")
                count += 1
                if follows:
                    file.flush()
            file.flush()
        except KeyboardInterrupt:
            if not follows:
                raise
        return count


def _time(text: str) -> datetime:
    """Raises CommandError."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise CommandError("--since: write a time as 2026-12-01T10:00:00Z.")
    return found if timezone.is_aware(found) else timezone.make_aware(found)

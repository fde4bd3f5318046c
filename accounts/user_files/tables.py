"""Reads CSV and JSON files record by record, in bounded memory, and distrusts them. Pure.

A file may come from anyone: every length is limited before it is parsed, and whatever cannot be
read is a FileInvalid with its line.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from accounts.user_files.spreadsheets import unguard
from core.text.email_addresses import gettext_noop
from core.text.strict_json import read_json_object

MAX_LINE = 64 * 1024
# Shorter than the limit of the csv module, which would otherwise report the wrong fault.
MAX_RECORD = 128 * 1024
MAX_COLUMNS = 200
MAX_COLUMN_NAME = 100
CHUNK = 64 * 1024
DELIMITERS = (",", ";", "\t")
SPACE = " \t\r\n"

NOT_UTF8 = gettext_noop("The file is not UTF-8. Save it as “CSV UTF-8” and try again.")
EMPTY = gettext_noop("The file is empty.")
LINE_TOO_LONG = gettext_noop("This line is too long. Is it a CSV file?")
RECORD_TOO_LONG = gettext_noop("This record is too long. Is a quotation mark missing?")
OPEN_QUOTE = gettext_noop("A quotation mark is opened in this row and never closed.")
STRAY_QUOTE = gettext_noop(
    "A quotation mark in this row is neither at the end of its cell nor doubled."
)
TOO_MANY_COLUMNS = gettext_noop("The first line has more than 200 columns. Is it a CSV file?")
DOUBLE_COLUMN = gettext_noop("Two columns have the same name in the first line.")
TOO_MANY_CELLS = gettext_noop("This row has more cells than the first line has columns.")
HAS_NUL = gettext_noop("This row contains a NUL character.")
NOT_JSON = gettext_noop("This is not a JSON object.")


class FileInvalid(Exception):
    """The file cannot be read from `line` on. The message is English; translate it where shown."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message, self.line = message, line


@dataclass(frozen=True, slots=True)
class Record:
    """One row. line: where it begins. problem: why it cannot be used; "" if it can."""

    line: int
    values: Mapping[str, str]
    problem: str = ""


class UserTable:
    """A file with users: CSV with a first line of column names, or JSON objects.

    stream: a binary file that can be read again from its start. columns: () for JSON, whose objects
    may differ. Raises FileInvalid.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        start = self._start()
        self.is_json = start[:1] in ("{", "[")
        self.columns = () if self.is_json else self._read_columns(start)

    def records(self) -> Iterator[Record]:
        """All rows, each read when it is asked for. Raises FileInvalid."""
        text = self._text()
        try:
            yield from self._read_json(text) if self.is_json else self._read_csv(text)
        except UnicodeDecodeError:
            raise FileInvalid(NOT_UTF8) from None
        finally:
            text.detach()

    def _text(self) -> io.TextIOWrapper:
        self._stream.seek(0)
        return io.TextIOWrapper(self._stream, encoding="utf-8-sig", newline="")

    def _start(self) -> str:
        """The first line that is not empty."""
        text = self._text()
        try:
            while line := text.readline(MAX_LINE + 1):
                if line.strip(SPACE):
                    return line.lstrip(SPACE)
        except UnicodeDecodeError:
            raise FileInvalid(NOT_UTF8) from None
        finally:
            text.detach()
        raise FileInvalid(EMPTY)

    def _read_columns(self, first_line: str) -> tuple[str, ...]:
        if len(first_line) > MAX_LINE:
            raise FileInvalid(LINE_TOO_LONG)
        self._delimiter = max(DELIMITERS, key=first_line.count)
        text = self._text()
        try:
            for _line, cells in self._rows(text):
                return _column_names(cells)
        except UnicodeDecodeError:
            raise FileInvalid(NOT_UTF8) from None
        finally:
            text.detach()
        raise FileInvalid(EMPTY)

    def _rows(self, text: io.TextIOWrapper) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of each row that is not empty, with the row of names."""
        lines = _Lines(text)
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            line = lines.start_record()
            try:
                cells = next(reader, None)
            except csv.Error as error:
                is_open = "end of data" in str(error)
                raise FileInvalid(OPEN_QUOTE if is_open else STRAY_QUOTE, line) from None
            if cells is None:
                return
            if any(cell.strip(SPACE) for cell in cells):
                yield line, cells

    def _read_csv(self, text: io.TextIOWrapper) -> Iterator[Record]:
        rows = self._rows(text)
        next(rows)  # the names
        for line, cells in rows:
            values = {
                name: unguard(cell)
                for name, cell in zip(self.columns, cells, strict=False)  # a short row is padded
            }
            has_more = any(cell.strip(SPACE) for cell in cells[len(self.columns) :])
            yield Record(line, values, TOO_MANY_CELLS if has_more else _problem(values))

    def _read_json(self, text: io.TextIOWrapper) -> Iterator[Record]:
        for line, value in _json_objects(text):
            values = _flat(value)
            yield Record(line, values, _problem(values))


class _Lines:
    """The lines of a text, of limited length, and limited in sum for each record."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self._read, self._left, self._began = text, 0, MAX_RECORD, 1

    def start_record(self) -> int:
        """A new record begins; returns its line."""
        self._left, self._began = MAX_RECORD, self._read + 1
        return self._began

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        self._read += 1
        self._left -= len(line)
        if len(line) > MAX_LINE:
            raise FileInvalid(LINE_TOO_LONG, self._read)
        if self._left < 0:
            raise FileInvalid(RECORD_TOO_LONG, self._began)
        return line


def _column_names(cells: list[str]) -> tuple[str, ...]:
    if len(cells) > MAX_COLUMNS:
        raise FileInvalid(TOO_MANY_COLUMNS)
    names = tuple(unguard(cell).strip()[:MAX_COLUMN_NAME].replace("\0", "") for cell in cells)
    shown = [name for name in names if name]
    if len(set(shown)) != len(shown):
        raise FileInvalid(DOUBLE_COLUMN)
    return names


def _problem(values: Mapping[str, str]) -> str:
    return HAS_NUL if any("\0" in text for text in values.values()) else ""


def _json_objects(text: io.TextIOWrapper) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) of JSON lines, of an array, and of objects that span lines."""
    buffer, position, line = "", 0, 1
    is_over = False
    while True:
        while position < len(buffer) and buffer[position] in SPACE + ",[]":
            line += buffer[position] == "\n"
            position += 1
        if position < len(buffer):
            found = _object_at(buffer, position, line, is_whole=is_over)
            if found is not None:
                value, end = found
                yield line, value
                line += buffer.count("\n", position, end)
                position = end
                continue
            if len(buffer) - position > MAX_RECORD:
                raise FileInvalid(RECORD_TOO_LONG, line)
        elif is_over:
            return
        more = text.read(CHUNK)
        buffer, position, is_over = buffer[position:] + more, 0, not more


def _object_at(
    buffer: str, position: int, line: int, *, is_whole: bool
) -> tuple[dict[str, Any], int] | None:
    """The object that begins there, and its end; None if more has to be read."""
    if buffer[position] != "{":
        raise FileInvalid(NOT_JSON, line)
    try:
        return read_json_object(buffer, position)
    except json.JSONDecodeError:
        if is_whole:
            raise FileInvalid(NOT_JSON, line) from None
        return None
    except (ValueError, RecursionError):
        raise FileInvalid(NOT_JSON, line) from None


def _flat(value: dict[str, Any]) -> dict[str, str]:
    """The texts of an object. The `fields` of Django's dumpdata count as its own."""
    fields = value.get("fields")
    found = fields if "model" in value and isinstance(fields, dict) else value
    return {name[:MAX_COLUMN_NAME]: _text(inner) for name, inner in found.items()}


def _text(value: Any) -> str:
    """A value as a cell would have it, of a list of texts all of them.

    "" for other lists and for objects, except those of mongoexport.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return str(value)[:MAX_COLUMN_NAME]
        case list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case {"$oid": str(text)} | {"$date": str(text)}:
            return text
        case {"$date": {"$numberLong": str(text)}} if text.isdecimal() and len(text) < 15:
            return datetime.fromtimestamp(int(text) / 1000, UTC).isoformat()
    return ""

"""CSV whose cells no spreadsheet program takes for a formula (OWASP, "CSV Injection"). Pure.

Excel and others run a cell that begins with one of these signs, also when it is quoted. A name such
as `=HYPERLINK(…)` would be run by the administrator who opens an export.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

# An apostrophe makes a spreadsheet take the cell as text. Cells that begin with apostrophes and
# then a sign get one more, so that unguard() undoes exactly what guard() did.
_GUARDED = re.compile(r"'*[=+\-@\t\r]")


def guard(text: str) -> str:
    """`text` for a cell of an export."""
    return f"'{text}" if _GUARDED.match(text) else text


def unguard(text: str) -> str:
    """The text of which guard() made this cell."""
    return text[1:] if text.startswith("'") and _GUARDED.match(text[1:]) else text


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """The lines of a CSV file: first `columns`, then these cells of each row, guarded."""
    writer = csv.writer(_Line())
    yield writer.writerow(columns)
    for cells in rows:
        yield writer.writerow([guard(cells[name]) for name in columns])


class _Line:
    """A file for csv.writer: what is written is returned."""

    def write(self, text: str) -> str:
        return text

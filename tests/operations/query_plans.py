"""How the database finds the rows of a statement, for tests/operations/test_query_plans.py.

On SQLite every statement of the connection is asked about again. On PostgreSQL its own module
auto_explain tells the plan that was used; it may not read a whole table if any index serves, so
plans hardly depend on numbers of rows.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

EXPLAIN = (
    "LOAD 'auto_explain'", "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_nested_statements = on", "SET client_min_messages = log",
    "SET enable_seqscan = off",
)  # fmt: skip
# What SQLite has no plan for.
ASKABLE = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
NODE = re.compile(r"^\s*(?:->\s*)?(?P<kind>[A-Z][\w ]*?Scan)(?: using \S+)? on (?P<table>\w+)")
SQLITE_SCAN = re.compile(r"\bSCAN (?!CONSTANT)(?P<table>\w+)")
NAMED = re.compile(
    r'\b(?:FROM|JOIN)\s+"?(?P<table>\w+)"?\s+(?:AS\s+)?"?(?P<alias>\w+)"?', re.IGNORECASE
)


@contextmanager
def noted() -> Iterator[list[str]]:
    """The plans of all statements inside the block, each with its statement; ready at its end."""
    plans: list[str] = []
    undo: list[Callable[[], None]] = []
    for wrapper in connections.all():
        wrapper.ensure_connection()
        note = _note_sqlite if wrapper.vendor == "sqlite" else _note_postgresql
        undo.append(note(wrapper.connection, plans))
    try:
        yield plans
    finally:
        for end in undo:
            end()


def _note_sqlite(raw: Any, plans: list[str]) -> Callable[[], None]:
    statements: list[str] = []
    raw.set_trace_callback(statements.append)

    def end() -> None:
        raw.set_trace_callback(None)
        for statement in filter(ASKABLE.match, dict.fromkeys(statements)):
            rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            plans.append("\n".join([statement, *(str(row[-1]) for row in rows)]))

    return end


def _note_postgresql(raw: Any, plans: list[str]) -> Callable[[], None]:
    for statement in EXPLAIN:
        raw.execute(statement)

    def note(diagnostic: Any) -> None:
        if "plan:" in diagnostic.message_primary:
            plans.append(diagnostic.message_primary)

    raw.add_notice_handler(note)

    def end() -> None:
        raw.remove_notice_handler(note)
        raw.execute("SET auto_explain.log_min_duration = -1")
        raw.execute("SET enable_seqscan = on")

    return end


def whole_reads(plan: str, vendor: str) -> set[str]:
    """The tables that this plan reads as a whole, or whose index it reads as a whole."""
    return set(_of_sqlite(plan) if vendor == "sqlite" else _of_postgresql(plan.splitlines()))


def _of_sqlite(plan: str) -> Iterator[str]:
    names = {found["alias"]: found["table"] for found in NAMED.finditer(plan)}
    for found in SQLITE_SCAN.finditer(plan):
        yield names.get(found["table"], found["table"])


def _of_postgresql(lines: list[str]) -> Iterator[str]:
    for place, line in enumerate(lines):
        found = NODE.match(line)
        # The node below a Bitmap Heap Scan names an index instead of a table.
        if found is None or found["kind"].startswith("Bitmap"):
            continue
        if not any(" Cond: " in own and "Filter" not in own for own in _own_lines(lines, place)):
            yield found["table"]


def _own_lines(lines: list[str], place: int) -> Iterator[str]:
    """The lines of a node of a plan, up to the next one."""
    for line in lines[place + 1 :]:
        if "->" in line:
            return
        yield line

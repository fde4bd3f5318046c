"""What each statement of a migration locks while it runs. Pure.

Follows PostgreSQL's table of lock modes, as far as migrations use it: an index built without
CONCURRENTLY blocks writing; most forms of ALTER TABLE and DROP block reading too.
"""

import re
from collections.abc import Iterable

NAME = r'(?:IF (?:NOT )?EXISTS )?(?:ONLY )?"?([\w.]+)"?'
READING, WRITING = "stops reading and writing", "stops writing"
EFFECTS = (
    (re.compile(rf"ALTER TABLE {NAME}(?!.* VALIDATE CONSTRAINT)", re.I | re.S), READING),
    (re.compile(rf"DROP TABLE {NAME}", re.I), READING),
    (re.compile(rf"TRUNCATE (?:TABLE )?{NAME}", re.I), READING),
    (re.compile(rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY).*? ON {NAME}", re.I | re.S), WRITING),
    (re.compile(rf"UPDATE {NAME}", re.I), "locks the rows it changes"),
    (re.compile(rf"DELETE FROM {NAME}", re.I), "locks the rows it deletes"),  # noqa: S608
)
CREATED = re.compile(rf"CREATE TABLE {NAME}", re.I)
BOOKKEEPING = frozenset({"django_migrations", "django_content_type", "auth_permission"})


def effects(statements: Iterable[str], *, is_sqlite: bool) -> list[str]:
    """What a migration blocks, in short sentences; [] if it only creates new tables."""
    new: set[str] = set(BOOKKEEPING)
    found: dict[str, None] = {}
    for statement in statements:
        created = CREATED.match(statement)
        if created:
            new.add(created[1])
        for pattern, effect in EFFECTS:
            match = pattern.match(statement)
            if match and match[1] not in new:
                found[f"{effect}: {match[1]}"] = None
    if is_sqlite:
        return ["stops writing to the whole file"]
    return list(found)

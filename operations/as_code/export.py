"""Writes the present state as the file that `manage.py apply` reads."""

from datetime import datetime
from typing import Any

import yaml

from core.errors import RecordInvalid
from operations.as_code.document import plain_value
from operations.as_code.fields import VERSION, without_defaults
from operations.as_code.object_types import KINDS, people, service_accounts
from operations.as_code.run import Stored
from operations.as_code.schema import FILE_NAME

HEADER = f"""\
# yaml-language-server: $schema={FILE_NAME}
# `manage.py apply` makes a Gatehouse be like this. No secret is in it: a new app gets its own by
# client_secret, and a new webhook by secret, as in {{env: WIKI_SECRET}}.
"""


class _Dumper(yaml.SafeDumper):
    """Without aliases, and with quotation marks around what would be read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(plain_value(text), str) and text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def export_configuration(*, all_people: bool = False) -> str:
    """The file as YAML. Raises RecordInvalid if there is more than a file may have.

    Of people, those whom other objects name; all_people: everyone else, too. A field that has its
    default is left out, because that means the same.
    """
    found = {kind.table.name: kind.read(None) for kind in KINDS if kind is not people.KIND}
    found["people"] = people.read(None if all_people else _named_people(found))
    document: dict[str, Any] = {"version": VERSION}
    for kind in KINDS:
        table = kind.table
        rows = [_row(without_defaults(table, each.values)) for each in found[table.name].values()]
        if len(rows) > table.most:
            text = f"there are more than {table.most}; manage.py exportusers writes all"
            raise RecordInvalid({table.name: [text]})
        if not table.key:
            rows = [row for row in rows if row]
        if rows:
            document[table.name] = rows if table.key else rows[0]
    body = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    return HEADER + body


def _row(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _named_people(found: dict[str, dict[str, Stored]]) -> set[str]:
    named = {row.values["responsible"]
             for row in found[service_accounts.TABLE.name].values()}  # fmt: skip
    for row in found["apps"].values():
        named |= {*row.values["openid_people"]}
    return named

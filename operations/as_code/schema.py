"""The JSON Schema of the file, made from the tables that validate it.

Editors complete and check files with it: `manage.py export --schema`, and
docs/reference/gatehouse.schema.json.
"""

import json
from typing import Any

from operations.as_code.fields import VERSION, Field, Table, Type
from operations.as_code.object_types import TABLES

DIALECT = "http://json-schema.org/draft-07/schema#"
FILE_NAME = "gatehouse.schema.json"


def schema_text() -> str:
    """The schema as JSON."""
    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


def make_schema() -> dict[str, Any]:
    """The schema as a value."""
    return {
        "$schema": DIALECT,
        "title": "Gatehouse configuration",
        "type": "object",
        "required": ["version"],
        "additionalProperties": False,
        "properties": {
            "version": {"const": VERSION, "description": "The version of this format."},
            **{table.name: _table(table) for table in TABLES},
        },
        "definitions": {
            "variable": _reference("env", "The name of a variable of the environment.",
                                   "^[A-Za-z_][A-Za-z0-9_]*$"),
            "file": _reference("file", "A path; a relative one begins at this file.", "."),
        },
    }  # fmt: skip


def _table(table: Table) -> dict[str, Any]:
    one = {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in table.fields if field.is_required],
        "properties": {field.name: _field(field) for field in table.fields},
    }
    if not table.key:
        return {"description": table.help, **one}
    return {"description": table.help, "type": "array", "maxItems": table.most, "items": one}


def _field(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"description": field.help, **_type(field)}
    if not field.is_required and not field.is_kept:
        found["default"] = field.default
    return found


def _type(field: Field) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    if field.choices:
        text["enum"] = list(field.choices)
    items = {"type": "object"} if field.type is Type.OBJECTS else text
    most = {"maxItems": field.most} if field.most else {}
    references = [{"$ref": "#/definitions/variable"}, {"$ref": "#/definitions/file"}]
    short = text | ({"maxLength": field.most} if field.most else {})
    shapes: dict[Type, dict[str, Any]] = {
        Type.TEXT: short,
        Type.FLAG: {"type": "boolean"},
        Type.TEXTS: {"type": "array", "items": items, **most},
        Type.OBJECTS: {"type": "array", "items": items, **most},
        Type.TIME: {"type": ["string", "null"]},
        Type.SECRET: {"anyOf": references},
        Type.TEXT_OR_REFERENCE: {"anyOf": [short, *references]},
        Type.IMAGE: references[1],
    }
    return shapes[field.type]


def _reference(name: str, text: str, pattern: str) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name],
        "properties": {name: {"type": "string", "pattern": pattern, "description": text}},
    }

"""The JSON Schema for editors says what the tables say, and exports are read back exactly."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from operations.as_code.document import read_document
from operations.as_code.export import _Dumper
from operations.as_code.object_types import TABLES
from operations.as_code.schema import make_schema, schema_text
from tests.operations.as_code.conftest import command
from tests.operations.as_code.test_example import EXAMPLE

KEPT = Path(__file__).parents[3] / "docs" / "reference" / "gatehouse.schema.json"
APP = {"slug": "wiki", "name": "Wiki", "url": "https://wiki.example.com"}


def test_the_reference_is_current() -> None:
    assert KEPT.read_text() == schema_text(), "run `make reference`"


@pytest.mark.django_db
def test_the_command_writes_it() -> None:
    assert json.loads(command("export", "--schema").out) == make_schema()


def test_the_example_fits() -> None:
    jsonschema.validate(yaml.safe_load(EXAMPLE.read_text()), make_schema())


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": 2},
        {"version": 1, "aps": []},
        {"version": 1, "apps": [{"slug": "wiki"}]},
        {"version": 1, "apps": [{**APP, "client_secret": "literal"}]},
        {"version": 1, "apps": [{**APP, "client_secret": {"env": "A", "file": "b"}}]},
        {"version": 1, "apps": [{**APP, "openid_kind": "website"}]},
        {"version": 1, "people": [{"email": "a@example.com", "password": "x"}]},
        {"version": 1, "branding": []},
    ],
)
def test_what_apply_refuses_the_editor_marks(document: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, make_schema())


def test_each_field_has_a_help_text_and_its_type() -> None:
    for table in TABLES:
        assert table.help.endswith("."), table.name
        assert all(field.help.endswith(".") for field in table.fields), table.name
        assert not table.key or table.field(table.key).is_required


@pytest.mark.parametrize(
    "text",
    ["no", "null", "true", "12", "1e5", "0x10", "2024-05-01", "~", "", " a", "a: b", "#a", "- a",
     "é", "\u202e", "a\nb", "🔑", "{env: A}", "*a", "!a", "'", '"', "a #b", "<<"],
)  # fmt: skip
def test_an_exported_text_is_read_as_the_same_text(text: str) -> None:
    written = yaml.dump({"a": text, "b": [text]}, Dumper=_Dumper, allow_unicode=True)

    found = read_document(written.encode()).value

    assert (found["a"].value, found["b"].value[0].value) == (text, text)

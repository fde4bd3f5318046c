"""The serialized form of values, and that every column has one."""

import pytest

from operations.adapters import normal_datetime, normal_json, stored_datetime
from operations.tables import all_tables


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2026-01-31 08:00:00.123456", "2026-01-31 08:00:00.123456"),
        ("2026-01-31 08:00:00", "2026-01-31 08:00:00.000000"),
        ("2026-01-31 08:00:00+02:00", "2026-01-31 06:00:00.000000"),
        ("2026-01-31 08:00:00.5", "2026-01-31 08:00:00.500000"),
    ],
)
def test_a_datetime_has_one_format(text: str, normal: str) -> None:
    assert normal_datetime(text) == normal


def test_a_whole_second_is_stored_as_django_stores_it() -> None:
    assert stored_datetime("2026-01-31 08:00:00.000000") == "2026-01-31 08:00:00"
    assert stored_datetime("2026-01-31 08:00:00.100000") == "2026-01-31 08:00:00.100000"


def test_json_has_one_format() -> None:
    assert normal_json('{"b": [1.5, null],\n "a": "\\u00fc"}') == '{"a":"\\u00fc","b":[1.5,null]}'
    assert normal_json('{"a":"ü"}') == '{"a":"\\u00fc"}'


def test_every_table_is_listed_after_the_tables_it_references() -> None:
    names = [table.name for table in all_tables()]

    assert names.index("accounts_user") < names.index("accounts_browsersession")
    assert names.index("moderation_ban") < names.index("moderation_violation")
    assert "core_cacheentry" not in names
    assert len(names) == len(set(names))

"""No change of a model without its migration, and every migration says what it does."""

import re

import pytest
from django.core.management import call_command

from tests.architecture.sources import APPS, ROOT

NAMES = [
    file.stem for app in APPS for file in sorted((ROOT / app / "migrations").glob("[0-9]*.py"))
]


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("name", NAMES)
def test_migration_says_what_it_does(name: str) -> None:
    assert re.fullmatch(r"\d{4}_[a-z0-9_]+", name)
    assert "auto" not in name.split("_")

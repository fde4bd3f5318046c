"""manage.py accessreview: list, start, status, export."""

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from access_reviews.models import AccessReview
from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from tests.access_reviews.conftest import StartReview
from tests.api.calls import call

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("accessreview", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_a_review_is_started_listed_and_shown(owner: User, admin: User, viewer: User) -> None:
    started = run(
        "start", "Admins", "--role", "admin", "--due", "14d", "--reviewer", owner.email,
        "--disable-undecided",
    )  # fmt: skip

    review = AccessReview.objects.get(pk=started.strip())
    assert (review.scope, review.min_role, review.disable_undecided) == ("role", "admin", True)
    assert review.started_by is None
    assert abs(review.due_at - timezone.now() - timedelta(days=14)) < timedelta(minutes=1)
    line = run("list", "--open").strip()
    assert line.startswith(str(review.pk))
    assert "open     0 of 2 decided" in line
    assert run("status", str(review.pk)).strip() == line


def test_a_review_of_a_group_is_started(owner: User, viewer: User) -> None:
    lab = create_group(actor=SYSTEM, name="lab")
    add_member(actor=SYSTEM, user=viewer, group=lab)

    started = run("start", "Lab", "--group", "lab", "--due", "14d", "--reviewer", owner.email)

    review = AccessReview.objects.get(pk=started.strip())
    assert (review.scope, review.group_id, review.items.count()) == ("group", lab.pk, 1)
    with pytest.raises(CommandError, match="either --role or --group"):
        run("start", "x", "--group", "lab", "--role", "admin", "--due", "1d")


def test_json_has_the_names_of_the_api(owner: User, browser_of: Any, start: StartReview) -> None:
    review = start(owner)

    found = json.loads(run("status", str(review.pk), "--json"))

    assert found == call(browser_of(owner), "GET", f"access-reviews/{review.pk}").json()
    assert [json.loads(line) for line in run("list", "--json").splitlines()] == [found]


def test_a_review_is_exported_to_a_new_file_or_standard_output(
    owner: User, viewer: User, start: StartReview, tmp_path: Path
) -> None:
    review = start(owner)
    path = tmp_path / "review.csv"

    run("export", str(review.pk), str(path))

    assert path.stat().st_mode & 0o777 == 0o600
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert {row["email"] for row in rows} == {owner.email, viewer.email}
    lines = [json.loads(line) for line in run("export", str(review.pk), "--json").splitlines()]
    assert {item["email"] for item in lines} == {owner.email, viewer.email}
    with pytest.raises(CommandError, match="exists"):
        run("export", str(review.pk), str(path))


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("status", "nonsense"),
        ("status", "01a2218c-acd6-73e3-85f9-eb136df537e0"),
        ("export", "01a2218c-acd6-73e3-85f9-eb136df537e0"),
        ("start", "X", "--due", "14d"),
        ("start", "X", "--due", "yesterday", "--reviewer", "owner@example.com"),
        ("start", "X", "--due", "14d", "--reviewer", "viewer@example.com"),
        ("start", "X", "--due", "2020-01-01", "--reviewer", "owner@example.com"),
        ("start", "X", "--due", "1h", "--reviewer", "owner@example.com", "--disable-undecided"),
        ("start", "X", "--due", "14d", "--reviewer", "nobody@example.com"),
    ],
)
def test_the_command_fails_where_it_did_nothing(
    owner: User, viewer: User, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError):
        run(*arguments)

    assert not AccessReview.objects.exists()

"""docs/build-on.md: the code of the page is a working app."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devtools.servers.databases import PREPARE
from devtools.servers.processes import ROOT

PAGE = ROOT / "docs" / "build-on.md"
FILE = re.compile(r"`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)```", re.DOTALL)
CALLS = Path(__file__).with_name("build_on_calls.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the calls of build_on_calls.py got, in a project made of the page's files."""
    folder = tmp_path_factory.mktemp("team")
    for name, code in FILE.findall(PAGE.read_text()):
        path = folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{folder / 'project'}:{ROOT}",
        "DJANGO_SETTINGS_MODULE": "team.settings",
        "DATA_DIR": str(folder / "data"),
        "ACTION_LIMITS": "note:user=3/1h",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    run("manage.py", "makemigrations", "notes")
    run("-c", PREPARE)
    found: dict[str, Any] = json.loads(run(str(CALLS)).splitlines()[-1])
    return found


def test_every_file_of_the_example_is_there() -> None:
    assert [name for name, _code in FILE.findall(PAGE.read_text())] == [
        "notes/models.py",
        "notes/views.py",
        "notes/admin.py",
        "notes/templates/notes.html",
        "team/settings.py",
        "team/urls.py",
    ]


@pytest.mark.parametrize("by", ["key", "token", "session"])
def test_each_credential_writes_and_reads(seen: dict[str, Any], by: str) -> None:
    made, listed = seen[f"{by}: write"], seen[f"{by}: read"]

    assert made["status"] == 201
    assert made["body"]["text"] == f"by {by}"
    assert made["body"]["author"] == seen["editor"]
    assert (listed["status"], listed["body"]["results"][0]) == (200, made["body"])
    assert listed["body"].keys() == {"next", "previous", "results"}


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        ("nobody", 401, "not_authenticated"),
        ("a wrong key", 403, "api_key_invalid"),
        ("a wrong token beside a right key", 401, "token_invalid"),
        ("keys of two users", 401, "token_invalid"),
        ("too low a role", 403, "forbidden"),
        ("a key without the scope", 403, "forbidden"),
        ("a session without the CSRF token", 403, "csrf_failed"),
        ("a method that is not declared", 405, "method_not_allowed"),
        ("a delete by an editor", 403, "forbidden"),
        ("a delete long after sign-in", 403, "confirmation_needed"),
        ("malformed", 400, "malformed"),
        ("not JSON", 415, "unsupported_media_type"),
        ("invalid", 402, "record_invalid"),
        ("no such note", 404, "not_found"),
        ("a page instead of JSON", 406, "not_acceptable"),
        ("a cursor of no list", 402, "record_invalid"),
        ("once too often", 429, "rate_limited"),
        ("a key used too often", 429, "rate_limited"),
        ("banned", 401, "token_invalid"),
    ],
)
def test_each_refusal_is_a_problem_document(
    seen: dict[str, Any], call: str, status: int, code: str
) -> None:
    got = seen[call]

    assert (got["status"], got["body"]["code"]) == (status, code)
    assert got["type"] == "application/problem+json"


def test_an_invalid_note_names_its_fields(seen: dict[str, Any]) -> None:
    assert list(seen["invalid"]["body"]["errors"]) == ["text"]
    assert seen["unknown fields"]["body"]["errors"] == {
        "txet": ["There is no such field. Did you mean “text”?"],
        "author": ["This field is read-only."],
    }


def test_pages_of_rows_link_to_each_other(seen: dict[str, Any]) -> None:
    first, second = seen["first page"]["body"], seen["second page"]["body"]

    assert [len(page["results"]) for page in (first, second)] == [1, 1]
    assert first["results"][0]["id"] > second["results"][0]["id"]


def test_a_recent_sign_in_of_an_administrator_deletes(seen: dict[str, Any]) -> None:
    assert seen["a delete by an administrator"]["status"] == 204


def test_it_is_in_the_openapi_description(seen: dict[str, Any]) -> None:
    paths = seen["schema"]["body"]["paths"]
    notes, note = paths["/api/v1/notes"], paths["/api/v1/notes/{id}"]

    assert notes.keys() == {"get", "post"}
    assert note.keys() == {"get", "delete"}
    assert (notes["post"]["x-scope"], notes["post"]["x-role"]) == ("write", "editor")
    assert note["delete"]["x-recent-authentication"] is True
    assert {"400", "401", "402", "403", "429"} <= notes["post"]["responses"].keys()
    assert {each["name"] for each in notes["get"]["parameters"]} == {"cursor", "limit"}
    assert seen["docs"]["status"] == 200
    assert "post_notes" in seen["docs"]["text"]


def test_the_page_needs_the_permission_to_view_notes(seen: dict[str, Any]) -> None:
    assert seen["page: viewer"]["status"] == 200
    assert "<li>by session</li>" in seen["page: viewer"]["text"]
    assert seen["page: nobody"]["status"] == 302
    assert seen["page: no role"]["status"] == 403


def test_the_admin_panel_shows_and_adds_notes(seen: dict[str, Any]) -> None:
    assert seen["admin: list"]["status"] == 200
    assert "by session" in seen["admin: list"]["text"]
    assert seen["admin: editor"]["status"] == 403


def test_pages_of_gatehouse_still_work(seen: dict[str, Any]) -> None:
    assert seen["sign-in"]["status"] == 200
    assert (seen["nothing"]["status"], seen["nothing"]["type"]) == (404, "text/html; charset=utf-8")

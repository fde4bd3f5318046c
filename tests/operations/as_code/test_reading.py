"""What is wrong in a file is told with its line, its path and the fix, all of it at once."""

import json
from datetime import UTC, datetime

import pytest

from operations.as_code.apply import ConfigurationInvalid, read_configuration
from operations.as_code.document import MAX_BYTES, MAX_DEPTH, DocumentError, read_document

SECRET = "correct-horse-battery-staple"
NO_SECRET = (
    "a secret does not belong into this file: write {env: NAME} or {file: /run/secrets/name}"
)


def problems(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigurationInvalid) as failed:
        read_configuration(text.encode())
    return [tuple(each) for each in failed.value.problems]


def app(more: str) -> str:
    return (
        f"version: 1\napps:\n  - slug: wiki\n    name: Wiki\n    url: https://w.example\n    {more}"
    )


def test_everything_is_told_at_once() -> None:
    found = problems(
        """\
version: 2
aps: []
groups:
  - label: Without a name
  - name: 12
access_rules:
  - name: Wiki
    effect: maybe
    methods: [GET, BREW]
    networks: 10.0.0.0/8
webhooks: {}
people:
  - email: anna@example.com
    password: hunter22
    rolle: admin
"""
    )

    assert found == [
        (1, "version", "write “version: 1” as the first line"),
        (2, "aps", "there is no such field; did you mean apps?"),
        (4, "groups[0]", "name is missing"),
        (5, "groups[1].name", "this has to be a text: put it in quotation marks"),
        (8, "access_rules[0].effect", "choose role, public or deny"),
        (9, "access_rules[0].methods[1]", "this is not in the list of the documentation"),
        (10, "access_rules[0].networks", "this has to be a list, as in [first, second]"),
        (11, "webhooks", "this has to be a list: begin each object with “- ”"),
        (14, "people[0].password",
         "a file has no passwords: people sign in with a link, and choose one then"),
        (15, "people[0].rolle", "there is no such field; did you mean role?"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "line", "path", "message"),
    [
        (f"client_secret: {SECRET}", 6, ".client_secret", NO_SECRET),
        (f"client_secret: [{SECRET}]", 6, ".client_secret", NO_SECRET),
        ("client_secret: 12345", 6, ".client_secret", NO_SECRET),
        ("client_secret:", 6, ".client_secret", NO_SECRET),
        (f"client_secret: {{value: {SECRET}}}", 6, ".client_secret",
         "a reference has one field: env or file"),
        ("client_secret: {env: A, file: b}", 6, ".client_secret",
         "a reference has one field: env or file"),
        (f"client_secret: {{env: '{SECRET}'}}", 6, ".client_secret",
         "env has to be the name of a variable, as in {env: WIKI_SECRET}"),
        ("client_secret: {env: 7}", 6, ".client_secret", "env has to be a text"),
        (f"secret: {SECRET}", 6, ".secret", "there is no such field; did you mean client_secret?"),
        ("is_trusted: yes", 6, ".is_trusted", "write true or false"),
        ("redirect_uris: [1, https://w.example/cb]", 6, ".redirect_uris[0]",
         "this has to be a text: put it in quotation marks"),
        ("name: Again", 6, "", "name stands here twice, first in line 4"),
    ],
)  # fmt: skip
def test_a_field_is_told_with_its_line_and_no_secret(
    more: str, line: int, path: str, message: str
) -> None:
    found = problems(app(more))

    assert found == [(line, f"apps[0]{path}" if path else "", message)]
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "the file is empty"),
        ("# only a comment\n", 0, "the file is empty"),
        ("version: 1\n---\nversion: 1\n", 2, "the file has more than one document"),
        ("version: 1\ngroups: &g []\npeople: *g\n", 2,
         "anchors and aliases are not read: write the value out"),
        ("version: 1\ngroups: *g\n", 2, "anchors and aliases are not read: write the value out"),
        ("version: 1\nbranding: !!python/object/apply:os.system ['id']\n", 2,
         "tags are not read: write the value without one"),
        ("version: !!int 1\n", 1, "tags are not read: write the value without one"),
        ("version: 1\n\tgroups: []\n", 2,
         "this is not YAML: found character '\\t' that cannot start any token"),
        ("version: 1\n[a]: b\n", 2, "the name of a field has to be a text"),
        ("version: 1\nbranding: \x00\n", 2,
         "the file contains a character that YAML does not allow"),
        ("{\n  'version': 1\n}", 2, "this is not JSON"),
        ('{"version": 1,\n "version": 1}', 2, "version stands here twice, first in line 1"),
        ("[" * 5000, 1, "the file is nested too deeply"),
        ('{"a":' * 5000, 0, "this is not JSON"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_its_line(
    text: str, line: int, message: str
) -> None:
    assert problems(text) == [(line, "", message)]


def test_a_file_has_a_largest_size_and_depth() -> None:
    with pytest.raises(DocumentError, match="larger than 1024 KiB"):
        read_document(b"#" * (MAX_BYTES + 1))
    with pytest.raises(DocumentError, match="UTF-8"):
        read_document("version: 1\nname: ä".encode("latin-1"))
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert read_document(deepest.encode()).line == 1


def test_plain_values_mean_what_they_mean_in_yaml_1_2() -> None:
    text = """\
version: 1
groups:
  - {name: a, label: no, description: 2024-05-01}
  - {name: b, label: "true", description: 0x10}
service_accounts:
  - {username: bot, responsible: a@example.com, expires_at: 2030-01-31}
"""

    found = read_configuration(text.encode())

    assert [entry.values for entry in found["groups"]] == [
        {"name": "a", "label": "no", "description": "2024-05-01"},
        {"name": "b", "label": "true", "description": "0x10"},
    ]
    ends = found["service_accounts"][0].values["expires_at"]
    assert ends == datetime(2030, 2, 1, tzinfo=UTC)


def test_json_is_read_as_well_with_lines_and_every_character() -> None:
    document = {"version": 1, "groups": [{"name": "a", "label": "\U0001f511 / ä"}]}
    text = json.dumps(document, indent="\t")

    (entry,) = read_configuration(text.encode())["groups"]

    assert entry.values["label"] == "\U0001f511 / ä"
    wrong = text.replace('"a"', "12")
    assert problems(wrong) == [
        (5, "groups[0].name", "this has to be a text: put it in quotation marks")
    ]


def test_the_same_object_twice_is_refused_in_its_stored_form() -> None:
    found = problems("version: 1\ngroups:\n- name: finance\n- name: ' Finance'\n")

    assert found == [(4, "groups[1].name", "line 3 has the same: write all fields there")]


def test_rules_may_have_the_same_name() -> None:
    text = "version: 1\naccess_rules:\n" + "- {name: Wiki, effect: role}\n" * 2

    assert [entry.key for entry in read_configuration(text.encode())["access_rules"]] == [
        "Wiki", "Wiki  (2)",
    ]  # fmt: skip

"""Every action of the audit log has a sentence, in both languages."""

import ast
import re
import uuid
from functools import cache
from itertools import product

import pytest
from django.utils import timezone, translation

from audit.models import AuditEvent
from audit.sentences import UNKNOWN, sentence, sentence_html
from audit.wordings import WORDINGS
from tests.architecture.sources import modules

NAME = re.compile(r"[a-z-]+(:[a-z-]+){2}|instance:[a-z-]+")
# A prefix of an f-string -> the values that its callers insert.
INSERTED = {
    "account:approval:": ("ask", "confirm", "decline", "withdraw", "refuse", "expire"),
    "account:invitation:": ("issue", "accept", "withdraw"),
    "api:key:": ("create", "rotate", "revoke"),
    "api:signing-key:": ("create", "rotate", "replace-all"),
}
OLGA, JON = uuid.UUID(int=1), uuid.UUID(int=2)


@cache
def names_in_source() -> frozenset[str]:
    """Every text of the source that has the form of an action name."""
    found: set[str] = set()
    for module, file in modules():
        if module.startswith(("audit.", "config.environment")):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if NAME.fullmatch(node.value):
                    found.add(node.value)
                for action in INSERTED.get(node.value, ()):
                    found.add(node.value + action)
    return frozenset(found)


def event(
    action: str, result: str = "success", *, is_own: bool = False, **detail: object
) -> AuditEvent:
    return AuditEvent(
        action=action,
        result=result,
        actor_id=JON if is_own else OLGA,
        target_id=JON,
        channel="web",
        detail=detail,
    )


def test_each_action_name_of_the_source_has_a_wording_and_no_other_name_has_one() -> None:
    assert len(names_in_source()) > 60
    assert sorted(WORDINGS.keys() ^ names_in_source()) == []


@pytest.mark.parametrize("action", sorted(WORDINGS))
def test_each_action_is_a_sentence_with_any_result_even_without_its_details(action: str) -> None:
    for result, is_own in product(("success", "refused", "failure"), (True, False)):
        text = sentence(event(action, result, is_own=is_own), actor="Olga", target="Jon")

        assert text.endswith(".")
        assert text[0].isupper()
        assert "{" not in text
        assert (action in text) is (result != "success" and WORDINGS[action].refused is None)


def test_a_role_change_is_described_with_names_before_and_after() -> None:
    changed = event("account:role:change", before="viewer", after="editor")

    text = sentence(changed, actor="Olga Reiter", target="Jon Doe")

    assert text == "Olga Reiter changed the role of Jon Doe from viewer to editor."


def test_someone_who_acts_on_themselves_is_named_once() -> None:
    text = sentence(
        event("account:user:edit", is_own=True, fields=["name", "username"]), actor="Jon"
    )

    assert text == "Jon changed their profile: name, user name."


def test_the_reason_follows_in_words_or_as_it_was_typed() -> None:
    known = event("moderation:ban:start", "refused", reason="last owner")
    typed = event("account:user:disable", reason="left the company")
    synced = event(
        "account:user:disable", reason=f"syncldap {uuid.UUID(int=3)}: not there any more"
    )
    panel = event("account:user:disable", reason="admin panel")

    assert [
        sentence(each, actor="Olga", target="Jon") for each in (known, typed, synced, panel)
    ] == [
        "A ban of Jon was refused. Reason: they are the last active owner.",
        "Olga disabled the account of Jon. Reason: left the company.",
        "Olga disabled the account of Jon. Reason: not there any more.",
        "Olga disabled the account of Jon.",
    ]


def test_an_access_rule_is_described_with_the_names_of_its_fields() -> None:
    changed = event(
        "sso:rule:change",
        name="role",
        before={"path": "/a", "role": "viewer", "is_enabled": True, "methods": ["GET", "POST"]},
        after={"path": "/b", "role": "editor", "is_enabled": False, "methods": []},
    )

    text = sentence(changed, actor="Olga")

    assert text == (
        "Olga changed the access rule “role” from path: /a; role: viewer; in use: yes; "
        "methods: GET, POST to path: /b; role: editor; in use: no; methods: -."
    )


@pytest.mark.parametrize(
    ("actor_id", "channel", "expected"),
    [
        (None, "command", "The command line enabled the account of Jon."),
        (None, "web", "Gatehouse enabled the account of Jon."),
        (None, "worker", "Gatehouse enabled the account of Jon."),
        (OLGA, "web", "A deleted account (…00000001) enabled the account of Jon."),
    ],
)
def test_an_actor_without_a_name_is_described(
    actor_id: uuid.UUID | None, channel: str, expected: str
) -> None:
    enabled = event("account:user:enable")
    enabled.actor_id, enabled.channel = actor_id, channel

    assert sentence(enabled, target="Jon") == expected


def test_an_unknown_action_is_described_by_its_name_and_braces_are_kept() -> None:
    text = sentence(event("notes:{note}:print", reason="{x}"), actor="Olga {0}", target="Jon")

    assert text == "Olga {0} did “notes:note:print” (Jon). Reason: {x}."


def test_what_is_missing_is_shown_as_missing() -> None:
    assert UNKNOWN in sentence(event("account:role:change"), actor="Olga", target="Jon")
    broken = event("account:role:change")
    broken.detail = ["no", "object"]
    assert UNKNOWN in sentence(broken, actor="Olga", target="Jon")


def test_numbers_are_told_as_the_language_writes_them() -> None:
    scored = event("moderation:violation:score", type="login", score=7.5, total=20.0)

    with translation.override("de"):
        assert "7,5" in sentence(scored, target="Jon")
    told = sentence(scored, target="Jon")
    assert told == "Jon exceeded a limit (Sign-in): score 7.5, 20 in total."


def test_times_are_told_in_the_zone_of_the_reader() -> None:
    ends = event("account:expiry:set", until="2026-12-01 10:00 UTC")

    with timezone.override("Europe/Berlin"):
        told = sentence(ends, actor="Olga", target="Jon")

    assert told == "Olga set the end of the access of Jon to Dec. 1, 2026, 11:00 CET."
    assert "soon" in sentence(event("account:expiry:set", until="soon"), actor="Olga", target="Jon")


def test_names_and_details_are_escaped_in_html() -> None:
    disabled = event("account:user:disable", reason="<script>")

    text = sentence_html(disabled, actor="<b>Olga</b>", target="Jon & Co")

    assert text == (
        "&lt;b&gt;Olga&lt;/b&gt; disabled the account of Jon &amp; Co. Reason: &lt;script&gt;."
    )


@pytest.mark.parametrize("action", sorted(WORDINGS))
def test_german_has_the_fields_of_the_english_sentence(action: str) -> None:
    fields = re.compile(r"\{\w+\}")
    for text in filter(None, WORDINGS[action]):
        with translation.override("en"):
            english = str(text)
        with translation.override("de"):
            assert sorted(fields.findall(str(text))) == sorted(fields.findall(english))

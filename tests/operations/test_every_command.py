"""Every management command: complete help, lists as JSON, and it says when it did nothing."""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand

from accounts.models import User
from accounts.services.groups.changes import create_group
from accounts.services.users import disable_user
from api.models import ApiKey
from audit.models import AuditEvent
from core.app_labels import OWN_APPS
from magiclinks.models import LoginLink
from moderation.models import Ban
from tests.api.keys import made
from tests.mfa.authenticator import set_up_app

DJANGO_OWN = {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color",
              "force_color", "skip_checks"}  # fmt: skip


def _commands() -> dict[str, BaseCommand]:
    found = {}
    for config in apps.get_app_configs():
        folder = Path(config.path) / "management" / "commands"
        # Not those of libraries, which may be installed below the project.
        if config.name not in OWN_APPS or not folder.is_dir():
            continue
        for file in sorted(folder.glob("[!_]*.py")):
            module = import_module(f"{config.name}.management.commands.{file.stem}")
            found[file.stem] = module.Command()
    return found


COMMANDS = _commands()


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _arguments(each)
        elif action.dest not in DJANGO_OWN:
            yield action


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_what_each_argument_is(name: str) -> None:
    parser = COMMANDS[name].create_parser("manage.py", name)

    unsaid = [each.dest for each in _arguments(parser) if not each.help]

    assert unsaid == []
    assert str(COMMANDS[name].help).endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_whether_it_may_be_repeated_and_when_it_fails(name: str) -> None:
    text = str(COMMANDS[name].help)

    assert re.search(r"safe to repeat|changes nothing|reads only", text, re.IGNORECASE), text
    assert re.search(r"exits with 1", text, re.IGNORECASE), text


# Lists

LISTS: dict[str, Callable[[User], object]] = {
    "listusers": lambda _owner: None,
    "listgroups": lambda owner: create_group(actor=owner, name="finance"),
    "listbans": lambda owner: Ban.objects.create(network="203.0.113.7", reason="-"),
    "apikey list": made,
    "doctor": lambda _owner: None,
    "accessreview list": lambda owner: call_command(
        "accessreview", "start", "Autumn", "--due", "14d", "--reviewer", owner.email,
        stdout=StringIO(),
    ),
}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("name", LISTS)
def test_a_command_that_lists_does_so_as_json(owner: User, name: str) -> None:
    LISTS[name](owner)
    out = StringIO()

    try:
        call_command(*name.split(), "--json", stdout=out)
    except CommandError:
        assert name == "doctor"  # it has found something

    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert rows
    assert all(isinstance(row, dict) for row in rows)


def test_every_command_that_lists_is_known() -> None:
    """A new command that takes `--limit`, or is named so, lists."""
    found = {
        name
        for name, command in COMMANDS.items()
        if name.startswith("list")
        or any(each.dest == "limit" for each in _arguments(command.create_parser("", name)))
    }

    assert found == {name.split()[0] for name in LISTS} - {"doctor"}


# Nothing to do

NOBODY = "nobody@example.com"
NOTHING: dict[str, list[str]] = {
    "accessreview": ["list"],
    "addtogroup": ["no-group", "owner@example.com"],
    "anchoraudit": [],
    "apikey": ["list"],
    "apply": ["/nowhere.yaml"],
    "banuser": [NOBODY],
    "createserviceaccount": ["bot", "--responsible", NOBODY],
    "createuser": ["owner@example.com"],
    "deleteuser": [NOBODY, "--yes"],
    "demo": [],
    "disableuser": [NOBODY],
    "enableuser": ["owner@example.com"],
    "exportusers": ["--search", "no such person"],
    "importclients": ["/nowhere.json", "--from", "keycloak"],
    "importusers": ["/nowhere.csv"],
    "inviteuser": ["owner@example.com"],
    "ldaptest": [],
    "listbans": [],
    "listgroups": [],
    "listusers": ["--search", "no such person"],
    "magiclink": [NOBODY],
    "moveidentities": ["github", "--yes"],
    "offboarduser": [NOBODY, "--yes"],
    "removefromgroup": ["no-group", "owner@example.com"],
    "rescue": [NOBODY, "--yes"],
    "resetmfa": ["owner@example.com", "--yes"],
    "restore": ["/nowhere.tar", "--yes"],
    "setexpiry": ["owner@example.com", "--never"],
    "setpassword": [NOBODY],
    "setrole": ["owner@example.com", "owner"],
    "switchprovider": ["github", "off"],
    "syncldap": [],
    "unban": ["--network", "203.0.113.7"],
}
# Why the others have no such case.
ALWAYS_DO_SOMETHING = {
    "backup": "writes a new file; a file that exists is refused, see tests/operations",
    "export": "always writes a file; an empty instance has one, too",
    "doctor": "always reports; exits with 1 for what does not work",
    "exportaudit": "what is already in the file is not written again, see tests/audit",
    "movedata": "needs two databases, see tests/operations",
    "rotatekeys": "makes a key each time; a key that waits to sign is refused, see tests/api",
    "serve": "serves",
    "testmail": "an attempt is audited; exits with 1 if it was not sent, see tests/accounts",
    "setup_authentik": "needs an authentik, see tests/federation; must be safe in a script",
    "upgrade": "runs at each start of a container, where up to date is fine",
    "verifyaudit": "an empty log is whole",
}


def test_every_command_has_a_case_that_does_nothing() -> None:
    assert NOTHING.keys() | ALWAYS_DO_SOMETHING.keys() == COMMANDS.keys()
    assert not NOTHING.keys() & ALWAYS_DO_SOMETHING.keys()


@pytest.mark.django_db
@pytest.mark.parametrize("name", NOTHING)
def test_a_command_that_did_nothing_fails_and_says_why(owner: User, name: str) -> None:
    before = User.objects.values().get(pk=owner.pk), AuditEvent.objects.count()

    with pytest.raises(CommandError) as failed:
        call_command(name, *NOTHING[name], stdout=StringIO(), stderr=StringIO())

    assert str(failed.value)
    assert (User.objects.values().get(pk=owner.pk), AuditEvent.objects.count()) == before


# Twice


def _with_app(_owner: User, viewer: User) -> list[str]:
    set_up_app(viewer)
    return [viewer.email, "--yes"]


def _banned(_owner: User, viewer: User) -> list[str]:
    Ban.objects.create(user=viewer, reason="-")
    return [viewer.email]


TWICE: dict[str, Callable[[User, User], list[str]]] = {
    "createserviceaccount": lambda _owner, viewer: ["bot", "--responsible", viewer.email],
    "createuser": lambda _owner, _viewer: ["new@example.com"],
    "deleteuser": lambda _owner, viewer: [viewer.email, "--yes"],
    "disableuser": lambda _owner, viewer: [viewer.email],
    "enableuser": lambda owner, viewer: [disable_user(actor=owner, user=viewer).email],
    "setrole": lambda _owner, viewer: [viewer.email, "editor"],
    "setexpiry": lambda _owner, viewer: [viewer.email, "--until", "2999-01-01T12:00+00:00"],
    "resetmfa": _with_app,
    "unban": _banned,
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", TWICE)
def test_a_second_run_changes_nothing_and_says_so(owner: User, viewer: User, name: str) -> None:
    arguments = TWICE[name](owner, viewer)
    call_command(name, *arguments, stdout=StringIO())
    before = list(User.objects.order_by("pk").values()), AuditEvent.objects.count()

    with pytest.raises(CommandError):
        call_command(name, *arguments, stdout=StringIO())

    assert (list(User.objects.order_by("pk").values()), AuditEvent.objects.count()) == before


@pytest.mark.django_db
def test_a_new_link_or_key_replaces_or_adds_and_never_hands_out_the_old(owner: User) -> None:
    """What makes a secret makes another one each time; the help says what becomes of the old."""
    links = [_said("magiclink", owner.email) for _run in range(2)]
    keys = [_said("apikey", "create", owner.email, "backup") for _run in range(2)]

    assert len(set(links)) == len(set(keys)) == 2
    assert LoginLink.objects.count() == 2
    assert ApiKey.objects.count() == 2


def _said(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()

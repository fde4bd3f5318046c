"""`manage.py serve`: everything from an empty folder to a running server."""

import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import connection

from accounts.services.anonymous import sync_anonymous_user
from accounts.services.first_run import ensure_owner, issue_setup_link
from config.server.processes import CHECKS, run_server
from config.server.systemd import SocketError, describe, passed_listener
from core.crypto.encryption_key import require_same_key
from core.errors import GatehouseError
from core.health import pending_migrations
from core.web.request_context import RequestContext, use_context
from operations.errors import SecretsReplaced
from operations.subprocesses import start_again
from operations.upgrade.prepare import prepare


class Command(BaseCommand):
    """Prepare the data, make sure that there is an owner, print the set-up link, serve."""

    help = (
        "Bring the database up to date, create the first owner if there is none, print the "
        "one-time set-up link, and serve on HOST:PORT. Safe to repeat. Exits with 1 if the data "
        "cannot be prepared or the address is in use."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        either = parser.add_mutually_exclusive_group()
        either.add_argument(
            "--prepare-only", action="store_true", help="prepare the data and exit without serving"
        )
        either.add_argument(
            "--checks-only",
            action="store_true",
            help="only respond to checks of proxies; another server must have prepared the data",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        _let_sigterm_end_a_container()
        if options["checks_only"]:
            self.serve_checks()
            return
        if not options["prepare_only"]:
            _check_address()
        self.prepare()
        with use_context(RequestContext(channel="command")):
            self.print_welcome()
        if not options["prepare_only"]:
            logging.shutdown()
            run_server()

    def serve_checks(self) -> None:
        """A process group of its own for checks; see config.forward_auth_wsgi."""
        _check_address()
        missing = pending_migrations(connection)
        if missing:
            raise CommandError(
                f"The database is not up to date ({len(missing)} migrations). Start "
                "`manage.py serve` without --checks-only first: it brings it up to date."
            )
        try:
            require_same_key()
        except GatehouseError as error:
            raise CommandError(error.message) from error
        where = _address()
        self.stdout.write(f"Gatehouse answers checks for {settings.PUBLIC_URL} on {where}")
        self.print_problems()
        self.stdout.flush()
        logging.shutdown()
        run_server(CHECKS)

    def prepare(self) -> None:
        """Database, cache file, static files; nodes that start at once do it one by one."""
        try:
            prepared = prepare(self.stdout.write)
        except SecretsReplaced as error:
            self.stdout.write(error.message)
            start_again()
        except GatehouseError as error:
            raise CommandError(error.message) from error
        if prepared.revoked is not None:
            self.stdout.write(prepared.revoked.describe())

    def print_welcome(self) -> None:
        """Print the address and, if the instance has no owner, the set-up link."""
        setup = issue_setup_link(ensure_owner())
        sync_anonymous_user()
        lines = [f"Gatehouse serves {settings.PUBLIC_URL} (listening on {_address()})"]
        if setup is not None:
            lines += [
                "",
                "This instance has no owner yet. Open this one-time link and become its owner:",
                "",
                f"    {setup.url}",
                "",
                f"It works until {setup.expires_at:%Y-%m-%d %H:%M} UTC; a restart prints another.",
                "Set-up code, should the sign-up form ask for one:",
                f"    {setup.token}",
            ]
        self.stdout.write("\n".join([*lines, *_warning_of_anonymous_mode(), ""]))
        self.print_problems()
        self.stdout.flush()

    def print_problems(self) -> None:
        """What is unwise in the settings, misspelt names too: who starts it reads it here."""
        for problem in settings.ENV.problems:
            self.stdout.write(f"Warning: {problem}")


def _let_sigterm_end_a_container() -> None:
    """For process 1, the kernel ignores a signal without a handler: a stop would have to wait.

    What is under way is rolled back, as when any other process gets SIGTERM. The server replaces
    the handler when it starts.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_of_signal: os._exit(128 + signal.SIGTERM))


def _warning_of_anonymous_mode() -> list[str]:
    """A conspicuous warning while sign-in is off."""
    role = settings.ANONYMOUS_ROLE
    if role is None:
        return []
    return [
        "",
        "!" * 72,
        f"SIGN-IN IS OFF. Everyone who can open {settings.PUBLIC_URL}",
        f"may use it as {role}, without an account.",
        f"To ask for sign-in, remove {', '.join(settings.ANONYMOUS_SETTINGS)} and restart.",
        "!" * 72,
    ]


def _address() -> str:
    passed = _passed()
    if passed is not None:
        return f"{passed}, opened by systemd"
    return settings.HOST if settings.SOCKET else f"{settings.HOST}:{settings.PORT}"


def _passed() -> str | None:
    """Where systemd listens for this process, if it does. Raises CommandError."""
    try:
        listener = passed_listener()
    except SocketError as error:
        raise CommandError(str(error)) from error
    if listener is None:
        return None
    with listener:
        return describe(listener)


def _check_address() -> None:
    """Can it listen there? Raises CommandError."""
    if _passed() is not None:
        return
    if settings.SOCKET:
        _check_socket(settings.SOCKET)
    else:
        _check_port(settings.HOST, settings.PORT)


def _check_socket(file: Path) -> None:
    """A file that a server has left behind is removed; one that answers is not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            if file.is_socket():
                probe.connect(str(file))
                raise CommandError(f"HOST=unix:{file}: another server listens there. Stop it, or "
                                   "choose another file.")  # fmt: skip
        except ConnectionRefusedError:
            file.unlink()
        except OSError as error:
            raise CommandError(f"HOST=unix:{file}: {error.strerror}.") from error
    if file.exists() or not os.access(file.parent, os.W_OK):
        raise CommandError(
            f"HOST=unix:{file}: cannot be made there. Name a file that does not exist, in a folder "
            "that exists and that Gatehouse may write to."
        )


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"HOST={host} PORT={port}: cannot listen there ({error.strerror}). "
                "Stop what uses the port, or choose another one, for example PORT=8080."
            ) from error

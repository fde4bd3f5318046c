"""Runs management commands and code as subprocesses, also on another database."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from django.conf import settings

from config.environment.resolve import FILE_ENDING
from config.environment.variables import BY_NAME
from operations.errors import OperationError
from operations.postgres import first_line


def environment_for(url: str, **more: str) -> dict[str, str]:
    """This environment with another DATABASE_URL, which replaces all aliases of the name."""
    names = BY_NAME["DATABASE_URL"].names
    others = {*names, *(f"{name}{FILE_ENDING}" for name in names)}
    kept = {name: value for name, value in os.environ.items() if name not in others}
    return kept | {"DATABASE_URL": url} | more


def manage(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run `manage.py arguments`; returns the output. Raises OperationError with its error."""
    return _run([str(Path(settings.BASE_DIR) / "manage.py"), *arguments], environment)


def python(code: str, environment: dict[str, str] | None = None) -> str:
    """Run Python code; returns the output. Raises OperationError with its last error line."""
    return _run(["-c", code], environment)


def start_again() -> NoReturn:
    """Replace this process by a new one of the same command, which reloads the settings."""
    sys.stdout.flush()
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606  # our own interpreter and arguments


def sqlite_url(path: Path) -> str:
    """The DATABASE_URL of a SQLite file, by its absolute path."""
    return f"sqlite:///{quote(str(path.resolve()))}"


def _run(arguments: list[str], environment: dict[str, str] | None) -> str:
    done = subprocess.run(  # noqa: S603  # our own interpreter, code and arguments
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-1:])
        raise OperationError(f"{arguments[-1][:60]} failed: {first_line(last)}")
    return done.stdout

"""Writes values to a .env file: replaces their lines, keeps everything else, sets mode 600."""

import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from federation.authentik.http import AuthentikError

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
MODE = 0o600


def merge(text: str, values: Mapping[str, str]) -> str:
    """`text` with one line for each of `values`, in place of the last of that name or at the end.

    Other lines of that name are removed, because only the last one counts. Comments stay.
    """
    lines = text.splitlines()
    last = {name: number for number, line in enumerate(lines) if (name := _name(line)) in values}
    merged = [
        format_line(name, values[name]) if name in values else line
        for number, line in enumerate(lines)
        if (name := _name(line)) not in values or last[name] == number
    ]
    merged += [format_line(name, value) for name, value in values.items() if name not in last]
    return "\n".join(merged) + "\n"


def format_line(name: str, value: str) -> str:
    """`NAME=value` for a .env file, quoted if necessary."""
    if any(character in value for character in "\r\n"):
        raise AuthentikError(f"The value of {name} has a line break; set it by hand.")
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    if "'" not in value:
        return f"{name}='{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def check_writable(path: Path) -> Path:
    """The resolved `path`. Raises AuthentikError if it is not writable."""
    path = path.resolve()
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise AuthentikError(f"{path} cannot be written. Choose another --write-env.")
    if path.exists():
        read(path)
    return path


def read(path: Path) -> str:
    """The text of the file, "" if it does not exist. Raises AuthentikError."""
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise AuthentikError(f"{path} cannot be read ({type(error).__name__}).") from None


def write(path: Path, values: Mapping[str, str]) -> bool:
    """Merge `values` into the file, atomically. False if nothing changes."""
    before = read(path)
    after = merge(before, values)
    is_private = path.exists() and stat.S_IMODE(path.stat().st_mode) == MODE
    if before == after and is_private:
        return False
    _replace(path, after)
    return True


def _replace(path: Path, text: str) -> None:
    """Write a temporary file and rename it, so that readers see the old file or the new one."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(number)
        _keep_owner(path, beside)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise AuthentikError(f"{path} could not be written ({error.strerror}).") from None


def _keep_owner(path: Path, beside: Path) -> None:
    """Keep the owner of the file when root writes it."""
    if path.exists() and os.geteuid() == 0:
        old = path.stat()
        os.chown(beside, old.st_uid, old.st_gid)


def _name(line: str) -> str:
    """The variable that the line sets, "" for any other line."""
    found = _ASSIGNMENT.match(line)
    return found["name"] if found else ""

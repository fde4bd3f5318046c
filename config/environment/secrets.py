"""Secrets: which ones are too weak, and how missing ones are generated once and kept.

Nothing here puts a secret into a message.
"""

import base64
import binascii
import os
import re
import secrets
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from config.environment.errors import Unreadable
from config.environment.known_secrets import PLACEHOLDERS, PUBLISHED

MIN_SECRET_LENGTH = 32
ENCRYPTION_KEY_BYTES = 32
MIN_DISTINCT = 8
MAX_FILE_BYTES = 65_536
DIRECTORY = "secrets"

_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
KEY_FIX = "remove it to generate one, or use the output of `openssl rand -base64 32`"


def is_published(secret: str) -> bool:
    """Is `secret` published somewhere, a placeholder, or empty?"""
    folded = secret.strip().strip("\"'").lower()
    return folded in PUBLISHED or any(part in folded for part in PLACEHOLDERS)


def weakness(secret: str) -> str:
    """Why `secret` can be guessed, or nothing. Random text of 32 characters always passes."""
    if len(secret) < MIN_SECRET_LENGTH:
        return f"is shorter than {MIN_SECRET_LENGTH} characters"
    steps = {ord(after) - ord(before) for before, after in pairwise(secret)}
    # Few characters, a repeated word or a row such as abcdef: nothing that chance makes.
    if len(set(secret)) < MIN_DISTINCT or len(steps) < MIN_DISTINCT:
        return "is too regular to be random"
    return ""


def decode_key(text: str) -> bytes:
    """The 32 bytes of an encryption key in base64 (either alphabet) or hexadecimal digits."""
    text = text.strip()
    if _HEX_KEY.fullmatch(text):
        return bytes.fromhex(text)
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        key = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != ENCRYPTION_KEY_BYTES:
        raise Unreadable("is neither 32 bytes in base64 nor 64 hexadecimal digits", KEY_FIX)
    return key


def make_secret_key() -> str:
    """A new value for SECRET_KEY: 48 random bytes."""
    return secrets.token_urlsafe(48)


def make_encryption_key() -> str:
    """A new value for ENCRYPTION_KEY: 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(ENCRYPTION_KEY_BYTES)).decode()


MAKERS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": make_secret_key,
    "ENCRYPTION_KEY": make_encryption_key,
}


def stored_secret(data_dir: Path, name: str, make: Callable[[], str]) -> str:
    """The secret in the file `name` below DATA_DIR/secrets, made on first use.

    Processes that start at once agree on one value. An empty file is an error, never replaced:
    what the lost key encrypted would be lost without a word. Raises OSError, Unreadable.
    """
    path = data_dir / DIRECTORY / name
    if not path.exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _create(path, make())
    secret = read_secret(path)
    if not secret:
        fix = "restore the file from a backup; without one, delete it, and a new one is created"
        raise Unreadable(f"is kept in {path}, which is empty", fix)
    return secret


def is_readable_by_others(path: Path) -> bool:
    """Can the group or other users of this machine read the file?"""
    return bool(path.stat().st_mode & 0o077)


def read_secret(path: Path) -> str:
    """The text of a secret's file without the line break at its end. Raises OSError, Unreadable."""
    with path.open("rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise Unreadable(f"names the file {path}, which is larger than 64 KB", "name another file")
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        fix = "store the secret as text"
        raise Unreadable(f"names the file {path}, which is not UTF-8 text", fix) from None


def _create(path: Path, value: str) -> None:
    """Make the file appear whole or not at all; when another process was faster, its file stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{value}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # link() never replaces, which rename() would: the first process decides for all.
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""The file of a backup: a tar of a manifest, the database, and the secret files of DATA_DIR.

The manifest comes first and lists every part with its size and SHA-256. Only listed parts are
unpacked, and only into the given folder.
"""

import io
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from core.lazy import LazyModule
from operations.errors import OperationError

if TYPE_CHECKING:
    import tarfile
else:
    tarfile = LazyModule("tarfile")

FORMAT = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 4_000_000
DATABASES = {"sqlite": "database.sqlite3", "postgres": "database.dump"}
FILES = "files/"
CHUNK = 1 << 20
_FILE_NAME = re.compile(r"files/(?:[\w.-]*[\w-][\w.-]*/){0,8}[\w.-]*[\w-][\w.-]*")
DAMAGED = "The backup is damaged: {what}. Nothing was changed."


@dataclass(frozen=True, slots=True)
class Part:
    """One member of the archive."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup contains. key: the fingerprint of ENCRYPTION_KEY.

    database: sqlite or postgres. migrations: applied ones as app.name. counts: rows by table.
    outside: names of the secrets that came from the environment and are not included.
    """

    version: str
    made_at: str
    database: str
    migrations: list[str]
    counts: dict[str, int]
    audit_rows: int
    key: str
    has_secrets: bool
    outside: list[str]
    parts: dict[str, Part] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def database_part(self) -> str:
        return DATABASES[self.database]

    def describe(self) -> str:
        """A short description for messages."""
        users = self.counts.get("accounts_user", 0)
        return (
            f"{users} accounts, {self.audit_rows} rows of the audit log, version {self.version}, "
            f"{self.database}"
        )


def write_archive(file: Path, manifest: Manifest, parts: dict[str, Path]) -> None:
    """Write `file` with mode 600. It appears complete or not at all.

    Raises OperationError if it exists already or cannot be written.
    """
    content = json.dumps(asdict(manifest), indent=1, sort_keys=True).encode()
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as raw:
                _write_members(raw, content, parts)
                raw.flush()
                os.fsync(raw.fileno())
            require_new(file)
            temporary.rename(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OperationError(f"{file} cannot be written: {error.strerror}.") from error


def require_new(file: Path) -> None:
    """Raise OperationError if the file exists, or its folder does not."""
    if file.exists():
        raise OperationError(f"{file} exists already. Choose another name.")
    if not file.parent.is_dir():
        raise OperationError(f"The folder {file.parent} does not exist.")


def read_manifest(file: Path) -> Manifest:
    """Read the manifest only. Raises OperationError if the file is not a backup."""
    try:
        with tarfile.open(file, "r:") as archive:
            first = archive.next()
            if first is None or first.name != MANIFEST or first.size > MAX_MANIFEST_BYTES:
                raise OperationError(f"{file} is not a backup: it does not start with a manifest.")
            return _parsed(json.loads(_content(archive, first).read()))
    except OSError as error:
        raise OperationError(f"{file} cannot be read: {error.strerror or error}.") from None
    except (tarfile.TarError, ValueError):
        raise OperationError(f"{file} is not a backup, or it is damaged.") from None


def unpack(file: Path, manifest: Manifest, folder: Path) -> None:
    """Unpack every part into `folder` and check it against the manifest. Raises OperationError."""
    found = set()
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                if member.name != MANIFEST:
                    _unpack_one(archive, member, manifest, folder)
                    found.add(member.name)
    except (tarfile.TarError, EOFError) as error:
        raise OperationError(DAMAGED.format(what=error)) from None
    missing = sorted(set(manifest.parts) - found)
    if missing:
        raise OperationError(DAMAGED.format(what=f"{missing[0]} is missing"))


def digest_of(file: Path) -> Part:
    """Size and SHA-256 of a file."""
    total, count = sha256(), 0
    with file.open("rb") as raw:
        while chunk := raw.read(CHUNK):
            total.update(chunk)
            count += len(chunk)
    return Part(count, total.hexdigest())


def _write_members(raw: BinaryIO, manifest: bytes, parts: dict[str, Path]) -> None:
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(_member(MANIFEST, len(manifest)), io.BytesIO(manifest))
        for name, path in sorted(parts.items()):
            with path.open("rb") as content:
                archive.addfile(_member(name, path.stat().st_size), content)


def _member(name: str, size: int) -> "tarfile.TarInfo":
    """A member without owner and time of this machine."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def _unpack_one(
    archive: "tarfile.TarFile", member: "tarfile.TarInfo", manifest: Manifest, folder: Path
) -> None:
    part = manifest.parts.get(member.name)
    if part is None or not member.isreg() or member.size != part.size:
        raise OperationError(
            DAMAGED.format(what=f"{member.name[:80]!r} is not the part that was written")
        )
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = _content(archive, member)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
        while chunk := content.read(CHUNK):
            raw.write(chunk)
    if digest_of(target) != part:
        raise OperationError(DAMAGED.format(what=f"{member.name} has another SHA-256"))


def _content(archive: "tarfile.TarFile", member: "tarfile.TarInfo") -> Any:
    content = archive.extractfile(member)
    if content is None:
        raise OperationError(DAMAGED.format(what=f"{member.name[:80]!r} is not a file"))
    return content


def _parsed(found: Any) -> Manifest:
    """Parse a manifest from untrusted JSON. Raises ValueError, OperationError."""
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        raise ValueError("no manifest")  # noqa: TRY004  # an error in the file
    if found["format"] > FORMAT:
        raise OperationError("The backup was made by a newer version. Upgrade the code first.")
    try:
        parts = {name: Part(**part) for name, part in found.pop("parts").items()}
        manifest = Manifest(**found, parts=parts)
        known = {manifest.database_part}
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("no manifest") from error
    if not all(name in known or _FILE_NAME.fullmatch(name) for name in parts):
        raise ValueError("a part has an unexpected name")
    if manifest.database_part not in parts:
        raise ValueError("no database")
    return manifest

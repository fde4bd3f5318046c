"""A backup is restored completely, without credentials that were revoked since."""

import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.operations.credentials import (
    EMAIL,
    REVOKE,
    SIGN_IN_METHODS,
    USER,
    can_sign_in,
    gather,
    opened,
)
from tests.operations.instance_data import VERIFY, fill

USERS = "from accounts.models import User; result = User.objects.count()"
HEAD = (
    "from audit.models import AuditEvent; e = AuditEvent.objects.order_by('seq').last();"
    "result = [e.action, e.channel, e.detail]"
)
StartGatehouse = Callable[..., Gatehouse]


def _backup(data: InstanceData, folder: Path, *options: str) -> Path:
    """A backup beside the data; its file."""
    file = folder / "gatehouse.tar"
    done = data.manage("backup", str(file), *options)
    assert done.returncode == 0, done.stderr
    return file


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not in DATA_DIR."""
    return tmp_path_factory.mktemp("outside")


@pytest.mark.parametrize(("kind", "keep_keys"), [("sqlite", False), ("postgres", True)])
def test_no_revoked_credential_works_after_a_restore(
    request: pytest.FixtureRequest,
    gatehouse_server: StartGatehouse,
    outside: Path,
    kind: str,
    keep_keys: bool,
) -> None:
    any_data: InstanceData = request.getfixturevalue(f"{kind}_data")
    any_data.shell(USER)
    instance = gatehouse_server(any_data)
    revoked, kept = gather(instance, any_data), gather(instance, any_data)
    file = _backup(any_data, outside)
    assert opened(instance, kept) == [*SIGN_IN_METHODS]
    any_data.shell(REVOKE)
    assert opened(instance, revoked) == []
    refused = any_data.manage("restore", str(file), "--yes")
    assert refused.returncode == 1
    assert "Stop the server" in refused.stderr
    instance.stop()

    done = any_data.manage("restore", str(file), "--yes", *["--keep-keys"] * keep_keys)

    assert (done.returncode, done.stderr) == (0, "")
    assert "1 users must sign in again. 2 sessions have ended." in done.stdout
    instance = gatehouse_server(any_data)
    allowed = ["key"] if keep_keys else []
    assert [opened(instance, bunch) for bunch in (revoked, kept)] == [allowed, allowed]
    assert can_sign_in(instance)
    assert opened(instance, gather(instance, any_data)) == [*SIGN_IN_METHODS]


def test_a_restore_brings_all_data_back_and_keeps_the_old_data(
    any_data: InstanceData, outside: Path
) -> None:
    fill(any_data)
    file = _backup(any_data, outside)
    any_data.shell("from accounts.models import User; User.objects.all().delete(); result = None")

    done = any_data.manage("restore", str(file), "--yes")

    assert done.returncode == 0, done.stderr
    assert any_data.shell(USERS) == 50
    assert any_data.shell(VERIFY) == [21, None]
    assert any_data.shell(HEAD) == [
        "instance:restore",
        "command",
        {"people": 50, "keys_kept": False},
    ]
    (aside,) = any_data.data_dir.glob("before-restore-*")
    assert str(aside) in done.stdout
    assert aside.stat().st_mode & 0o077 == 0
    assert (aside / "secrets" / "encryption_key").read_text() == (
        any_data.data_dir / "secrets" / "encryption_key"
    ).read_text()
    if any_data.kind == "sqlite":
        kept = sqlite3.connect(aside / "gatehouse.sqlite3")
        assert kept.execute("SELECT count(*) FROM accounts_user").fetchone() == (0,)
        kept.close()
    else:
        assert (aside / "database.dump").stat().st_size > 1000
    assert not list(any_data.data_dir.glob(".restore-*"))


def test_a_backup_is_one_private_file_with_a_manifest(
    any_data: InstanceData, outside: Path
) -> None:
    fill(any_data)
    (any_data.data_dir / "idp.pem").write_text("key")

    file = _backup(any_data, outside)

    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        names = archive.getnames()
        manifest = json.load(archive.extractfile("manifest.json"))
    database = "database.sqlite3" if any_data.kind == "sqlite" else "database.dump"
    assert names == [
        "manifest.json",
        database,
        "files/idp.pem",
        "files/secrets/django_secret_key",
        "files/secrets/encryption_key",
    ]
    assert manifest["counts"]["accounts_user"] == 50
    assert manifest["audit_rows"] == 20
    assert "accounts.0001_initial" in manifest["migrations"]
    assert list(outside.iterdir()) == [file]
    again = any_data.manage("backup", str(file))
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_a_backup_restores_on_an_empty_machine(sqlite_data: InstanceData, outside: Path) -> None:
    fill(sqlite_data)
    file = _backup(sqlite_data, outside)
    fresh = replace(
        sqlite_data,
        data_dir=outside / "new",
        url=f"sqlite:///{outside / 'new' / 'gatehouse.sqlite3'}",
    )

    done = fresh.manage("restore", str(file), "--yes")

    assert done.returncode == 0, done.stderr
    assert fresh.shell(USERS) == 50
    secret = Path("secrets", "encryption_key")
    assert (fresh.data_dir / secret).read_text() == (sqlite_data.data_dir / secret).read_text()


def test_a_wrong_key_is_reported_before_anything_changes(
    sqlite_data: InstanceData, outside: Path
) -> None:
    fill(sqlite_data)
    file = _backup(sqlite_data, outside, "--without-secrets")
    (sqlite_data.data_dir / "secrets" / "encryption_key").unlink()

    refused = sqlite_data.manage("restore", str(file), "--yes")
    taken = sqlite_data.manage("restore", str(file), "--yes", "--other-key")

    assert refused.returncode == 1
    assert "The backup was encrypted with another ENCRYPTION_KEY." in refused.stderr
    assert not [*sqlite_data.data_dir.glob("before-restore-*")][1:]
    assert taken.returncode == 0, taken.stderr


def test_without_a_terminal_a_restore_needs_yes(sqlite_data: InstanceData, outside: Path) -> None:
    file = _backup(sqlite_data, outside)

    done = sqlite_data.manage("restore", str(file))

    assert done.returncode == 1
    assert "--yes" in done.stderr
    assert not list(sqlite_data.data_dir.glob("before-restore-*"))


def _flip(file: Path, at: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[at] ^= 0xFF
    file.write_bytes(raw)


def _rewrite(file: Path, **changes: object) -> None:
    """The same backup with another manifest."""
    with tarfile.open(file) as archive:
        parts = [(member, archive.extractfile(member).read()) for member in archive]
    manifest = json.loads(parts[0][1]) | changes
    parts[0] = (parts[0][0], json.dumps(manifest).encode())
    with tarfile.open(file, "w") as archive:
        for member, content in parts:
            member.size = len(content)
            path = file.with_name("part")
            path.write_bytes(content)
            with path.open("rb") as raw:
                archive.addfile(member, raw)
            path.unlink()


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte of the database": (lambda file: _flip(file, 200_000), "has another SHA-256"),
    "cut off": (lambda file: file.write_bytes(file.read_bytes()[:300_000]), "damaged"),
    "no archive": (lambda file: file.write_text("hello"), "is not a backup"),
    "empty": (lambda file: file.write_bytes(b""), "is not a backup"),
    "newer code": (lambda file: _rewrite(file, version="99.0.0"), "newer than this one"),
    "newer migration": (lambda file: _rewrite(file, migrations=["accounts.9999_x"]), "newer than"),
    "newer format": (lambda file: _rewrite(file, format=2), "made by a newer version"),
    "other database": (lambda file: _rewrite(file, database="postgres"), "damaged"),
    "a way out": (
        lambda file: _rewrite(file, parts={"files/../../x": {"size": 1, "sha256": "0"}}),
        "damaged",
    ),
}


def test_a_damaged_backup_changes_nothing(sqlite_data: InstanceData, outside: Path) -> None:
    whole, file = _backup(sqlite_data, outside), outside / "damaged.tar"
    before = (sqlite_data.data_dir / "gatehouse.sqlite3").read_bytes()
    for damage, (spoil, said) in DAMAGES.items():
        shutil.copy(whole, file)
        spoil(file)

        done = sqlite_data.manage("restore", str(file), "--yes")

        assert (damage, done.returncode) == (damage, 1)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert (sqlite_data.data_dir / "gatehouse.sqlite3").read_bytes() == before
        assert not list(sqlite_data.data_dir.glob("before-restore-*"))


def test_an_interrupted_restore_is_finished_by_the_next_start(
    sqlite_data: InstanceData, outside: Path
) -> None:
    sqlite_data.shell(USER)
    before = sqlite_data.shell(MARKS)
    file = _backup(sqlite_data, outside)
    # As far as `restore` gets before it starts the last step.
    sqlite_data.shell(
        "from pathlib import Path; from operations.backup.archive import read_manifest;"
        f"from operations.backup.restore import *; file = Path({str(file)!r});"
        "restore(RestoreOptions(file), read_manifest(file), print); result = None"
    )

    done = sqlite_data.manage("serve", "--prepare-only")

    assert done.returncode == 0, done.stderr
    assert "1 users must sign in again." in done.stdout
    after = sqlite_data.shell(MARKS)
    assert [new > old for new, old in zip(after, before, strict=True)] == [True, True]
    assert sqlite_data.manage("upgrade").stdout == "The database is up to date already.\n"


MARKS = (
    f"from accounts.models import User; u = User.objects.get(email='{EMAIL}');"
    "result = [u.credentials_valid_from, u.keys_valid_from]"
)


def test_postgresql_without_its_programs_says_what_is_missing(
    postgres_data: InstanceData, outside: Path
) -> None:
    done = postgres_data.manage("backup", str(outside / "x.tar"), PATH=str(outside))

    assert done.returncode == 1
    assert "pg_dump is not installed here." in done.stderr
    assert list(outside.iterdir()) == []
    assert shutil.which("pg_dump")

"""The limit of passwords hashed at once, over all processes, even if one is killed."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from django.contrib.auth.hashers import check_password, get_hasher
from pytest_django.fixtures import Settings

from accounts.passwords import hashers
from config.settings import PASSWORD_HASHERS
from devtools.servers.databases import InstanceData
from devtools.servers.processes import wait_for
from devtools.servers.quick import QuickServer, warmed
from operations.doctor import examine

pytestmark = pytest.mark.race

STORED = hashers.BoundedArgon2Hasher().encode("right", "somesalt")
CROWD = """
import threading, time
from pathlib import Path
import django
django.setup()
from accounts.passwords import hashers
hashers.hashes_at_once = lambda: 2
folder = Path({folder!r})
(folder / f"ready-{number}").touch()
while len(list(folder.glob("ready-*"))) < 3:
    time.sleep(0.005)
most = 0
def hash_one():
    global most
    mine = folder / f"running-{number}-{{threading.get_ident()}}"
    mine.touch()
    most = max(most, len(list(folder.glob("running-*"))))
    time.sleep(0.002)
    mine.unlink()
def work():
    for turn in range(15):
        hashers._hash(hash_one)
threads = [threading.Thread(target=work) for _one in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
(folder / f"most-{number}").write_text(str(most))
"""
HOLDER = """
import time
from pathlib import Path
import django
django.setup()
from accounts.passwords import hashers
def hold():
    Path({sign!r}).touch()
    time.sleep(120)
hashers._hash(hold)
"""


def test_processes_share_the_hashing_slots(sqlite_data: InstanceData, tmp_path: Path) -> None:
    folder = tmp_path / "crowd"
    folder.mkdir()
    crowd = [
        warmed.start(
            CROWD.replace("{folder!r}", repr(str(folder)))
            .replace("{number}", str(number))
            .replace("{{", "{")
            .replace("}}", "}"),
            environment=sqlite_data.environment(),
            out=tmp_path / "out",
            err=tmp_path / "err",
        )
        for number in range(3)
    ]
    statuses = [each.wait(60) for each in crowd]

    assert statuses == [0] * 3, (tmp_path / "err").read_text()
    assert max(int(file.read_text()) for file in folder.glob("most-*")) == 2


def test_a_killed_process_frees_its_slot(
    sqlite_data: InstanceData, tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashers, "hashes_at_once", lambda: 1)
    settings.DATA_DIR = sqlite_data.data_dir  # type: ignore[attr-defined]
    sign = tmp_path / "sign"
    code = "import accounts.passwords.hashers\n" + HOLDER.format(sign=str(sign)).replace(
        "def hold", "hashers.hashes_at_once = lambda: 1\ndef hold"
    )
    code = code.replace("import accounts.passwords.hashers\n", "")
    holder = QuickServer(code, tmp_path / "log", sqlite_data.environment(), warmed)
    assert wait_for(sign.exists), holder.output()
    with (sqlite_data.data_dir / hashers.FOLDER / "0").open("ab") as file:
        with pytest.raises(BlockingIOError):
            hashers.flock(file, hashers.LOCK_EX | hashers.LOCK_NB)
        os.kill(holder.process.pid, signal.SIGKILL)
        holder.process.wait(10)

        hashers.flock(file, hashers.LOCK_EX)
    assert hashers._hash(lambda: "hashed") == "hashed"


@pytest.mark.parametrize(("cores", "places"), [(1, 1), (2, 1), (4, 3), (16, 15)])
def test_one_core_stays_free(monkeypatch: pytest.MonkeyPatch, cores: int, places: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(cores)))

    assert hashers.hashes_at_once() == places


def test_hashing_works_without_a_writable_folder(settings: object, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "missing" / "folder"  # type: ignore[attr-defined]

    assert hashers._lock_slot(1) is None
    assert hashers._hash(lambda: "hashed") == "hashed"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority of a thread")
def test_hashes_run_at_a_lower_priority_than_the_thread_that_waits() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    usual = priority()

    assert hashers._hash(priority) == min(19, usual + hashers.NICE)
    assert priority() == usual


@pytest.mark.parametrize("algorithm", ["argon2", "pbkdf2_sha256", "bcrypt"])
def test_django_finds_our_hasher_of_each_scheme(settings: Settings, algorithm: str) -> None:
    """Django takes the last one of a scheme, and one of its own would have no limit."""
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS

    assert type(get_hasher(algorithm)).__module__ == hashers.__name__


def test_a_stored_password_is_verified_in_a_thread_that_hashes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS
    turns: list[int] = []
    take_turn = hashers._take_turn
    monkeypatch.setattr(
        hashers, "_take_turn", lambda *of_hash: (turns.append(1), take_turn(*of_hash))[1]
    )

    assert check_password("right", STORED)
    assert not check_password("wrong", STORED)
    assert turns == [1, 1]


def test_an_error_of_a_hash_reaches_the_caller_and_frees_the_slot() -> None:
    for _again in range(hashers.hashes_at_once() + 1):
        with pytest.raises(UnicodeEncodeError):
            hashers.BoundedArgon2Hasher().verify("\ud800", STORED)


def test_a_forked_process_hashes_in_threads_of_its_own() -> None:
    assert hashers.BoundedArgon2Hasher().verify("right", STORED)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if hashers.BoundedArgon2Hasher().verify("right", STORED) else 1)

    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.django_db
def test_doctor_reports_the_number_of_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2, 3})
    texts = [finding.text for finding in examine()]

    assert "Passwords are hashed 3 at once, over all processes that share DATA_DIR." in texts

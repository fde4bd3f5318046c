"""Secrets: weak and published ones are rejected, missing ones are generated and stored."""

import base64
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from config.environment import Environment, load
from config.environment.errors import Unreadable
from config.environment.known_secrets import PUBLISHED
from config.environment.secrets import (
    decode_key,
    make_encryption_key,
    make_secret_key,
    stored_secret,
    weakness,
)

Load = Callable[..., Environment]
Lines = Callable[..., list[str]]

STRONG = "Zq3vWm8xK1pRt6yB9nHc4sLd7fGj2aUe"
SITE = {"PUBLIC_URL": "https://gate.example.com"}
PUBLISHED_LINE = (
    "SECRET_KEY: is empty, a placeholder, or a value that is published. Fix: remove it to generate "
    "one, or use the output of `openssl rand -base64 48`."
)
PROCESSES = 8


@pytest.mark.parametrize("secret", sorted(PUBLISHED))
@pytest.mark.parametrize("site", [{}, SITE], ids=["development", "production"])
def test_a_published_secret_stops_every_start(
    faults: Lines, secret: str, site: dict[str, str]
) -> None:
    assert faults(SECRET_KEY=secret, **site) == [PUBLISHED_LINE]


@pytest.mark.parametrize(
    "secret",
    [
        "django-insecure-" + STRONG,
        "please-ChangeMe-" + STRONG,
        "replace-me-" + STRONG,
        '"SECRET"',
        "  password  ",
    ],
)
def test_a_placeholder_stops_every_start(faults: Lines, secret: str) -> None:
    assert faults(SECRET_KEY=secret) == [PUBLISHED_LINE]


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        (STRONG[:31], "is shorter than 32 characters"),
        ("a" * 64, "is too regular to be random"),
        ("abc123" * 10, "is too regular to be random"),
        ("abcdefghijklmnopqrstuvwxyzABCDEF", "is too regular to be random"),
        ("0123456789" * 4, "is too regular to be random"),
    ],
)
def test_a_weak_secret_stops_production_and_warns_in_development(
    faults: Lines, warnings: Lines, secret: str, what: str
) -> None:
    line = (
        f"SECRET_KEY: {what}. Fix: remove it to generate one, or use the output of "
        "`openssl rand -base64 48`."
    )

    assert faults(SECRET_KEY=secret, **SITE) == [line]
    assert warnings(SECRET_KEY=secret) == [line]


def test_an_alias_follows_the_same_rule(faults: Lines) -> None:
    assert faults(KHOJ_DJANGO_SECRET_KEY="!secret") == [PUBLISHED_LINE]


def test_random_secrets_are_never_called_weak() -> None:
    for _ in range(2_000):
        assert weakness(os.urandom(16).hex()) == ""
        assert weakness(make_secret_key()) == ""
        assert weakness(make_encryption_key()) == ""


def test_a_strong_secret_is_used_unchanged(load_env: Load) -> None:
    env = load_env(f'SECRET_KEY="{STRONG}"\n', **SITE)

    assert env["SECRET_KEY"] == STRONG
    assert env.source("SECRET_KEY") == ".env line 1: SECRET_KEY"


@pytest.mark.parametrize("width", ["base64", "urlsafe", "hex"])
def test_an_encryption_key_is_accepted_in_each_usual_format(load_env: Load, width: str) -> None:
    key = bytes(range(7, 256, 8))
    text = {
        "base64": base64.b64encode(key).decode(),
        "urlsafe": base64.urlsafe_b64encode(key).decode().rstrip("="),
        "hex": key.hex(),
    }[width]

    assert load_env(ENCRYPTION_KEY=text)["ENCRYPTION_KEY"] == key


def test_an_encryption_key_of_another_length_is_refused(faults: Lines) -> None:
    assert faults(ENCRYPTION_KEY=STRONG) == [
        (
            "ENCRYPTION_KEY: is neither 32 bytes in base64 nor 64 hexadecimal digits. Fix: remove "
            "it to generate one, or use the output of `openssl rand -base64 32`."
        )
    ]


def test_missing_secrets_are_generated_once_and_stored(tmp_path: Path) -> None:
    first = load({}, data_dir=tmp_path / "data")
    second = load({}, data_dir=tmp_path / "data")

    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert first["ENCRYPTION_KEY"] == second["ENCRYPTION_KEY"]
    assert len(first["ENCRYPTION_KEY"]) == 32
    assert first.source("ENCRYPTION_KEY") == "generated: secrets/encryption_key"
    assert sorted(path.name for path in (tmp_path / "data" / "secrets").iterdir()) == [
        "django_secret_key",
        "encryption_key",
    ]


def test_the_generated_secrets_are_independent(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    load({}, data_dir=tmp_path)
    kept = (secrets / "encryption_key").read_text()
    (secrets / "django_secret_key").unlink()

    load({}, data_dir=tmp_path)

    assert (secrets / "encryption_key").read_text() == kept


def test_generated_secrets_are_readable_only_by_their_owner(tmp_path: Path) -> None:
    load({}, data_dir=tmp_path / "data")

    secrets = tmp_path / "data" / "secrets"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}


def test_a_stored_secret_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    load({}, data_dir=tmp_path)
    path = tmp_path / "secrets" / "encryption_key"
    path.chmod(0o644)

    assert [str(problem) for problem in load({}, data_dir=tmp_path).problems] == [
        (
            f"ENCRYPTION_KEY: is kept in {path}, which others on this machine may read. "
            f"Fix: run chmod 600 {path}."
        )
    ]


def test_an_empty_file_of_a_secret_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    path.parent.mkdir()
    path.touch()

    with pytest.raises(Unreadable, match="which is empty"):
        stored_secret(tmp_path, "key", make_secret_key)

    assert path.read_bytes() == b""


def test_nothing_is_generated_while_settings_are_wrong(faults: Lines, tmp_path: Path) -> None:
    faults(PORT="none")

    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_created_is_an_error(faults: Lines, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    lines = faults(DATA_DIR="file/data")

    assert lines[0] == (
        f"SECRET_KEY: cannot be kept in {tmp_path}/file/data/secrets/django_secret_key "
        "(Not a directory). Fix: let this user write to DATA_DIR, or set SECRET_KEY."
    )


def test_an_invalid_key_is_never_echoed() -> None:
    with pytest.raises(Unreadable) as raised:
        decode_key(STRONG)

    assert STRONG not in str(raised.value)


def _make(data_dir: Path, barrier: Barrier, answers: "Queue[str]") -> None:
    secret = make_secret_key()
    barrier.wait()
    answers.put(stored_secret(data_dir, "key", lambda: secret))


def test_processes_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")

    for attempt in range(10):
        barrier, answers = context.Barrier(PROCESSES), context.Queue()
        data_dir = tmp_path / str(attempt)
        processes = [
            context.Process(target=_make, args=(data_dir, barrier, answers))
            for _ in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        seen = {answers.get(timeout=20) for _ in processes}
        for process in processes:
            process.join(timeout=20)

        assert seen == {(data_dir / "secrets" / "key").read_text().rstrip("\n")}
        assert [path.name for path in (data_dir / "secrets").iterdir()] == ["key"]

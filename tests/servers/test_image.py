"""The image, built from the Dockerfile, runs with PostgreSQL of the version in compose.yaml."""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.servers.processes import ROOT, ServerProcess, accepts_connections, free_port
from tests.servers.image import Stage, build, copy, make_bare, make_base

POSTGRES = re.search(r"image: postgres:(\d+)-", (ROOT / "compose.yaml").read_text())
EMAIL = "anna@example.com"
PUBLIC = "http://localhost:8000"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare Debian, without Python."""
    if os.getuid() != 0:
        pytest.skip("folders that are a machine of their own need root")
    return make_bare(tmp_path_factory.mktemp("bare") / "bare")


@pytest.fixture(scope="module")
def base(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image."""
    return make_base(bare, tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def image(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The built image."""
    return build(base, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def postgres(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DATABASE_URL of a server of the version in compose.yaml."""
    assert POSTGRES is not None
    folder = tmp_path_factory.mktemp("postgres")
    server = Stage(copy(base, folder / "server"))
    server.do(
        f"apt-get update && apt-get install -y --no-install-recommends postgresql-{POSTGRES[1]}"
    )
    server.user = "postgres:postgres"
    programs = f"/usr/lib/postgresql/{POSTGRES[1]}/bin"
    cluster = ["-D", "/tmp/data", "-U", "gatehouse", "-A", "trust", "--encoding=UTF8"]
    made = server.run(f"{programs}/initdb", *cluster, "--locale=C.UTF-8")
    assert made.returncode == 0, made.stderr
    port = free_port()
    options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    process = server.start(
        [f"{programs}/postgres", "-D", "/tmp/data", "-k", "/tmp", *options], folder / "log"
    )
    process.wait_until(lambda: accepts_connections(port))
    yield f"postgresql://gatehouse@127.0.0.1:{port}/postgres"
    process.stop()


@pytest.fixture
def served(image: Stage, postgres: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """The command of the image, with PostgreSQL."""
    image.environment |= {"DATABASE_URL": postgres, "PORT": str(free_port()), "PUBLIC_URL": PUBLIC}
    process = image.start(image.command, tmp_path / "log")
    port = int(image.environment["PORT"])
    process.wait_until(
        lambda: accepts_connections(port) and image.run(*image.health).returncode == 0, 60
    )
    yield process
    process.stop()


@pytest.fixture
def without_python(bare: Path, tmp_path: Path) -> Stage:
    """A Debian without Python, with the scripts of the project."""
    stage = Stage(copy(bare, tmp_path / "bare"))
    shutil.copytree(ROOT / "scripts", stage.folder / "work" / "scripts")
    shutil.copytree(ROOT / "requirements", stage.folder / "work" / "requirements")
    stage.workdir = "/work"
    return stage


def _manage(image: Stage, *arguments: str) -> str:
    done = image.run("python", "manage.py", *arguments)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_the_image_backs_up_restores_and_upgrades_with_postgresql(
    image: Stage, served: ServerProcess
) -> None:
    _manage(image, "createuser", EMAIL, "--role", "editor")
    _manage(image, "backup", "/data/monday.tar")
    _manage(image, "deleteuser", EMAIL, "--yes")
    assert EMAIL not in _manage(image, "listusers")
    served.stop()

    _manage(image, "restore", "/data/monday.tar", "--yes")

    assert EMAIL in _manage(image, "listusers")
    _manage(image, "migrate", "magiclinks", "zero", "--verbosity=0")
    upgraded = _manage(image, "upgrade")
    assert "Backup: /data/backups/before-upgrade-" in upgraded
    assert "applied magiclinks.0001_initial" in upgraded
    assert EMAIL in _manage(image, "listusers")


def test_the_image_runs_as_an_ordinary_user(image: Stage, served: ServerProcess) -> None:
    assert image.run("id", "-u").stdout == "10001\n"
    assert image.run("touch", "/app/x").returncode == 1
    assert image.run("python", "-c", "import ldap").stderr == ""
    with socket.create_connection(("127.0.0.1", int(image.environment["PORT"])), 10) as caller:
        caller.sendall(
            b"GET /sign-in HTTP/1.1\r\nHost: localhost:8000\r\nConnection: close\r\n\r\n"
        )
        assert caller.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_without_root_a_message_says_how_to_install_python(without_python: Stage) -> None:
    done = without_python.run("sh", "scripts/environment.sh", "base", user="65534:65534")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "Gatehouse needs Python 3.11 or newer and found none: install it (Debian, Ubuntu: "
        "apt-get install python3 python3-venv, as root), or name it with PYTHON=/path/to/python3.\n"
    )
    assert not (without_python.folder / "work" / ".venv").exists()


def test_root_installs_python_without_a_question(without_python: Stage) -> None:
    """Only the virtual environment is created; other tests cover its packages."""
    for lock in (without_python.folder / "work" / "requirements").glob("*.txt"):
        lock.write_text("")

    made = without_python.run("sh", "scripts/environment.sh", "base", DEBIAN_FRONTEND="readline")
    again = without_python.run("sh", "scripts/environment.sh", "base")

    assert made.returncode == 0, made.stderr
    assert made.stderr.splitlines()[0] == "Installing python3 python3-venv ca-certificates"
    assert "Making the virtual environment with Python 3." in made.stdout
    assert without_python.run(".venv/bin/python", "-c", "import ssl").returncode == 0
    assert not (without_python.folder / "usr" / "sbin" / "policy-rc.d").exists()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

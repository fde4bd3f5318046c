"""The image, built from the Dockerfile, runs with PostgreSQL of the version in compose.yaml."""

import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devtools.servers.processes import (
    ROOT,
    STOP_SECONDS,
    ServerProcess,
    accepts_connections,
    free_port,
)
from tests.servers.image import INSTALL, Stage, build, copy, make_bare, make_base, replace_dpkg

POSTGRES = re.search(r"image: postgres:(\d+)-", (ROOT / "compose.yaml").read_text())
# What names of packages treat as equal (PEP 503).
NAME = re.compile("[-_.]+")
EMAIL = "anna@example.com"
PUBLIC = "http://localhost:8000"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare Debian, without Python."""
    if os.getuid() != 0:
        pytest.skip("folders that are a machine of their own need root")
    assert POSTGRES is not None
    return make_bare(tmp_path_factory.mktemp("bare") / "bare", f"postgresql-{POSTGRES[1]}")


@pytest.fixture(scope="module")
def base(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image."""
    return make_base(bare, tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def image(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The built image, run as the docs ask: what is outside its volumes is read-only."""
    folder = tmp_path_factory.mktemp("image")
    built = build(base, folder)
    # The Python of the base image is compiled.
    built.run("python", "manage.py", "check", user="0:0", PYTHONDONTWRITEBYTECODE="")
    built.volumes = {"/data": folder / "data", "/tmp": folder / "tmp"}
    for volume in built.volumes.values():
        volume.mkdir()
        os.chown(volume, 10001, 10001)
    return built


@pytest.fixture(scope="module")
def postgres(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DATABASE_URL of a server of the version in compose.yaml."""
    assert POSTGRES is not None
    folder = tmp_path_factory.mktemp("postgres")
    server = Stage(copy(base, folder / "server"))
    server.do(f"{INSTALL} postgresql-{POSTGRES[1]} && useradd --system postgres")
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
    """A Debian without Python, whose packages run their scripts, with those of the project."""
    stage = Stage(copy(bare, tmp_path / "bare"))
    replace_dpkg(stage.folder, replaced=False)
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
    assert "Read-only file system" in image.run("touch", "/app/x", user="0:0").stderr
    assert "Permission denied" in replace(image, volumes={}).run("touch", "/app/x").stderr
    assert image.run("python", "-c", "import ldap").stderr == ""
    with socket.create_connection(("127.0.0.1", int(image.environment["PORT"])), 10) as caller:
        caller.sendall(
            b"GET /sign-in HTTP/1.1\r\nHost: localhost:8000\r\nConnection: close\r\n\r\n"
        )
        assert caller.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_the_image_has_no_tool_that_compiles_or_installs(image: Stage) -> None:
    for name in ("cc", "gcc", "make", "perl5.40", "pip", "pip3"):
        assert image.run("sh", "-c", f"command -v {name}").returncode == 127
    for python in ("python", "/usr/local/bin/python"):
        for module in ("pip", "ensurepip"):
            done = image.run(python, "-c", f"import {module}")
            assert f"No module named '{module}'" in done.stderr


def test_the_image_lists_its_packages(image: Stage) -> None:
    lister = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"
    installed = image.run("python", "-c", lister).stdout.split()
    listed = json.loads(image.run("cat", "sbom.cdx.json").stdout)["components"]

    named = {(part["name"], part["version"]) for part in listed}
    assert {(NAME.sub("-", name).lower(), version) for name, version in named} == {
        (NAME.sub("-", name).lower(), version)
        for name, version in zip(installed[::2], installed[1::2], strict=True)
    }
    assert {"django", "python-ldap"} <= {name for name, _version in named}


def test_scanners_find_postgresql_in_the_image(image: Stage) -> None:
    note = (image.folder / "var/lib/dpkg/status.d/postgresql-client-17").read_text()
    version = re.search(r"(?m)^Version: ([\d.]+)", note)
    assert version is not None

    for name in ("pg_dump", "pg_restore", "psql"):
        assert f"(PostgreSQL) {version[1]} " in image.run(name, "--version").stdout


def test_the_image_stops_at_the_signal_of_the_container_engine(
    image: Stage, served: ServerProcess
) -> None:
    """Its first process has the id 1, for which the kernel has no default of SIGTERM."""
    (first,) = served.children()
    assert re.search(r"(?m)^NSpid:\t\d+\t1$", Path(f"/proc/{first}/status").read_text())

    os.kill(first, signal.SIGTERM)

    assert served.process.wait(STOP_SECONDS) == 0
    assert image.run(*image.health).returncode == 1


def test_the_image_stops_while_it_waits_for_its_database(image: Stage, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://gatehouse@127.0.0.1:{silent.getsockname()[1]}/postgres"
        process = image.start(image.command, tmp_path / "log", DATABASE_URL=url, PUBLIC_URL=PUBLIC)
        silent.settimeout(60)
        with silent.accept()[0]:
            (first,) = process.children()
            os.kill(first, signal.SIGTERM)
            code = process.process.wait(STOP_SECONDS)
        process.stop()

    assert code == 128 + signal.SIGTERM


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

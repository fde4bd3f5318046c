"""Builds and runs the image without a container engine, in folders.

A stage is a copy of a minimal Debian with Python, as the base image has it. RUN, COPY, ENV, USER
and HEALTHCHECK work as in Docker. Processes see their folder as / and their own process ids, and
use this machine's network.

apt of this machine fetches and verifies all packages at once; apt of a stage installs from those.
Only dpkg is replaced there, by unpack.sh.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from devtools.servers.processes import ROOT, STOP_SECONDS, ServerProcess, program

BASE = re.compile(r"python:(?P<python>3\.\d+)-slim-(?P<suite>[a-z]+)")
UNPACK = Path(__file__).with_name("unpack.sh")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://deb.debian.org/debian"
# In each stage: all packages of this test, and what they depend on. Reading Debian's whole list in
# each stage would cost more than installing.
PACKAGES = "var/packages"
BARE = ("?essential", "apt", "passwd")
# Of a Debian before its first package.
FOLDERS = (
    *("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "var/log/apt"),
    *(
        "dev",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/lib/dpkg",
        "usr/local/bin",
    ),
)
# Linux, Documentation/admin-guide/devices.txt.
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
INTO_USR = ("bin", "lib", "lib64", "sbin")
ACCOUNTS = ("passwd", "group")
# No translated lists, no terminal for dpkg, and no user of its own for fetching.
APT = """Acquire::Languages "none";
APT::Sandbox::User "root";
Dpkg::Use-Pty "0";
"""
UNPACKS = """Dir::Bin::dpkg "{0}";
#clear DPkg::Pre-Install-Pkgs;
"""
INSTALL = "apt-get update && apt-get install -y --no-install-recommends"
INSTALLED = re.compile(rf"{INSTALL} (.*?) (?:&&|$)")
# The base image has the headers and pip, too; Debian's Python has other paths.
PYTHON = (
    f"{INSTALL} python3 python3-venv libpython3-dev ca-certificates"
    " && ln -s /usr/bin/python3 /usr/local/bin/python && rm /usr/lib/python3.*/EXTERNALLY-MANAGED"
    ' && python "$(echo /usr/share/python-wheels/pip-*.whl)/pip" install --quiet --no-compile'
    " --no-index --root-user-action=ignore --find-links /usr/share/python-wheels pip"
)
# How this machine reaches its package indexes, if that is configured.
CARRIED = (
    "/etc/resolv.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pip.conf",
    *(str(Path.home() / name) for name in (".config/pip/pip.conf", ".pip/pip.conf")),
)
LINKED = ("usr", "var", "lib")
INSTRUCTION = re.compile(r"([A-Z]+)\s+(.*)", re.DOTALL)


class Container(ServerProcess):
    """A program with the process id 1 in its own view. unshare, its parent, ignores signals."""

    def stop(self, first: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            for child in self.children():
                os.kill(child, first)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.kill()


@dataclass(slots=True)
class Stage:
    """A folder that processes see as /, and the instructions of the Dockerfile so far."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    workdir: str = "/"
    health: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    # Folder of the image -> folder of this machine. If there are any, the rest is read-only.
    volumes: dict[str, Path] = field(default_factory=dict)

    def run(
        self, *command: str, user: str | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the folder; returns its output and exit code."""
        return subprocess.run(
            self.inside(command, user), env=self._own(more), capture_output=True, text=True
        )

    def start(self, command: Sequence[str], log: Path, **more: str) -> ServerProcess:
        """Start a program in the folder, in the background. It has the process id 1 there."""
        return Container(self.inside(command), log, environment=self._own(more))

    def inside(self, command: Sequence[str], user: str | None = None) -> list[str]:
        """The command line that runs `command` in the folder, with its PATH."""
        entered = f"cd {shlex.quote(self.workdir)} && exec {shlex.join(command)}"
        chroot = ["chroot", f"--userspec={user or self.user}", str(self.folder)]
        mounts = [f"mount --bind {self.folder} {self.folder}"]
        mounts += [f"mount --bind {to} {self.folder}{at}" for at, to in self.volumes.items()]
        if self.volumes:
            mounts += [f"mount -o remount,bind,ro {self.folder}"]
        mounts += [f"mount -t proc proc {self.folder}/proc"]
        outer = " && ".join([*mounts, f"exec {shlex.join(chroot)} /bin/sh -c "])
        # The mounts are visible in this namespace only, and end with it.
        own = [program("unshare"), "--mount", "--pid", "--fork", "--kill-child"]
        return [*own, "/bin/sh", "-c", outer + shlex.quote(entered)]

    def _own(self, more: Mapping[str, str]) -> dict[str, str]:
        usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        return {"PATH": usual, "HOME": str(Path.home()), **pip, **self.environment, **more}

    def note(self, name: str, rest: str) -> None:
        """Apply an instruction that affects how processes run."""
        match name:
            case "ENV":
                pairs = (pair.partition("=") for pair in shlex.split(rest))
                path = self._own({})["PATH"]
                self.environment |= {key: value.replace("$PATH", path) for key, _, value in pairs}
            case "WORKDIR":
                self.workdir = rest
            case "USER":
                self.user = rest
            case "HEALTHCHECK":
                self.health = json.loads(rest.partition("CMD ")[2])
            case "CMD":
                self.command = json.loads(rest)
            case _:
                assert name in ("VOLUME", "EXPOSE"), name

    def do(self, text: str) -> None:
        """Carry out a RUN instruction. Raises RuntimeError."""
        done = self.run("/bin/sh", "-c", text)
        if done.returncode != 0:
            raise RuntimeError(f"RUN {text[:80]}: {done.stderr[-2000:]}{done.stdout[-1000:]}")


def make_bare(folder: Path, *more: str) -> Path:
    """A bare Debian, of the version that the base image of the Dockerfile has.

    `more`: packages that stages install beside those of the Dockerfile.
    """
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    for name in INTO_USR:
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    for name, numbers in DEVICES.items():
        os.mknod(folder / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(*numbers))
        (folder / "dev" / name).chmod(0o666)
    (folder / "var/lib/dpkg/status").touch()
    runs = [PYTHON, *(rest for name, rest in _instructions() if name == "RUN")]
    asked = " ".join(name for run in runs for name in INSTALLED.findall(" ".join(run.split())))
    debian = f"[signed-by={KEYRING}] {_mirror()} {_base()['suite']} main"
    _apt(folder, debian, "--download-only", *BARE, *asked.split(), *more)
    _make_source(folder / "var/cache/apt/archives", folder / PACKAGES)
    _apt(folder, f"[trusted=yes] file:{folder / PACKAGES} ./", *BARE)
    shutil.rmtree(folder / "var/lib/apt/lists")
    for name in ACCOUNTS:
        shutil.copy(folder / f"usr/share/base-passwd/{name}.master", folder / "etc" / name)
    (folder / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/{PACKAGES} ./\n")
    (folder / "etc/apt/apt.conf.d/container").write_text(APT)
    shutil.copy(UNPACK, folder / "usr/local/bin/unpack")
    replace_dpkg(folder, replaced=True)
    _carry_in(folder)
    return folder


def _apt(folder: Path, source: str, *arguments: str) -> None:
    """Let apt of this machine install into a folder. Raises RuntimeError."""
    (folder / "etc/apt/sources.list").write_text(f"deb {source}\n")
    settings = folder / "etc/apt/apt.conf.d/container"
    settings.write_text(f'{APT}{UNPACKS.format(UNPACK)}Dir "{folder}/";\n')
    environment = {**os.environ, "APT_CONFIG": str(settings), "UNPACK_ROOT": str(folder)}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *arguments]):
        done = subprocess.run(
            ["apt-get", *command], env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stdout[-2000:]}{done.stderr[-1000:]}")


def _make_source(fetched: Path, folder: Path) -> None:
    """A package source of what apt has fetched and verified."""
    folder.mkdir()
    entries = []
    for file in sorted(fetched.glob("*.deb")):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        fields = subprocess.run(["dpkg-deb", "--field", file], capture_output=True, text=True)
        # apt would decode the names of packages with an epoch.
        named = file.rename(folder / f"{len(entries)}.deb")
        place = f"Filename: ./{named.name}\nSize: {named.stat().st_size}\nSHA256: {digest}\n"
        entries.append(fields.stdout + place)
    (folder / "Packages").write_text("\n".join(entries))


def replace_dpkg(folder: Path, *, replaced: bool) -> None:
    """Let apt use unpack.sh, or the real dpkg with the scripts of packages."""
    used = UNPACKS.format("/usr/local/bin/unpack") if replaced else ""
    (folder / "etc/apt/apt.conf.d/dpkg").write_text(used)


def make_base(bare: Path, folder: Path) -> Path:
    """A Debian with Python like the base image of the Dockerfile."""
    stage = Stage(copy(bare, folder))
    stage.do(PYTHON)
    _carry_in(folder)
    version = stage.run("python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    assert version.stdout.strip() == _base()["python"]
    return folder


def _carry_in(folder: Path) -> None:
    """ca-certificates replaces one of these files."""
    for name in CARRIED:
        if Path(name).is_file():
            (folder / name[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, folder / name[1:])


def _base() -> re.Match[str]:
    """The base image that the Dockerfile names."""
    found = BASE.search((ROOT / "Dockerfile").read_text())
    assert found is not None
    return found


def build(base: Path, folder: Path) -> Stage:
    """The last stage of the Dockerfile."""
    stages: dict[str, Stage] = {}
    stage = Stage(base)
    for name, rest in _instructions():
        if name == "FROM":
            stage = Stage(copy(base, folder / str(len(stages))))
            stages[rest.partition(" AS ")[2] or "last"] = stage
        elif name == "RUN":
            stage.do(rest)
        elif name == "COPY":
            _copy_in(stage, stages, rest.split())
        else:
            stage.note(name, rest)
    return stage


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text())
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    found = (INSTRUCTION.fullmatch(line.strip()) for line in lines if line.strip())
    return [(match[1], match[2]) for match in found if match]


def copy(source: Path, target: Path) -> Path:
    """Copy a folder with owners and permissions; returns `target`.

    What lies in /usr and /var becomes hard links: programs replace files there, they never write
    into one.
    """
    target.mkdir(parents=True, exist_ok=True)
    parts = sorted(source.iterdir())
    linked = [str(part) for part in parts if part.name in LINKED and not part.is_symlink()]
    copied = [str(part) for part in parts if str(part) not in linked]
    if copied:
        subprocess.run(["cp", "-a", "--reflink=auto", *copied, str(target)], check=True)
    if linked:
        subprocess.run(["cp", "-al", *linked, str(target)], check=True)
    shutil.copystat(source, target)
    return target


def _copy_in(stage: Stage, stages: dict[str, Stage], words: list[str]) -> None:
    """COPY of the build context, which .dockerignore names, or of another stage."""
    *sources, target = [word for word in words if not word.startswith("--")]
    goal = stage.folder / target.strip("/")
    if words[0].startswith("--from="):
        copy(stages[words[0].partition("=")[2]].folder / sources[0].strip("/"), goal)
        return
    whole = sources == ["."]
    if whole:
        sources = [
            line.strip("!/")
            for line in (ROOT / ".dockerignore").read_text().split()
            if line.startswith("!")
        ]
    for source in sources:
        place, to = ROOT / source, goal / (source if whole else Path(source).name)
        to.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            shutil.copytree(place, to, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(place, to)


def _mirror() -> str:
    """The package sources of this machine, if it names them."""
    asked = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    found = subprocess.run(asked, capture_output=True, text=True)
    return (found.stdout.split() or [MIRROR])[0]

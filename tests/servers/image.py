"""Builds and runs the image without a container engine, in folders made by debootstrap.

A stage is a copy of a minimal Debian with Python, as the base image has it. RUN, COPY, ENV, USER
and HEALTHCHECK work as in Docker. Processes see their folder as /, and use this machine's network.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devtools.servers.processes import ROOT, ServerProcess, program

BASE = re.compile(r"python:(?P<python>3\.\d+)-slim-(?P<suite>[a-z]+)")
# The base image has the headers too; Debian's Python has other paths.
PYTHON = (
    "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
    " python3 python3-venv python3-dev ca-certificates && apt-get clean"
    " && ln -s /usr/bin/python3 /usr/local/bin/python"
)
# What the images of Debian set: no waiting for the disk, no packages kept, no translated lists.
CONTAINER = {
    "etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
    "etc/apt/apt.conf.d/docker-clean": 'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n',
    "etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
}
# How this machine reaches its package indexes, if that is configured.
CARRIED = (
    "/etc/resolv.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pip.conf",
    *(str(Path.home() / name) for name in (".config/pip/pip.conf", ".pip/pip.conf")),
)
INSTRUCTION = re.compile(r"([A-Z]+)\s+(.*)", re.DOTALL)


@dataclass(slots=True)
class Stage:
    """A folder that processes see as /, and the instructions of the Dockerfile so far."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    workdir: str = "/"
    health: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def run(
        self, *command: str, user: str | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the folder; returns its output and exit code."""
        return subprocess.run(
            self.inside(command, user), env=self._own(more), capture_output=True, text=True
        )

    def start(self, command: Sequence[str], log: Path, **more: str) -> ServerProcess:
        """Start a program in the folder, in the background."""
        return ServerProcess(self.inside(command), log, environment=self._own(more))

    def inside(self, command: Sequence[str], user: str | None = None) -> list[str]:
        """The command line that runs `command` in the folder, with its PATH."""
        entered = f"cd {shlex.quote(self.workdir)} && exec {shlex.join(command)}"
        chroot = ["chroot", f"--userspec={user or self.user}", str(self.folder)]
        outer = f"mount -t proc proc {self.folder}/proc && exec {shlex.join(chroot)} /bin/sh -c "
        # The mount is visible in this namespace only, and ends with it.
        return [program("unshare"), "--mount", "/bin/sh", "-c", outer + shlex.quote(entered)]

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


def make_bare(folder: Path) -> Path:
    """A bare Debian, of the version that the base image of the Dockerfile has."""
    made = [program("debootstrap"), "--variant=minbase", _base()["suite"], str(folder), *_mirror()]
    done = subprocess.run(made, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"debootstrap: {done.stdout[-2000:]}{done.stderr[-1000:]}")
    _carry_in(folder)
    for name, text in CONTAINER.items():
        (folder / name).write_text(text)
    Stage(folder).do("apt-get clean")
    return folder


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

    What lies in /usr becomes hard links: dpkg and Python replace files there, they never write
    into one.
    """
    target.mkdir(parents=True)
    parts = sorted(source.iterdir())
    linked = [str(part) for part in parts if part.name == "usr" and not part.is_symlink()]
    copied = [str(part) for part in parts if str(part) not in linked]
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
    if sources == ["."]:
        sources = [
            line.strip("!/")
            for line in (ROOT / ".dockerignore").read_text().split()
            if line.startswith("!")
        ]
    goal.mkdir(parents=True, exist_ok=True)
    for source in sources:
        place = ROOT / source
        if place.is_dir():
            shutil.copytree(
                place, goal / place.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
        else:
            shutil.copy(place, goal / place.name)


def _mirror() -> list[str]:
    """The package sources of this machine, if it names them."""
    asked = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    found = subprocess.run(asked, capture_output=True, text=True)
    return found.stdout.split()[:1]

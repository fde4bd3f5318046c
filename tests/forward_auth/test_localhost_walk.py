"""docs/forward-auth-on-localhost.md: with the real Caddy, every command gives what it says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from devtools.servers.gatehouse import is_live
from devtools.servers.processes import (
    ROOT,
    ServerProcess,
    accepts_connections,
    free_port,
    program,
)
from tests.architecture.markdown import blocks

PAGE = ROOT / "docs" / "forward-auth-on-localhost.md"
BLOCKS = blocks(PAGE)
PROGRAMS = [block.text.strip() for block in BLOCKS if block.language == "sh"]
CONSOLE = "\n".join(block.text for block in BLOCKS if block.language == "console")
SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Walk:
    """The commands of the page with free ports, a folder of their own, and this Python."""

    folder: Path
    gatehouse: int
    proxy: int
    app: int

    def here(self, command: str) -> str:
        """A command of the page for this machine."""
        for written, real in (
            ("localhost:8000", f"localhost:{self.gatehouse}"),
            ("localhost:9080", f"localhost:{self.proxy}"),
            ("/tmp/localhost.Caddyfile", f"{self.folder}/Caddyfile"),
            ("docs/examples/show_headers.py", f"{self.folder}/show_headers.py"),
            (".venv/bin/python", sys.executable),
            ("make run", f"exec {sys.executable} manage.py serve"),
        ):
            command = command.replace(written, real)
        return command

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(program("caddy")).parent), os.environ["PATH"]])
        return {
            "PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8",
            "DATA_DIR": str(self.folder / "data"), "HOST": "127.0.0.1",
            "PORT": str(self.gatehouse),
            # Of Caddy: the file of the repository reads both.
            "GATEHOUSE": f"127.0.0.1:{self.gatehouse}", "APP": f"127.0.0.1:{self.app}",
        }  # fmt: skip

    def start(self, command: str, name: str) -> ServerProcess:
        *before, last = self.here(command).split("\n")
        if not before and "exec" not in last:
            last = f"exec {last}"
        text = "\n".join([*before, last if "exec" in last else f"exec {last}"])
        log = self.folder / f"{name}.log"
        return ServerProcess(["bash", "-ec", text], log, environment=self.environment)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The three programs of the page, running."""
    found = Walk(tmp_path_factory.mktemp("walk"), free_port(), free_port(), free_port())
    app = (ROOT / "docs" / "examples" / "show_headers.py").read_text()
    assert app.count("9000") == 1
    (found.folder / "show_headers.py").write_text(app.replace("9000", str(found.app)))
    started = []
    try:
        for command, name in zip(PROGRAMS, ("gatehouse", "app", "caddy"), strict=True):
            started.append(found.start(command, name))
        started[0].wait_until(partial(is_live, found.gatehouse), SECONDS)
        started[1].wait_until(partial(accepts_connections, found.app), SECONDS)
        started[2].wait_until(partial(accepts_connections, found.proxy), SECONDS)
        yield found
    finally:
        for each in reversed(started):
            each.stop()


def test_every_command_gives_what_the_page_says(walk: Walk) -> None:
    """All in one shell, because variables stay. `…` stands for any text."""
    steps = re.split(r"(?m)^\$ ", CONSOLE)[1:]
    commands = [step.partition("\n")[0] for step in steps]
    script = "\n".join(f"{walk.here(command)}\nprintf '\\036'" for command in commands)

    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=ROOT, env=walk.environment, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    said = done.stdout.split("\036")
    for step, command, answer in zip(steps, commands, said, strict=False):
        expected = walk.here(step.partition("\n")[2]).strip()
        pattern = re.escape(expected).replace("…", ".+")
        lines = "\n".join(line.rstrip() for line in answer.strip().splitlines())
        assert re.fullmatch(pattern, lines), f"$ {command}\n{answer}"

    log = (walk.folder / "app.log").read_text()
    assert '"GET /reports' in log
    assert '"POST' not in log  # it was refused before

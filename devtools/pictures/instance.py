"""An instance with the people of `manage.py demo`, whose clock starts at a fixed time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from devtools.servers.gatehouse import is_live
from devtools.servers.processes import ROOT, ServerProcess, free_port

# A Friday afternoon: all of the demo's history lies before it.
NOW = datetime(2026, 11, 27, 15, 20, tzinfo=UTC)
CLOCK = Path(__file__).parent / "clock"
# Where pages think they are served. The browser is told to find the real port behind it.
URL = "http://localhost:8000"
START_SECONDS = 60.0
# For the buttons of the sign-in page. No other page is shown while they are set, because the
# overview would tell what the doctor finds about them.
PROVIDERS = {
    "GOOGLE_CLIENT_ID": "1234567890-example.apps.googleusercontent.com",
    "GOOGLE_CLIENT_SECRET": "an-example-of-a-client-secret",
    "GITHUB_CLIENT_ID": "Iv1.0123456789abcdef",
    "GITHUB_CLIENT_SECRET": "an-example-of-a-client-secret",
}


class DemoInstance:
    """The data of the demo in `folder`, and servers of it, one after the other.

    link: signs the owner in once. The settings of the caller are not used. Raises ValueError if
    there is a .env, which would be.
    """

    def __init__(self, folder: Path) -> None:
        if (ROOT / ".env").exists():
            raise ValueError("move .env away: its settings would be in the pictures")
        self.port = free_port()
        self._log = folder / "log"
        self._environment = _environment(folder, self.port)
        demo = json.loads(self.manage("demo", "--json"))
        self.link = str(demo["link"])

    def manage(self, *arguments: str) -> str:
        """The output of a command of this instance. Raises RuntimeError if it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self._environment, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"manage.py {arguments[0]}: {done.stderr[-2000:]}")
        return done.stdout

    @contextmanager
    def serve(self, settings: Mapping[str, str]) -> Iterator[None]:
        """A server inside of the block, with these settings in addition."""
        command = [sys.executable, "manage.py", "serve"]
        environment = {**self._environment, **settings}
        server = ServerProcess(command, self._log, environment=environment)
        try:
            server.wait_until(partial(is_live, self.port), START_SECONDS)
            yield
        finally:
            server.stop()


def _environment(folder: Path, port: int) -> Mapping[str, str]:
    clock = {
        "PYTHONPATH": str(CLOCK),
        "GATEHOUSE_PICTURES_NOW": str(NOW.timestamp()),
        "GATEHOUSE_PICTURES_SINCE": str(time.time()),
    }
    settings = {
        "DATA_DIR": str(folder / "data"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PUBLIC_URL": URL,
        "TIME_ZONE": "UTC",
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "ALLOW_REGISTRATION": "false",
    }
    return {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", **clock, **settings}

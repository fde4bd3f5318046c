"""Python processes that start in a tenth of the time: forks of one that has loaded the libraries.

Nothing of the project is loaded before the fork, and no settings are read, so that each process is
what `python -c` would be in its environment.
"""

import atexit
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

from tests.servers.processes import ROOT

LOADED = """
argon2 asyncio cryptography.x509 cryptography.hazmat.primitives.asymmetric.ec
cryptography.hazmat.primitives.serialization django.core.management django.core.serializers.json
django.db.models django.forms django.http django.template django.urls django.utils.translation
fido2.server jwt psycopg requests resend urllib3 zxcvbn
"""
LOOP = """
import atexit, importlib, json, os, signal, sys, traceback
for name in sys.argv[1].split():
    importlib.import_module(name)

def run(asked):
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[0:0] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = ["-c", *asked["arguments"]]
    signal.alarm(120)
    try:
        exec(asked["code"], {"__name__": "__main__"})
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    child = os.fork()
    if not child:
        answers.close()
        status = run(json.loads(line))
        atexit._run_exitfuncs()
        if "django.db" in sys.modules:  # as the end of an interpreter does
            sys.modules["django.db"].connections.close_all()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)
"""


class Ended(NamedTuple):
    """returncode: negative when a signal ended it."""

    returncode: int
    stdout: str
    stderr: str


class Loaded:
    """The process that is forked. Runs one at a time; made when first asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def run(self, code: str, *arguments: str, environment: dict[str, str]) -> Ended:
        """`python -c code arguments` in ROOT; a signal ends it after two minutes."""
        with self._lock, tempfile.TemporaryDirectory(prefix="gatehouse-quick-") as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            status = self._ask(
                code=code,
                arguments=arguments,
                environment=environment,
                out=str(out),
                err=str(err),
            )
            return Ended(status, out.read_text(), err.read_text())

    def _ask(self, **asked: object) -> int:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LOOP, LOADED],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            atexit.register(self._process.kill)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())


loaded = Loaded()

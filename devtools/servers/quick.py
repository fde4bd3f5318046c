"""Python processes that start fast, as forks of one that has imported modules already.

`loaded` has imported the libraries and nothing of the project, so its forks behave like `python -c`
in their environment. `warmed` has imported the project, too; its forks read their settings again
(see devtools.servers.warm), and start in a tenth of the time.
"""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, Self

from devtools.servers.processes import ROOT, ServerProcess

SECONDS = 120
LOADED = """
argon2 asyncio cryptography.x509 cryptography.hazmat.primitives.asymmetric.ec
cryptography.hazmat.primitives.serialization django.core.management django.core.serializers.json
django.db.models django.forms django.http django.template django.urls django.utils.translation
fido2.server granian granian.wsgi jwt psycopg requests resend urllib3 yaml zxcvbn
"""
LOOP = """
import atexit, contextlib, gc, importlib, json, os, select, signal, sys, traceback

def run(asked):
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[0:0] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.dup2(os.open(asked["in"], os.O_RDONLY), 0)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    sys.stdout.reconfigure(line_buffering=True)
    sys.argv = ["-c", *asked["arguments"]]
    if warm and not warm.renew_settings():
        os.execve(sys.executable, [sys.executable, *sys.argv[:1], asked["code"], *sys.argv[1:]],
                  os.environ)
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

def fork(asked):
    child = os.fork()
    os.setpgid(child, child)  # by both processes, whichever is first
    if child:
        return child
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for each in (answers, woken, wakes):
        os.close(each)
    status = run(asked)
    atexit._run_exitfuncs()
    if "django.db" in sys.modules:  # as the end of an interpreter does
        with contextlib.suppress(Exception):  # the settings may be wrong
            sys.modules["django.db"].connections.close_all()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

def say(*what):
    os.write(answers, (json.dumps(what) + "\\n").encode())

answers = os.dup(1)
woken, wakes = os.pipe()
for end in (woken, wakes):
    os.set_blocking(end, False)
signal.set_wakeup_fd(wakes)
signal.signal(signal.SIGCHLD, lambda *of_signal: None)
# Write compiled files, whatever the environment of the tests says, for the next processes.
sys.dont_write_bytecode = False
# Loading creates many objects, none of which is garbage.
gc.set_threshold(50_000, 20, 20)
for name in sys.argv[1].split():
    importlib.import_module(name)
warm = None
if sys.argv[2:]:
    warm = importlib.import_module(sys.argv[2])
    warm.import_project()
gc.freeze()
rest = b""
while True:
    ready, _, _ = select.select([0, woken], [], [])
    if 0 in ready:
        received = os.read(0, 1 << 16)
        if not received:
            break
        *lines, rest = (rest + received).split(b"\\n")
        for line in lines:
            say("begun", fork(json.loads(line)))
    if woken in ready:
        os.read(woken, 1 << 16)
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if not ended:
            break
        say("ended", ended, os.waitstatus_to_exitcode(status))
"""


class Ended(NamedTuple):
    """returncode: negative if a signal ended the process."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """A forked process that leads a process group; has the methods of Popen that tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._over = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._over.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            # It may have ended just now, which is read in another thread.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def end(self, returncode: int) -> None:
        """Record that the process has ended."""
        self.returncode = returncode
        self._over.set()


class Loaded:
    """The parent of the forks, started on first use.

    warm: a module with import_project() and renew_settings(), see devtools.servers.warm.
    """

    def __init__(self, warm: str = "") -> None:
        self._warm = warm
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._running: dict[int, Forked] = {}
        self._begun: SimpleQueue[Forked | None] = SimpleQueue()

    def run(
        self,
        code: str,
        *arguments: str,
        environment: Mapping[str, str],
        seconds: float | None = SECONDS,
    ) -> Ended:
        """Run `python -c code arguments` in ROOT; kills it after `seconds`, or never."""
        with tempfile.TemporaryDirectory(prefix="gatehouse-quick-") as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            forked = self.start(code, *arguments, environment=environment, out=out, err=err)
            try:
                status = forked.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(forked.pid, signal.SIGKILL)
                status = forked.wait(SECONDS)
            return Ended(status, out.read_text(), err.read_text())

    def start(
        self,
        code: str,
        *arguments: str,
        environment: Mapping[str, str],
        out: Path,
        err: Path,
        stdin: str | Path = os.devnull,
    ) -> Forked:
        """Start the same in the background; appends its output to `out` and `err`."""
        asked = {
            "code": code,
            "arguments": arguments,
            "environment": dict(environment),
            "in": str(stdin),
            "out": str(out),
            "err": str(err),
        }
        with self._lock:
            process = self._process = self._process or self._load()
            assert process.stdin is not None
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            forked = self._begun.get(timeout=SECONDS)
        if forked is None:
            raise RuntimeError("the process to fork from has ended; its error is above")
        return forked

    def _load(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-c", LOOP, LOADED, *filter(None, [self._warm])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        atexit.register(process.kill)
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            what, pid, *more = json.loads(line)
            if what == "ended":
                self._running.pop(pid).end(*more)
                continue
            self._running[pid] = Forked(pid)
            self._begun.put(self._running[pid])
        self._begun.put(None)


loaded = Loaded()
warmed = Loaded("devtools.servers.warm")


class QuickServer(ServerProcess):
    """A server given as Python code, in a new process group."""

    def __init__(
        self, code: str, log: Path, environment: Mapping[str, str], start: Loaded = loaded
    ) -> None:
        self.log = log
        self.process = start.start(code, environment=environment, out=log, err=log)


class QuickPipes:
    """A process with `stdin` and `stdout` as text files; its errors go to a file."""

    def __init__(
        self, code: str, *arguments: str, environment: Mapping[str, str], start: Loaded = loaded
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-pipes-"))
        pipes = self.folder / "in", self.folder / "out"
        for pipe in pipes:
            os.mkfifo(pipe)
        self.process = start.start(
            code,
            *arguments,
            environment=environment,
            stdin=pipes[0],
            out=pipes[1],
            err=self.folder / "err",
        )
        # In this order: the process opens them so, and each opening waits for the other end.
        self.stdin = pipes[0].open("w")
        self.stdout = pipes[1].open()

    def say(self, line: str) -> None:
        self.stdin.write(f"{line}\n")
        self.stdin.flush()

    def errors(self) -> str:
        """What it has written to stderr."""
        return (self.folder / "err").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_of_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and remove its files."""
        self.process.kill()
        self.process.wait(SECONDS)
        for end in (self.stdin, self.stdout):
            with suppress(BrokenPipeError):
                end.close()
        shutil.rmtree(self.folder, ignore_errors=True)

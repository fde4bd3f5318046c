"""A run kept as a file: the table, and what the machine was and had to do."""

import os
import platform
import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


class Results:
    """Lines of the table as they come; write() makes the file of those that are there."""

    def __init__(self, machine: str, database_url: str, headline: str) -> None:
        """machine: a few words for the name of the file; empty: taken from the processor."""
        self.begin = datetime.now(UTC)
        self.load_at_begin = load_average()
        self.machine = machine or f"{os.cpu_count()} cores {platform.machine()}"
        self.database = database_of(database_url)
        self.headline = headline
        self.lines: list[str] = []

    @property
    def path(self) -> Path:
        words = re.sub(r"[^a-z0-9]+", "-", self.machine.lower()).strip("-")
        return FOLDER / f"{self.begin:%Y-%m-%d}-{words}.md"

    def write(self, *, is_whole: bool) -> Path:
        """Replaces a file of the same day and machine. is_whole: no measurement broke off."""
        end = datetime.now(UTC)
        facts = {
            "Run": self.headline,
            "Machine": f"{os.cpu_count()} cores, {processor()}, {memory_gigabytes():.1f} GB",
            "Python": f"{platform.python_implementation()} {platform.python_version()}",
            "Kernel": f"{platform.system()} {platform.release()}",
            "Database": self.database,
            "Begin": f"{self.begin:%Y-%m-%d %H:%M} UTC, load average {self.load_at_begin}",
            "End": f"{end:%Y-%m-%d %H:%M} UTC, load average {load_average()}",
        }
        if not is_whole:
            facts["Note"] = "The run broke off; the rows below were measured before that."
        text = [f"# Benchmarks of {self.begin:%Y-%m-%d}, {self.machine}", ""]
        text += [f"- {name}: {value}" for name, value in facts.items()]
        text += ["", "```text", *self.lines, "```", ""]
        FOLDER.mkdir(exist_ok=True)
        self.path.write_text("\n".join(text))
        return self.path


def load_average() -> str:
    """Of one, five and fifteen minutes."""
    return ", ".join(f"{load:.2f}" for load in os.getloadavg())


def database_of(url: str) -> str:
    """The kind of database; never its address or password."""
    kind = url.partition(":")[0]
    return kind if kind not in ("", "sqlite") else f"SQLite {sqlite3.sqlite_version}"


def processor() -> str:
    """The model that the kernel names, or the architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def memory_gigabytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9

"""Measures each page of benchmarks.list_pages in one process.

Processor time is what the process and, on PostgreSQL, the process behind its connection used: it
hardly depends on what else the machine does. Run by benchmarks.lists.
"""

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import User
from benchmarks.list_pages import Look, looks

EMAIL, PASSWORD = "owner@example.com", "seven green bottles on a wall"
LOOKS = 5
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"


def measure(wanted: str = "") -> list[str]:
    """What each page took whose group or name contains `wanted`: a line of JSON for each."""
    owner = _owner()
    browser = Client(SERVER_NAME="localhost", headers={"user-agent": AGENT})
    signed_in = browser.post("/sign-in", {"login": EMAIL, "password": PASSWORD})
    if signed_in.status_code != 302:
        raise RuntimeError(f"sign-in: answered {signed_in.status_code}")
    return [
        json.dumps(_measured(browser, look))
        for look in looks(owner)
        if wanted in f"{look.group} {look.name}"
    ]


def _owner() -> User:
    owner, is_new = User.objects.get_or_create(
        email=EMAIL,
        defaults={"username": "owner", "role": "owner", "email_verified_at": timezone.now()},
    )
    if is_new:
        owner.set_password(PASSWORD)
        owner.save(update_fields=["password"])
    return owner


def _measured(browser: Client, look: Look) -> dict[str, Any]:
    """Medians and worst of LOOKS times in milliseconds, after one that is not counted."""
    _read(browser, look)
    worked, waited = [], []
    for _again in range(LOOKS):
        begin, begun = time.perf_counter(), processor_ms()
        size = _read(browser, look)
        worked.append(processor_ms() - begun)
        waited.append((time.perf_counter() - begin) * 1000)
    return {
        "group": look.group, "name": look.name, "url": look.url, "bytes": size,
        "processor": statistics.median(worked), "processor_worst": max(worked),
        "wall": statistics.median(waited), "wall_worst": max(waited),
    }  # fmt: skip


def _read(browser: Client, look: Look) -> int:
    """Open the page; of a file, the first part only. Returns its size in bytes."""
    if look.data is None:
        response: Any = browser.get(look.url)
    else:
        response = browser.post(look.url, look.data)
    if response.status_code not in (200, 302):
        raise RuntimeError(f"{look.url}: answered {response.status_code}: {response.content[:300]}")
    if not response.streaming:
        return len(response.content)
    parts: Iterator[bytes] = iter(response.streaming_content)
    size = len(next(parts)) + len(next(parts))
    response.close()
    return size


def processor_ms() -> float:
    own = time.process_time() * 1000
    if connection.vendor != "postgresql":
        return own
    # Nanoseconds on a processor. The database runs on this machine.
    times = Path(f"/proc/{_backend()}/schedstat").read_text(encoding="ascii").split()
    return own + int(times[0]) / 1_000_000


def _backend() -> int:
    connection.ensure_connection()
    return int(connection.connection.info.backend_pid)

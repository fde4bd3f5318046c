"""Moves the clock of a process by the number of seconds in the file SOAK_CLOCK.

This folder is on PYTHONPATH of a node, so that Python loads this module before anything else. The
file contains one number of eight bytes and is mapped into memory, so writing it moves the clock of
running processes. Monotonic time is not changed, as on a machine whose clock is set.
"""

import datetime
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

_DOUBLE = struct.Struct("d")
_real_time = time.time
_real_datetime = datetime.datetime


class _OfAny(type):
    """Lets isinstance() accept datetimes of the original class."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, _real_datetime)


class _Moved(_real_datetime, metaclass=_OfAny):
    """datetime.datetime with a moved now()."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return _real_datetime.now(tz) + datetime.timedelta(seconds=_offset())


def _install(path: Path) -> None:
    global _offset  # defined here, because it needs the file
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), _DOUBLE.size)

    def offset() -> float:
        return float(_DOUBLE.unpack(memory[:])[0])

    _offset = offset
    time.time = lambda: _real_time() + offset()
    datetime.datetime = _Moved  # type: ignore[misc]


def _offset() -> float:
    return 0.0


if "SOAK_CLOCK" in os.environ:
    _install(Path(os.environ["SOAK_CLOCK"]))

"""Python imports this module at its start, if the folder is on PYTHONPATH: the clock of pictures.

In such a process the time is GATEHOUSE_PICTURES_NOW (seconds since 1970) at the real time
GATEHOUSE_PICTURES_SINCE, and goes on from there. So a picture says the same day and "3 hours ago"
whenever it is taken. Only `devtools.pictures` starts processes like that.
"""

import os
import time
from datetime import datetime, tzinfo
from typing import Self

from django.utils import timezone

NANOSECONDS = 10**9
_ahead = float(os.environ["GATEHOUSE_PICTURES_NOW"]) - float(os.environ["GATEHOUSE_PICTURES_SINCE"])
_real_time, _real_time_ns = time.time, time.time_ns


class PictureDatetime(datetime):
    """What django.utils.timezone takes the time from."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: _real_time() + _ahead
time.time_ns = lambda: _real_time_ns() + int(_ahead * NANOSECONDS)
vars(timezone)["datetime"] = PictureDatetime

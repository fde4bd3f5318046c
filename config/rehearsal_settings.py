"""Settings of a rehearsal: the real ones over a copy, with no cache that others use."""

from config.settings import *  # noqa: F403
from config.settings import CACHES, IN_DATABASE

CACHES = {**CACHES, "default": IN_DATABASE}
# Nothing works in the background: what waits for being sent is a copy.
RUN_WORKER = False

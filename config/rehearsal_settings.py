"""Settings of a rehearsal: the real ones over a copy of the data."""

from config.settings import *  # noqa: F403

# No background work: the queued mails are a copy.
RUN_WORKER = False

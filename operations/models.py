"""The tables of the set-up assistant and of configuration as code."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class SetUpStep(models.Model):
    """A step of the set-up assistant that was done or skipped; without a row it is open."""

    class State(models.TextChoices):
        DONE = "done"
        SKIPPED = "skipped"

    # One of operations.set_up.Step.
    name = models.CharField(max_length=20, primary_key=True)
    state = models.CharField(max_length=7, choices=State.choices)
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class AppliedConfiguration(models.Model):
    """What the file of the last `manage.py apply` said, without secrets: one row, or none.

    objects_applied, objects_left: see operations.as_code.managed.
    """

    ONLY: ClassVar[int] = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    # SHA-256 of the file.
    digest = models.CharField(max_length=64)
    objects_applied = models.JSONField(default=list)
    objects_left = models.JSONField(default=list)
    applied_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.digest[:12]

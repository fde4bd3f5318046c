"""The table of the set-up assistant."""

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

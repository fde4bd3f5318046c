"""The app `operations`: backup, restore, transfer, upgrade, doctor, configuration as code."""

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "operations"
    verbose_name = "Operations"

"""The app `operations`: backup, restore, transfer, upgrade, doctor."""

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "operations"
    verbose_name = "Operations"

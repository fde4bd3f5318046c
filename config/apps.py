"""The composition root as a Django app: commands, the cache's table, start-up of the worker."""

from django.apps import AppConfig


class ConfigApp(AppConfig):
    name = "config"
    verbose_name = "Gatehouse"

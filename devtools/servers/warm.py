"""The project, imported once for the processes that are forked from this one.

A process that starts reads its settings from its own environment; the apps, views and admin are the
same for every instance, and importing them is most of what a start costs.
"""

import importlib
import os
import shutil
import sys
import tempfile
from typing import Any

from devtools.mutations import install_by_variable

SETTINGS_MODULES = ("tests.settings", "config.settings")
# What a server or a command imports besides apps and views.
FURTHER = (
    "config.server.processes",
    "config.management.commands.serve",
    "django.test.client",
    "django.test.signals",
)


def import_project() -> None:
    """Import what the processes share. No instance is opened: the settings are thrown away."""
    folder = tempfile.mkdtemp(prefix="gatehouse-warm-")
    own = {"DJANGO_SETTINGS_MODULE": "config.settings", "DATA_DIR": folder}
    os.environ.update(own, PUBLIC_URL="http://localhost:8000")
    import django

    django.setup()
    from config.pages import load_pages

    load_pages()
    for name in FURTHER:
        importlib.import_module(name)
    shutil.rmtree(folder)
    install_by_variable()


def renew_settings() -> bool:
    """After a fork: let os.environ decide again. False if it would install other apps."""
    from django.conf import settings
    from django.test.signals import setting_changed
    from rest_framework_simplejwt.settings import DEFAULTS

    before = _values()
    _forget_settings()
    try:
        after = _values()
    except BaseException:
        # The process meets the error again where it reads its settings, and reports it.
        _forget_settings()
        return True
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    # As after override_settings() in a test: clear what was computed from settings.
    for name in changed - {"DATABASES"}:
        value = getattr(settings, name, None)
        setting_changed.send(sender=None, setting=name, value=value, enter=True)
    DEFAULTS["SIGNING_KEY"] = settings.SECRET_KEY
    # Forgets the values that were just read: some depend on what django.setup() sets.
    settings._wrapped = settings._wrapped  # type: ignore[misc]  # of LazyObject
    return "INSTALLED_APPS" not in changed


def _values() -> dict[str, Any]:
    from django.conf import settings

    return {name: getattr(settings, name) for name in dir(settings) if name.isupper()}


def _forget_settings() -> None:
    from django.conf import settings
    from django.db import connections
    from django.db.utils import ConnectionHandler
    from django.utils.functional import empty

    settings._wrapped = empty
    # Model classes ask the database how long a name may be, so there are connection objects.
    vars(connections).clear()
    vars(connections).update(vars(ConnectionHandler()))
    for name in SETTINGS_MODULES:
        sys.modules.pop(name, None)

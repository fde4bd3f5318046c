"""The WSGI application. Each process also runs the background worker (see config.worker)."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_wsgi_application()

# These need the apps to be loaded.
from config.serving import at_once_or_elsewhere  # noqa: E402
from config.subpath import mount  # noqa: E402
from config.worker import start_worker  # noqa: E402
from sso.checking import CHECKER  # noqa: E402
from sso.fast import FastPath  # noqa: E402
from sso.listening import start_listener  # noqa: E402

# Calling a method takes less than calling an object.
_fast = FastPath(at_once_or_elsewhere(django), CHECKER)
application, remembered = mount(_fast.__call__), _fast.remembered
start_listener()

if settings.RUN_WORKER:
    start_worker()

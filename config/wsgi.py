"""The WSGI application. Each process also runs the background worker (see config.worker)."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_wsgi_application()

# These need the apps to be loaded.
from config.server.dispatch import fast_path_only  # noqa: E402
from config.server.subpath import mount  # noqa: E402
from config.worker import start_worker  # noqa: E402
from core.invalidation.postgresql import start_listener  # noqa: E402
from forward_auth.checker import CHECKER  # noqa: E402
from forward_auth.wsgi import FastPath  # noqa: E402

# Calling a method takes less than calling an object.
_fast = FastPath(fast_path_only(django), CHECKER)
application, cached_response = mount(_fast.__call__), _fast.cached_response
known_answers = _fast.known_answers
start_listener()

if settings.RUN_WORKER:
    start_worker()

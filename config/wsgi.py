"""The WSGI application. Each process also runs the background worker (see config.worker)."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from config.worker import start_worker  # noqa: E402  # needs the apps to be loaded

if settings.RUN_WORKER:
    start_worker()

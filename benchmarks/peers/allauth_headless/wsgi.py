"""The WSGI application of allauth's headless API."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.allauth_headless.settings")
application = get_wsgi_application()

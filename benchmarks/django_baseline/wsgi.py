"""The WSGI application of the stock stack."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.django_baseline.settings")
application = get_wsgi_application()

"""The WSGI application. Each process also runs the background worker (see config.worker)."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_wsgi_application()

# These need the apps to be loaded.
from config.pages import LoadingPages  # noqa: E402
from config.server.dispatch import fast_path_only  # noqa: E402
from config.server.subpath import mount  # noqa: E402
from core.invalidation.postgresql import start_listener  # noqa: E402
from core.lazy import LazyFunction  # noqa: E402
from forward_auth.checker import CHECKER  # noqa: E402
from forward_auth.wsgi import LIVE, FastPath  # noqa: E402

FRONT = LazyFunction("oidc_provider.views.fast_path.FastEndpoints")

_pages = LoadingPages(django, {LIVE}, front=FRONT)
# Calling a method takes less than calling an object.
_fast = FastPath(fast_path_only(_pages), CHECKER)
application, cached_response = mount(_fast.__call__), _fast.cached_response
known_answers = _fast.known_answers
if settings.TRACING is not None:  # by name, because OpenTelemetry is loaded only where it is used
    _tracer = import_string("config.tracing.requests.start")(settings.TRACING)
    application = _tracer.application(application)
    cached_response = _tracer.cached_response(cached_response)
    known_answers = _tracer.known_answers(known_answers)
start_listener()
_pages.load(then=LazyFunction("config.worker.start_worker") if settings.RUN_WORKER else int)

"""Every route below /api/v1/, also those of apps above `api`."""

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver

from config.urls import urlpatterns


def api_routes() -> list[URLPattern]:
    """The patterns of all views, with routes relative to /api/v1/."""
    return list(_below(urlpatterns))


def _below(patterns: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for each in patterns:
        if isinstance(each, URLResolver) and str(each.pattern) == "api/v1/":
            for inner in each.url_patterns:
                assert isinstance(inner, URLPattern)
                yield inner

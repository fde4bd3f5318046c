"""Serves the stylesheet and the logo, for anyone, because the sign-in page shows them.

Their URLs contain a digest of the content, so browsers may keep them for ever. A URL of an older
content answers with the present one, which is not kept: another process may not know the new one
yet.
"""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from core.branding import current
from core.branding.images import SUFFIXES

FOREVER = "public, max-age=31536000, immutable"
# Whatever the file holds, it is no page: it runs no script and loads nothing.
NO_PAGE = "default-src 'none'; sandbox"


@require_safe
def style(request: HttpRequest, digest: str) -> HttpResponse:
    """The stylesheet with the brand color. 404 if no color is chosen."""
    brand = current.current()
    if brand.style_digest != digest:
        brand = current.load()
    if not brand.style:
        raise Http404
    return _file(brand.style.encode(), "text/css; charset=utf-8", brand.style_digest == digest)


@require_safe
def logo(request: HttpRequest, name: str) -> HttpResponse:
    """The logo, with the type that its content has. 404 without one."""
    found = current.current().logo
    if found is None or not name.startswith(found.digest):
        found = current.load().logo
    if found is None:
        raise Http404
    is_current = name == f"{found.digest}.{SUFFIXES[found.media_type]}"
    return _file(found.content, found.media_type, is_current)


def _file(content: bytes, content_type: str, is_current: bool) -> HttpResponse:
    response = HttpResponse(content, content_type=content_type)
    response["Content-Security-Policy"] = NO_PAGE
    # The page for denied users stands at the address of an app.
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    response["Cache-Control"] = FOREVER if is_current else "no-store"
    return response

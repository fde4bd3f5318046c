"""The branding that applies now, without a query for each page.

A process keeps it for TTL_SECONDS, so a change is seen everywhere within that time, and at once in
the process that made it. The row holds no secret and decides nothing, so this delay is harmless.
"""

import time
from dataclasses import dataclass
from hashlib import sha256

from django.conf import settings
from django.db import Error
from django.urls import reverse

from core.branding import colors
from core.branding.images import SUFFIXES, Logo
from core.branding.values import DEFAULT_COLOR, DEFAULT_NAME, support_url
from core.models import Branding

TTL_SECONDS = 2.0
FIELDS = ("name", "color", "support", "logo")


@dataclass(frozen=True, slots=True)
class Brand:
    """What pages and mails show. color, support: "" if none is chosen. style: a stylesheet."""

    name: str = DEFAULT_NAME
    color: str = ""
    support: str = ""
    logo: Logo | None = None
    style: str = ""

    @property
    def style_digest(self) -> str:
        return sha256(self.style.encode()).hexdigest()[:16]

    @property
    def style_url(self) -> str:
        """The path of the stylesheet, with a digest of its content; "" for the default color."""
        return reverse("branding:style", args=[self.style_digest]) if self.style else ""

    @property
    def logo_url(self) -> str:
        """The path of the logo, with a digest of its content; "" without one."""
        if self.logo is None:
            return ""
        name = f"{self.logo.digest}.{SUFFIXES[self.logo.media_type]}"
        return reverse("branding:logo", args=[name])

    @property
    def support_url(self) -> str:
        return support_url(self.support)

    @property
    def palette(self) -> colors.Palette:
        """The colors, also those of the default."""
        color = colors.parse(self.color or DEFAULT_COLOR)
        if color is None:
            raise ValueError(self.color)
        return colors.palette(color)


# The branding, and until when it applies, by time.monotonic().
_cached: tuple[Brand, float] | None = None


def current() -> Brand:
    """The branding that applies now. While the database does not answer, the last one known."""
    global _cached
    cached = _cached
    if cached is not None and cached[1] > time.monotonic():
        return cached[0]
    try:
        brand = load()
    except Error:
        brand = cached[0] if cached is not None else combine(None)
    _cached = (brand, time.monotonic() + TTL_SECONDS)
    return brand


def forget() -> None:
    """Read the branding again the next time; call it after a change."""
    global _cached
    _cached = None


def load() -> Brand:
    """The branding as it is stored now."""
    return combine(Branding.objects.filter(pk=Branding.ONLY).first())


def combine(row: Branding | None) -> Brand:
    """Settings, then the row, then the defaults."""
    fixed = settings.BRANDING
    stored = row or Branding()
    color = fixed.get("color") or stored.color
    parsed = colors.parse(color)
    return Brand(
        name=fixed.get("name") or stored.name or DEFAULT_NAME,
        color=color if parsed else "",
        support=fixed.get("support") or stored.support,
        logo=fixed.get("logo") or stored.read_logo(),
        style=colors.stylesheet(colors.palette(parsed)) if parsed else "",
    )

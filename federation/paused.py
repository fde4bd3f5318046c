"""Providers that are switched off in the admin panel.

Each sign-in reads the table, so a switch works at once on every server that shares the database.
"""

from collections.abc import Collection

from django.utils.translation import gettext_lazy as _

from core.errors import Forbidden
from federation.models import PausedProvider
from federation.oidc.errors import SignInFailed
from federation.providers import Provider, configured


class ProviderOff(SignInFailed):
    """The provider is configured, and switched off."""

    def __init__(self) -> None:
        super().__init__("provider_off", "switched off")


class IssuerOff(Forbidden):
    """A token of an issuer whose provider is switched off."""

    default_message = _("Sign-in through the issuer of this token is switched off.")


class DirectoryOff(Forbidden):
    """The directory was switched off while it verified a password."""

    default_message = _("Sign-in with the password of the directory is switched off.")


def paused_ids() -> frozenset[str]:
    """The ids of all that are switched off, whether they are still configured or not."""
    return frozenset(PausedProvider.objects.values_list("provider", flat=True))


def is_paused(provider_id: str) -> bool:
    return PausedProvider.objects.filter(pk=provider_id).exists()


def require_on(provider_id: str) -> None:
    """Raise ProviderOff if the provider is switched off.

    Ask before anything is sent to the provider, and again after it has answered: that takes
    seconds, and the provider may have been switched off meanwhile.
    """
    if is_paused(provider_id):
        raise ProviderOff


def require_issuer_on(issuer: str) -> None:
    """Raise IssuerOff if a provider with that issuer is switched off."""
    ids = [provider.id for provider in configured() if provider.issuer == issuer]
    if ids and not paused_ids().isdisjoint(ids):
        raise IssuerOff


def without_paused(
    providers: Collection[Provider], paused: Collection[str] | None = None
) -> tuple[Provider, ...]:
    """Those of `providers` that are on. paused: the result of paused_ids(), if it is known."""
    off = paused_ids() if paused is None and providers else paused or ()
    return tuple(provider for provider in providers if provider.id not in off)

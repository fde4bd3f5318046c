"""How pages show providers: a sign-in button, or a row of a connected identity."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services.credentials import has_other_sign_in_method
from federation.flow import knows_server
from federation.models import ExternalIdentity
from federation.paused import paused_ids, without_paused
from federation.providers import Provider, configured
from federation.services.identities import is_directory_managed, is_usable

MARKS = "elements/marks"
# Every other provider has the mark of a key.
WITH_MARK = ("google", "facebook", "github", "discord", "apple")


@dataclass(frozen=True, slots=True)
class Button:
    """A sign-in button. mark: template of the provider's logo; image_url takes precedence."""

    id: str
    label: str
    mark: str
    image_url: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """A connected identity. is_off: its provider is switched off or no longer configured.

    is_directory_managed: the directory manages it, so the user cannot disconnect it.
    """

    identity_id: UUID
    label: str
    mark: str
    image_url: str
    email: str
    since: datetime
    last_used_at: datetime | None
    is_off: bool
    is_last: bool
    is_directory_managed: bool


def button_of(provider: Provider) -> Button:
    return Button(provider.id, provider.label, _mark(provider.kind), provider.image_url)


def buttons() -> list[Button]:
    """One for each configured provider that can be used, in the order of the settings."""
    known = [provider for provider in configured() if knows_server(provider)]
    return [button_of(provider) for provider in without_paused(known)]


def methods_of(user: User) -> list[Method]:
    """The identities of `user`, oldest first."""
    known = {provider.id: button_of(provider) for provider in configured()}
    return [method_of(user, row, known) for row in user.identities.order_by("created_at")]


def method_of(
    user: User, identity: ExternalIdentity, known: Mapping[str, Button] | None = None
) -> Method:
    """One row of the account page."""
    if known is None:
        known = {button.id: button for button in buttons()}
    button = known.get(identity.provider) or _unconfigured(identity.provider)
    return Method(
        identity.pk,
        button.label,
        button.mark,
        button.image_url,
        identity.email,
        identity.created_at,
        identity.last_used_at,
        is_off=identity.provider != "ldap" and not is_usable(identity),
        is_last=not has_other_sign_in_method(user, identity),
        is_directory_managed=is_directory_managed(identity),
    )


def connectable(user: User) -> list[Button]:
    """Buttons of the providers that `user` has not connected at their current issuer."""
    paused = paused_ids()
    taken = {row.provider for row in user.identities.all() if is_usable(row, paused)}
    return [button for button in buttons() if button.id not in taken]


def label_of(provider_id: str) -> str:
    """The name of a provider, also of one that the settings do not have any more."""
    labels = {provider.id: provider.label for provider in configured()}
    return labels.get(provider_id) or _unconfigured(provider_id).label


def _unconfigured(provider_id: str) -> Button:
    """The directory has no button, and a provider may have been removed from the settings."""
    label = _("Directory (LDAP)") if provider_id == "ldap" else provider_id
    return Button(provider_id, label, _mark(provider_id))


def _mark(kind: str) -> str:
    return f"{MARKS}/{kind if kind in WITH_MARK else 'key'}.html"

"""The table of actions, and the few users whom they are about. Needs no pytest."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.actors import ANONYMOUS_EMAIL, ANONYMOUS_ID
from accounts.models import EmailRequest, User
from accounts.roles import Role
from federation.models import ExternalIdentity
from federation.providers import SignInSource
from moderation.models import Ban

PHRASE = "seven quiet rivers under glass"
NETWORK = "203.0.113.7"
ACTIONS: dict[str, Callable[[], Any]] = {}


def act(function: Callable[[], Any]) -> Callable[[], Any]:
    ACTIONS[function.__name__] = function
    return function


def prepare() -> None:
    """An owner, an admin, and people whom everything is about; made anew where one is gone.

    dora comes by the directory.
    """
    User.objects.filter(identities__provider="ldap").delete()
    anonymous = User(id=ANONYMOUS_ID, email=ANONYMOUS_EMAIL, role="editor")
    User.all_objects.bulk_create([anonymous], ignore_conflicts=True)
    for name, role in (
        ("owner", "owner"),
        ("admin", "admin"),
        ("anna", "editor"),
        ("bert", "viewer"),
        ("dora", "viewer"),
    ):
        user = User.objects.filter(email=f"{name}@example.com").first()
        if user is None:
            user = User(email=f"{name}@example.com", role=role)
            user.set_password(PHRASE)
            user.email_verified_at = timezone.now()
            user.save(force_insert=True)
        user.set_password(PHRASE)
        User.objects.filter(pk=user.pk).update(
            is_active=True, role=role, email_verified_at=timezone.now(), password=user.password,
            role_locked=False, expires_at=None, role_until=None, role_after="",
        )  # fmt: skip
    ExternalIdentity.objects.create(
        user=person("dora"), provider="ldap", subject="dora", email="dora@example.com"
    )
    Ban.objects.all().delete()
    EmailRequest.objects.all().delete()


def person(name: str) -> User:
    return User.objects.get(email=f"{name}@example.com")


def source(**changes: Any) -> SignInSource:
    return SignInSource(
        "openid", "OpenID", allows_registration=True, default_role=Role.VIEWER, **changes
    )


class LocalSettings:
    """The settings, some of which are others in one thread."""

    def __init__(self) -> None:
        self._here = threading.local()

    def __getattr__(self, name: str) -> Any:
        own: dict[str, Any] = getattr(self._here, "own", {})
        return own[name] if name in own else getattr(settings, name)

    @contextmanager
    def using(self, **values: Any) -> Iterator[None]:
        """Inside, in this thread alone, settings have these values."""
        self._here.own = values
        try:
            yield
        finally:
            self._here.own = {}


LOCAL = LocalSettings()


# What a process does before it runs acts. A process that runs other tests does none of it.
PREPARATIONS: list[Callable[[], None]] = []


def with_local_settings(*modules: ModuleType) -> None:
    """LOCAL.using() holds for these modules in a process that runs acts."""

    def install() -> None:
        for module in modules:
            vars(module)["settings"] = LOCAL

    PREPARATIONS.append(install)

"""Service accounts as the admin lists them: users of the kind `service`."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User, UserManager, UserQuerySet


class ServiceAccountManager(UserManager):
    """Service accounts only."""

    def get_queryset(self) -> UserQuerySet:
        return super().get_queryset().service_accounts()


class ServiceAccount(User):
    """A user of the kind `service`. Create them through accounts.services.service_accounts."""

    objects: ClassVar[ServiceAccountManager] = ServiceAccountManager()
    all_objects: ClassVar[models.Manager[User]] = models.Manager()

    class Meta:
        proxy = True
        verbose_name = _("service account")
        verbose_name_plural = _("service accounts")

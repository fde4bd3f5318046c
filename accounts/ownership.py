"""Models whose rows belong to a user. Each app registers its own in AppConfig.ready():

    register_owned("reports.Report", field="author")

The first administrator of an instance takes over the anonymous user's rows of these models.
"""

from django.apps import apps
from django.db import models

from accounts.models import User

_fields: dict[str, str] = {}


def register_owned(model: str, *, field: str = "user") -> None:
    """Register `model` ("app.Model"), whose rows belong to the user in the foreign key `field`."""
    _fields[model] = field


def transfer_ownership(*, giver: User, taker: User) -> dict[str, int]:
    """Give every registered row of `giver` to `taker`; returns {model: number of rows}.

    Must run inside a transaction. Sends no model signals.
    """
    return {
        name: _manager(name).filter(**{field: giver}).update(**{field: taker})
        for name, field in sorted(_fields.items())
    }


def _manager(name: str) -> models.Manager[models.Model]:
    """The base manager, which returns every row whatever the default manager hides."""
    manager: models.Manager[models.Model] = apps.get_model(name)._base_manager
    return manager

"""What belongs to a person and can change hands: each app says so in its AppConfig.ready().

    register_owned("reports.Report", field="author")

Whoever takes over what the anonymous user made gets the rows of every model named here.
"""

from django.apps import apps
from django.db import models

from accounts.models import User

_fields: dict[str, str] = {}


def register_owned(model: str, *, field: str = "user") -> None:
    """Say that rows of `model` ("app.Model") belong to whom the foreign key `field` names."""
    _fields[model] = field


def transfer_ownership(*, giver: User, taker: User) -> dict[str, int]:
    """Give every registered row of `giver` to `taker`; how many of each model, none left out.

    Must run inside a transaction. Sends no signals of the models.
    """
    return {
        name: _manager(name).filter(**{field: giver}).update(**{field: taker})
        for name, field in sorted(_fields.items())
    }


def _manager(name: str) -> models.Manager[models.Model]:
    """Sees every row, whatever the model's own managers hide."""
    found: models.Manager[models.Model] = apps.get_model(name)._base_manager
    return found

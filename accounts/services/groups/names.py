"""Names and texts of groups as people type them, with messages that say what is wrong. Pure."""

from typing import Any

from django.utils.translation import gettext as _

from accounts.group_names import MAX_NAME_LENGTH, RESERVED_NAMES, folded, has_shape, is_id
from accounts.models.groups import MAX_DESCRIPTION_LENGTH, MAX_LABEL_LENGTH
from core.text.cleaning import clean_each
from core.text.plain_text import clean_name


def clean_fields(typed: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """(values to store, error messages by field) of name, label and description."""
    cleaners = {"name": name_of, "label": label_of, "description": description_of}
    return clean_each(typed, cleaners)


def name_of(text: str) -> str:
    """The name in lower case. Raises ValueError with a message, as do the functions below."""
    name = folded(text)
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(
            _("The name is too long: at most %(most)d characters.") % {"most": MAX_NAME_LENGTH}
        )
    if not has_shape(name):
        raise ValueError(
            _(
                "Enter a name of letters a to z, digits, hyphens, dots and underscores, such as "
                "“finance” or “project-x”."
            )
        )
    if name in RESERVED_NAMES:
        raise ValueError(_("“%(name)s” is the name of a role. Choose another.") % {"name": name})
    if is_id(name):
        raise ValueError(_("This is an id, not a name. Choose another."))
    return name


def label_of(text: str) -> str:
    """What people see instead of the name; "" for the name."""
    if len(text.strip()) > MAX_LABEL_LENGTH:
        raise ValueError(
            _("The label is too long: at most %(most)d characters.") % {"most": MAX_LABEL_LENGTH}
        )
    return clean_name(text)


def description_of(text: str) -> str:
    """What the group is for, in one line."""
    if len(text.strip()) > MAX_DESCRIPTION_LENGTH:
        raise ValueError(
            _("The description is too long: at most %(most)d characters.")
            % {"most": MAX_DESCRIPTION_LENGTH}
        )
    return clean_name(text, MAX_DESCRIPTION_LENGTH)

"""The kinds of objects that a file may describe, in the order in which they are stored."""

from operations.as_code.object_types import (
    access_rules,
    apps,
    branding,
    groups,
    people,
    scopes,
    service_accounts,
    webhooks,
)
from operations.as_code.run import Kind

# An object refers to those above it.
KINDS: tuple[Kind, ...] = (
    branding.KIND,
    groups.KIND,
    people.KIND,
    service_accounts.KIND,
    scopes.KIND,
    apps.KIND,
    access_rules.KIND,
    webhooks.KIND,
)
TABLES = tuple(kind.table for kind in KINDS)

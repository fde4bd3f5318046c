"""Which role holds follows from the row and the clock: User.from_db() computes it.

A query sees the stored role, which may have ended a moment ago. So no query decides by it, except
for these, and each says why the stored role is enough.
"""

import ast

from tests.architecture.sources import ROOT, modules

ALLOWED = {
    "access_reviews.services.decisions": "finds owners; each is asked for the role that holds",
    "access_reviews.services.reviews": "finds administrators, who are asked for the role",
    "accounts.admin.dashboard.content": "a count for people to look at",
    "accounts.admin.users.filters": "a list for people to look at",
    "accounts.management.commands.listusers": "a list for people to look at",
    "accounts.models.users": "a role with an end does not count there, or is stricter",
    "accounts.services.approvals.asking": "finds owners; each is asked for the role that holds",
    "accounts.services.bulk.invitations": "roles of invitations",
    "accounts.services.bulk.exports": "a file for people; its cells hold the role that holds",
    "accounts.services.ended_access": "who gets a mail; can_manage() decides with the loaded role",
    "accounts.services.first_run": "the default owner, whose role has no end",
    "accounts.services.invitations": "roles of invitations",
    "accounts.services.signup": "whether anybody was ever made administrator",
    "federation.services.rehearsals": "the default owner, whose role has no end",
    "federation.ldap.sign_in": "the default owner, and whether anybody was ever made owner",
    "federation.services.switching": "an owner whose role has just ended is stricter",
    "federation.ldap.sync": "undoing writes only where the stored role is what the run has stored",
    "webhooks.services.notices": "finds administrators, of whom the access policy is asked",
}
QUERIES = {"filter", "exclude", "get", "values", "values_list", "Q"}


def _reads_role(node: ast.AST) -> bool:
    """Whether this is a query by the column `role`, or one that returns it as it is stored."""
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name not in QUERIES:
        return False
    by_keyword = any((word.arg or "").partition("__")[0] == "role" for word in node.keywords)
    values = [each.value for each in node.args if isinstance(each, ast.Constant)]
    return by_keyword or (name in ("values", "values_list") and "role" in values)


def test_no_query_decides_by_the_stored_role() -> None:
    found = {
        module
        for module, file in modules()
        if not module.startswith(("tests.", "benchmarks.", "devtools."))
        and any(_reads_role(node) for node in ast.walk(ast.parse((ROOT / file).read_text())))
    }

    assert found == {*ALLOWED}

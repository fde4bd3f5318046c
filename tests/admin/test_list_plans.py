"""Lists stay fast at a million rows: what they ask is found by an index, on both databases."""

import re
from typing import Any

from devtools.servers.databases import InstanceData

USERS, EVENTS = "/admin/accounts/user/", "/admin/audit/auditevent/"
FACTORS = r"authenticator_of_user|mfa_authenticator_user_id_\w+"
# A page -> the index that finds its rows, even where few of a million match.
PAGES = {
    "/admin/": "audit_at|audit_action",
    f"{USERS}?verified=no": "user_unverified",
    f"{USERS}?state=disabled": "user_disabled",
    f"{USERS}?state=not-set-up": "user_not_set_up",
    f"{USERS}?state=banned": "ban_of_user|ban_until",
    f"{USERS}?factor=yes": FACTORS,
    f"{USERS}?factor=no": FACTORS,
    f"{USERS}?q=nobody": "user_search_text",
    "/admin/accounts/browsersession/": "session_signed_in",
    "/admin/accounts/browsersession/?begun=today": "session_begun",
    f"{EVENTS}?result=failure": "audit_result",
    f"{EVENTS}?about=rules": "audit_action",
    f"{EVENTS}?about=sessions&p=3": "audit_action",
    f"{EVENTS}?at=today": "audit_at",
    f"{USERS}?signed-in=today": "user_last_login",
    f"{EVENTS}?q=request7": "audit_request",
    f"{EVENTS}?q=10.1.2.3": "audit_ip",
    "/api/v1/users?is_verified=false": "user_unverified",
    "/api/v1/users?is_active=false": "user_disabled",
    "/api/v1/users?q=nobody": "user_search_text",
    "/api/v1/audit-events?channel=worker": "audit_channel",
    "/api/v1/audit-events?result=failure": "audit_result",
    "/api/v1/audit-events?ip=10.1.2.3": "audit_ip",
    "/api/v1/audit-events?after=2020-01-01T00:00:00Z&before=2099-01-01T00:00:00Z": "audit_at",
}
# PostgreSQL chooses by numbers of rows, which are small here.
SQLITE_PAGES = {
    "/admin/accounts/browsersession/?q=10.1.2.3": "session_signed_in",
    "/admin/accounts/serviceaccount/?role=viewer": "user_service_role",
    "/admin/api/apikey/?state=live": "api_key_created_at",
}
# On PostgreSQL a table is read as a whole only where no index serves; on SQLite, with a bare SCAN.
GROWING = "(?:accounts_user|accounts_browsersession|audit_auditevent|mfa_authenticator)"
WHOLE_TABLE = re.compile(rf"(?:Seq Scan on|SCAN) {GROWING}\b(?! USING)")
# Of the statement itself, not of a part that is asked about each row of a page.
SORTED = re.compile(
    rf"^[\w-]+ (?:{GROWING}|api_apikey|OR\n).*\nUSE TEMP B-TREE FOR ORDER BY",
    re.MULTILINE | re.DOTALL,
)
EXPLAIN = """
import sys
from django.db import connection
from django.test import Client
from django.utils import timezone
from accounts.models import User
from benchmarks.many_rows import load
load(2000)
owner = User.objects.create(
    email="owner@example.com", username="owner", role="owner", email_verified_at=timezone.now()
)
browser = Client(SERVER_NAME="localhost")
browser.force_login(owner)
is_postgres = connection.vendor == "postgresql"
explain = "EXPLAIN " if is_postgres else "EXPLAIN QUERY PLAN "
asked = []
def note(execute, sql, params, many, context):
    asked.append((sql, params))
    return execute(sql, params, many, context)
result = {{}}
for path in {paths!r}:
    asked.clear()
    with connection.execute_wrapper(note):
        response = browser.get(path)
    assert response.status_code == 200, (path, response.status_code, response.content[:300])
    with connection.cursor() as cursor:
        if is_postgres:
            cursor.execute("SET enable_seqscan = off")
        plans = result[path] = []
        for sql, params in [each for each in asked if each[0].lstrip("(").startswith("SELECT")]:
            cursor.execute(explain + sql, params)
            rows = cursor.fetchall()
            nested = [not is_postgres and bool(row[1]) for row in rows]
            lines = ["  " * deep + str(row[-1]) for row, deep in zip(rows, nested)]
            plans.append("\\n".join(lines))
        if is_postgres:
            cursor.execute("SET enable_seqscan = on")
"""


def test_what_few_rows_match_is_found_by_an_index(any_data: InstanceData) -> None:
    pages = PAGES | (SQLITE_PAGES if any_data.kind == "sqlite" else {})
    plans: dict[str, Any] = any_data.shell(
        EXPLAIN.format(paths=list(pages)), PUBLIC_URL="http://localhost:8000"
    )

    wrong = []
    for path, index in pages.items():
        if not re.search(rf"\b(?:{index})\b", "\n".join(plans[path])):
            wrong.append(f"{path} does not use {index}:\n" + "\n".join(plans[path]))
        # The overview counts all users, up to a limit.
        wrong += [
            f"{path} reads or sorts too much:\n{plan}"
            for plan in plans[path]
            if path != "/admin/" and (WHOLE_TABLE.search(plan) or SORTED.search(plan))
        ]
    assert not wrong, "\n\n".join(wrong)

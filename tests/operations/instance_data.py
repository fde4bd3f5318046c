"""An instance with rows in every important table, and what can be read of it."""

from devtools.servers.databases import InstanceData

FILL = """
from datetime import timedelta
from django.utils import timezone
from audit import audit_log
from accounts.actors import SYSTEM
from accounts.models import *
from core.web.request_context import RequestContext, use_context
from access_reviews.models import *
from api.models import *
from magiclinks.models import LoginLink
from moderation.models import *
from applications.models import App
from forward_auth.models import AccessRule, Denial
now = timezone.now()
whole = now.replace(microsecond=0)
people = [User(email=f"person{n}@example.com", username=f"p{n}", name="Ünï ☃ '\\\\ \\n" + str(n),
    role="viewer", created_at=whole, password="x") for n in range(PEOPLE)]
people[0].role = "owner"
User.objects.bulk_create(people)
owner = people[0]
for person in people[:20]:
    audit_log.record("account:user:create", actor=SYSTEM, target=person, role="viewer",
        deep={"b": [1, 2.5, None, True], "a": "ü"})
BrowserSession.objects.create(session_key="a" * 64, user=owner, expire_date=now + timedelta(days=9),
    session_data="x")
app = App.objects.create(name="Wiki ☃", slug="wiki", url="https://wiki.example.com",
    host="wiki.example.com")
rule = AccessRule.objects.create(name="all", effect="role", networks=["10.0.0.0/8"], app=app)
review = AccessReview.objects.create(name="Quarter", scope="all", due_at=now)
Reviewer.objects.create(review=review, user=owner)
ReviewItem.objects.create(review=review, user_id=owner.pk, access={"b": [1], "a": "ü"})
ReviewReminder.objects.create(review=review, days=7)
Denial.objects.create(reference="ABCDEFGH", status=403, code="forbidden", why="rank", rule=rule,
    user=owner)
ban = Ban.objects.create(user=owner, kind="manual", reason="trial", until=now)
Violation.objects.create(type="login", score=0.1, subject=f"user:{owner.pk}", user=owner, ban=ban,
    total_before=1 / 3, total_after=1e-9, detail={"z": 1, "a": [1.5]})
Score.objects.create(subject=f"user:{owner.pk}", total=2.0000000000000004)
LoginLink.objects.create(user=owner, email=owner.email, digest="d" * 64, source="command",
    expires_at=now + timedelta(hours=1))
ApiKey.objects.create(id="abcdefghijkl", user=owner, name="k", digest="e" * 64, ending="wxyz",
    scopes=["read"])
ForeignIdentity.objects.create(user=owner, issuer="https://idp.example.com", subject="42")
result = None
"""
LOOK = """
import hashlib, json
from django.apps import apps
from django.core import serializers
from core.models import CacheEntry
result = {}
for model in apps.get_models(include_auto_created=True):
    if model is not CacheEntry:
        rows = serializers.serialize("jsonl", model.objects.all()).splitlines()
        lines = sorted(json.dumps(json.loads(row), sort_keys=True) for row in rows)
        digest = hashlib.sha256("\\n".join(lines).encode()).hexdigest()
        result[model._meta.db_table] = [len(lines), digest]
"""
VERIFY = "from audit import audit_log; v = audit_log.verify(); result = [v.checked, v.broken_at]"
# Makes a row in a table that counts its keys, and one in the audit log.
GO_ON = """
from audit import audit_log
from api.models import ForeignIdentity
from accounts.models import User
ForeignIdentity.objects.create(user=User.objects.order_by("pk")[0], issuer="i", subject="s")
audit_log.record("account:user:change", actor=User.objects.order_by("pk")[0])
v = audit_log.verify()
result = [v.checked, v.broken_at]
"""


def fill(data: InstanceData, people: int = 50) -> None:
    """Rows in every table; 20 audit rows."""
    data.shell(FILL.replace("PEOPLE", str(people)))


def look(data: InstanceData) -> dict[str, list[object]]:
    """Count and digest of every table as Django reads it."""
    return data.shell(LOOK)

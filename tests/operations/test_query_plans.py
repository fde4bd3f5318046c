"""What is done all the time finds its rows by an index, on both databases, at any size."""

from devtools.servers.databases import InstanceData

SETTINGS = "benchmarks.growth.settings"
# (operation, statements, [[table read as a whole, plan]]) of each, for the second of two people.
ASK = """
from django.db import connection
from audit.models import AuditEvent
from benchmarks.growth import filling, operations
from tests.operations.query_plans import noted, whole_reads

filling.CHAIN = 100
made = filling.Filling()
made.run(users=1000, events=1000)
grown = {model._meta.db_table for model in made.pattern}
operations.PEOPLE = 2
first, second = operations.people(1000)

def read_all(_person):
    assert not AuditEvent.objects.filter(previous_hash="nothing").exists()

result = []
for what, act in {**operations.OF_A_PERSON, "control": read_all}.items():
    act(first)
    with noted() as plans:
        act(second)
    read = [[table, plan] for plan in plans for table in whole_reads(plan, connection.vendor)]
    result.append([what, len(plans), [each for each in read if each[0] in grown]])
"""


def test_hot_operations_read_no_table_as_a_whole(any_data: InstanceData) -> None:
    """Otherwise each sign-in or check would cost more with every user, key, session and event."""
    found = any_data.shell(ASK, DJANGO_SETTINGS_MODULE=SETTINGS, PUBLIC_URL="http://localhost:8000")

    (_control, _count, (control, *_more)), *operations = reversed(found)
    assert control[0] == "audit_auditevent"
    assert [[what, plans] for what, _count, plans in operations if plans] == []
    assert min(count for _what, count, _plans in operations) >= 1

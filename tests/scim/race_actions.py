"""Actions for the processes of a race. Imported after django.setup()."""

from collections import Counter
from pathlib import Path

from django.conf import settings

from accounts.models import Group, User
from scim.models import ScimUser
from tests.accounts.race_actions import clear_instance
from tests.scim.client import ScimClient, client_of, group_of, patch_of, user_of
from tests.scim.filter_table import make_people, unequal_filters


def shared(name: str) -> Path:
    """A file that all processes of the race read and write."""
    return Path(settings.DATA_DIR) / name


def one_client() -> None:
    """An administrator with a key, and one group."""
    clear_instance()
    Group.objects.all().delete()
    User.objects.create(email="owner@example.com", role="owner")
    scim = client_of(User.objects.create(email="admin@example.com", role="admin"))
    shared("key").write_text(scim.key)
    shared("statuses").write_text("")


def create_the_same_user(place: int) -> None:
    """All clients send the same userName, with addresses of their own."""
    body = user_of("Anna", emails=[{"value": f"anna{place}@example.com"}])
    note(ScimClient(shared("key").read_text()).post("/Users", body).status_code)


def note(status: int) -> None:
    """One short append: whole lines, also of several processes."""
    with shared("statuses").open("a") as file:
        file.write(f"{status}\n")


def count_users() -> tuple[dict[str, int], int, int]:
    found = Counter(shared("statuses").read_text().split())
    return dict(found), ScimUser.objects.count(), User.objects.count()


def one_group() -> None:
    """A group, and a person for each place."""
    one_client()
    scim = ScimClient(shared("key").read_text())
    group = scim.post("/Groups", group_of("Lab")).json()
    people = [User.objects.create(email=f"p{place}@example.com") for place in range(4)]
    shared("group").write_text(group["id"])
    shared("people").write_text("\n".join(str(user.pk) for user in people))


def add_a_member(place: int) -> None:
    """Each client adds another person."""
    person = shared("people").read_text().split()[place]
    scim = ScimClient(shared("key").read_text())
    operation = {"op": "add", "path": "members", "value": [{"value": person}]}
    path = f"/Groups/{shared('group').read_text()}"
    note(scim.call("PATCH", path, patch_of(operation)).status_code)


def count_members() -> tuple[dict[str, int], int, list[str]]:
    """Statuses, members, and which filters this database answers otherwise than the evaluator."""
    scim = ScimClient(shared("key").read_text())
    group = scim.get(f"/Groups/{shared('group').read_text()}").json()
    Group.objects.all().delete()
    make_people()
    statuses = Counter(shared("statuses").read_text().split())
    return dict(statuses), len(group["members"]), unequal_filters()

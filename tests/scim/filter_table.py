"""Filters of users and whom they select, for both databases. Needs no pytest."""

from datetime import UTC, datetime

from accounts.models import Group, Membership, User
from scim.filters import matches, parse_filter
from scim.models import ScimGroup, ScimUser
from scim.queries import filtered
from scim.resources import user_resources, visible_users
from scim.schemas import USER

LAB_ID = "0190f5d4-0000-7000-8000-00000000000a"
ANNA_ID, BERT_ID, CARL_ID = (f"0190f5d4-0000-7000-8000-00000000000{n}" for n in "123")
# Filter -> names of the users that it selects.
FILTERS = {
    'userName eq "ANNA@contoso.com"': "A",
    'userName Eq "bert"': "",
    'userName ne "anna@contoso.com"': "BC",
    'userName co "CONTOSO"': "A",
    'userName sw "b"': "B",
    'userName ew ".com"': "ABC",
    'userName sw ""': "ABC",
    'urn:ietf:params:scim:schemas:core:2.0:User:userName eq "anna@contoso.com"': "A",
    'userName gt "anna@contoso.com"': "BC",
    'userName ge "anna@contoso.com" and userName le "bert@example.com"': "AB",
    'userName lt "b"': "A",
    "userName pr": "ABC",
    'externalId eq "x-1"': "A",
    'externalId eq "X-1"': "",
    'externalId sw "x"': "A",
    'externalId co "X"': "",
    'externalId ne "x-1"': "BC",
    "externalId pr": "A",
    "not (externalId pr)": "BC",
    "externalId eq null": "BC",
    "externalId ne null": "A",
    'name.familyName eq "berg"': "A",
    "name.givenName pr and active eq true": "A",
    'name.formatted co "a b"': "A",
    "name pr": "A",
    'name.formatted co "bert"': "",
    'displayName eq "bert \\"b\\" 100%_"': "B",
    'displayName co "100%_"': "B",
    'displayName co "%"': "B",
    'displayName co "_"': "B",
    'displayName eq ""': "",
    "displayName pr": "AB",
    "active eq true": "AC",
    "active eq false": "B",
    'active eq "True"': "AC",
    "active ne true": "B",
    "active pr": "ABC",
    'emails eq "bert@example.com"': "B",
    'emails.value ew "@EXAMPLE.com"': "ABC",
    'emails[type eq "work" and value sw "carl"]': "C",
    'emails[type eq "home"]': "",
    'emails[not (type eq "home") and primary eq true]': "AC",
    'emails.type eq "WORK"': "ABC",
    "emails.primary eq false": "B",
    "emails.primary ne false": "AC",
    "emails.primary pr": "ABC",
    "emails pr": "ABC",
    f'id eq "{BERT_ID}"': "B",
    f'id ne "{BERT_ID}"': "AC",
    'id eq "no id"': "",
    "id pr": "ABC",
    'meta.created ge "2026-01-02T00:00:00Z"': "BC",
    'meta.created lt "2026-01-02T01:00:00+02:00"': "A",
    'meta.created eq "2026-01-02T00:00:00Z"': "B",
    'meta.created ne "2026-01-02T00:00:00Z"': "AC",
    'meta.resourceType eq "User"': "ABC",
    'meta.resourceType eq "user"': "",
    f'groups eq "{LAB_ID}"': "A",
    f'groups[value eq "{LAB_ID}"]': "A",
    f'groups.value ne "{LAB_ID}"': "BC",
    "groups pr": "A",
    # and before or; not before both; brackets first
    'userName sw "c" or userName sw "b" and active eq true': "C",
    '(userName sw "c" or userName sw "b") and active eq true': "C",
    '(userName sw "a" or userName sw "b") and not (active eq true)': "B",
    'not (userName sw "a") and not (not (active eq true))': "C",
    'USERNAME SW "a" OR NOT (Active EQ TRUE)': "AB",
}


def make_people() -> None:
    """Anna and Bert, whom SCIM manages, and Carl; two groups."""
    rows = (
        (ANNA_ID, "anna@example.com", "Anna Berg", True, 1),
        (BERT_ID, "bert@example.com", 'Bert "B" 100%_', False, 2),
        (CARL_ID, "carl@example.com", "", True, 3),
    )
    for key, email, name, is_active, day in rows:
        created_at = datetime(2026, 1, day, tzinfo=UTC)
        User.objects.create(
            pk=key, email=email, name=name, is_active=is_active, created_at=created_at
        )
    ScimUser.objects.create(
        user_id=ANNA_ID, user_name="Anna@contoso.com", key="anna@contoso.com", external_id="x-1",
        given_name="Anna", family_name="Berg",
    )  # fmt: skip
    ScimUser.objects.create(
        user_id=BERT_ID, user_name="bert@example.com", key="bert@example.com", has_name=False,
        is_primary=False,
    )  # fmt: skip
    group = Group.objects.create(pk=LAB_ID, name="lab", label="The Lab")
    ScimGroup.objects.create(group=group, external_id="g-1")
    Group.objects.create(name="staff")
    Membership.objects.create(user_id=ANNA_ID, group=group, source="scim")
    Membership.objects.create(user_id=BERT_ID, group=group, source="manual")


def unequal_filters() -> list[str]:
    """The filters for which the database and the evaluator select different users."""
    people = list(visible_users().order_by("pk"))
    resources = user_resources(people)
    return [
        text
        for text in FILTERS
        if [row["id"] for row in resources if matches(parse_filter(text, USER), row)]
        != [str(user.pk) for user in filtered(visible_users(), text, USER).order_by("pk")]
    ]

"""Filters: the grammar and the operators of RFC 7644, section 3.4.2.2, as text and as queries.

One table is asked of the evaluator over dictionaries and of the database.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as sized
from hypothesis import strategies as some

from accounts.models import User
from scim.errors import InvalidFilter, InvalidPath
from scim.filters import MAX_COMPARISONS, MAX_DEPTH, MAX_LENGTH, matches, parse_filter, parse_path
from scim.models import ScimUser
from scim.queries import filtered
from scim.resources import group_resources, user_resources, visible_groups, visible_users
from scim.schemas import GROUP, USER
from tests.scim.client import ScimClient, refusal
from tests.scim.filter_table import ANNA_ID, BERT_ID, FILTERS, LAB_ID, make_people

REFUSED = [
    "", " ", "userName", "userName eq", 'userName eq "x', "userName eq x", 'userName xx "x"',
    'eq "x"', 'userName eq "x" and', 'userName eq "x" userName pr', '(userName eq "x"',
    'userName eq "x")', "not userName pr", "userName pr or", "()", "[", 'emails[type eq "work"',
    'emails[emails[type pr]]', 'emails[unknown eq "x"]', 'userName[value eq "x"]',
    'nickName eq "x"', 'name eq "x"', 'userName.x eq "x"', 'unknown eq "x"', "userName eq 1",
    "userName eq true", "userName gt null", "active gt true", 'active eq "perhaps"', "active eq 1",
    'meta.created co "2026"', 'meta.created eq "yesterday"', 'meta.lastModified gt "x"',
    'meta.location eq "x"', 'roles eq "owner"', f'id gt "{ANNA_ID}"', f'groups co "{LAB_ID}"',
    'groups[display eq "lab"]', 'groups[not (value eq "x")]', 'userName eq "\\u0000"',
    'userName eq "\\ud800"', 'urn:other:User:userName eq "x"', "userName eq 'x'", "\0", "ü pr",
    'schemas eq "x"',
]  # fmt: skip


@pytest.fixture
def people(db: None) -> list[User]:
    make_people()
    return list(visible_users().order_by("pk"))


def test_every_filter_selects_the_same_in_the_database_and_over_dictionaries(
    people: list[User],
) -> None:
    resources = user_resources(people)

    for text, names in FILTERS.items():
        wanted = parse_filter(text, USER)
        by_dictionary = [row["id"][-1] for row in resources if matches(wanted, row)]
        rows = filtered(visible_users(), text, USER).order_by("pk")
        by_database = [str(user.pk)[-1] for user in rows]

        expected = [str("ABC".index(name) + 1) for name in names]
        assert (text, by_dictionary) == (text, expected)
        assert (text, by_database) == (text, expected)


def test_groups_are_filtered_likewise(people: list[User]) -> None:
    resources = group_resources(visible_groups().order_by("name"), with_members=True)

    for text, names in {
        'displayName eq "the lab"': ["The Lab"],
        'displayName eq "lab"': [],
        'displayName sw "ST"': ["staff"],
        'externalId eq "g-1"': ["The Lab"],
        f'members eq "{ANNA_ID}"': ["The Lab"],
        f'members[value eq "{BERT_ID}"]': [],
        f'id eq "{LAB_ID}" and members.value eq "{ANNA_ID}"': ["The Lab"],
        "not (members pr)": ["staff"],
        'meta.resourceType eq "Group" and displayName pr': ["The Lab", "staff"],
    }.items():
        wanted = parse_filter(text, GROUP)
        rows = filtered(visible_groups(), text, GROUP).order_by("name")
        assert [row["displayName"] for row in resources if matches(wanted, row)] == names
        assert [str(group) for group in rows] == names


def test_what_cannot_be_read_or_answered_is_refused(people: list[User]) -> None:
    for text in REFUSED:
        with pytest.raises(InvalidFilter):
            filtered(visible_users(), text or " ", USER)


def test_lengths_and_depths_are_bounded() -> None:
    deep = "(" * MAX_DEPTH + "active pr" + ")" * MAX_DEPTH
    many = " and ".join(["active pr"] * MAX_COMPARISONS)

    parse_filter(deep, USER)
    parse_filter(many, USER)
    for text in (
        f"({deep})", f"{many} or active pr", f'userName eq "{"x" * MAX_LENGTH}"', "(" * 1900,
        "not (" * 400,
    ):  # fmt: skip
        with pytest.raises(InvalidFilter):
            parse_filter(text, USER)


TEXTS = some.text(some.sampled_from('ab%_"\\ é.'), max_size=4)
WORDS = ("userName", "emails", "[", "]", "(", ")", "and", "or", "not", "eq", "pr", "co", '"a"',
         "true", "1", ".value", "active", "name.givenName", "urn:x:y")  # fmt: skip


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


COMPARISONS = some.one_of(
    some.builds(
        lambda path, op, text: f"{path} {op} {quoted(text)}",
        some.sampled_from(["userName", "displayName", "externalId", "name.familyName", "emails"]),
        some.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]),
        TEXTS,
    ),
    some.sampled_from(["externalId pr", "displayName pr", "active eq true", "active ne true"]),
)
TREES = some.recursive(
    COMPARISONS,
    lambda inner: some.one_of(
        some.builds("({} and {})".format, inner, inner),
        some.builds("({} or {})".format, inner, inner),
        some.builds("not ({})".format, inner),
    ),
    max_leaves=5,
)


@given(some.one_of(some.text(max_size=60), some.lists(some.sampled_from(WORDS)).map(" ".join)))
@sized(max_examples=150, deadline=None)
def test_the_parser_raises_nothing_but_its_errors(text: str) -> None:
    for parse, errors in (
        (parse_filter, InvalidFilter),
        (parse_path, (InvalidPath, InvalidFilter)),
    ):
        try:
            parse(text, USER)
        except errors:
            continue


@pytest.mark.django_db
@given(some.lists(some.tuples(TEXTS, TEXTS, TEXTS, some.booleans()), max_size=3), TREES)
@sized(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_database_and_evaluator_agree(rows: list[Any], text: str) -> None:
    ScimUser.objects.all().delete()
    User.objects.all().delete()
    for number, (name, external_id, family_name, is_active) in enumerate(rows):
        user = User.objects.create(email=f"{number}@example.com", name=name, is_active=is_active)
        user_name = f"A{number}{external_id}"
        ScimUser.objects.create(
            user=user, user_name=user_name, key=user_name.lower(), external_id=external_id,
            family_name=family_name,
        )  # fmt: skip
    wanted = parse_filter(text, USER)

    found = set(filtered(visible_users(), text, USER).values_list("pk", flat=True))

    resources = user_resources(visible_users())
    assert found == {user.pk for user, row in zip(visible_users(), resources, strict=True)
                     if matches(wanted, row)}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.usefixtures("people")
def test_pages_and_sorting(scim: ScimClient) -> None:
    def names(**query: str) -> tuple[Any, ...]:
        body = scim.get("/Users", filter='emails ew "@example.com"', **query).json()
        rows = [row["emails"][0]["value"][:1] for row in body.get("Resources", [])]
        return "".join(rows), body["totalResults"], body["startIndex"], body["itemsPerPage"]

    admin = User.objects.get(role="admin").email[:1]
    assert names(count="2") == ("ab", 4, 1, 2)
    assert names(startIndex="3", count="2") == (f"c{admin}", 4, 3, 2)
    assert names(startIndex="0", count="1") == ("a", 4, 1, 1)  # 3.4.2.4: less than 1 is 1
    assert names(startIndex="9") == ("", 4, 9, 0)
    assert names(count="0") == ("", 4, 1, 0)  # 3.4.2.4: only totalResults
    assert names(count="-5") == ("", 4, 1, 0)  # 3.4.2.4: a negative value is 0
    assert names(count="100000")[3] == 4
    assert names(sortBy="emails")[0] == "".join(sorted(f"abc{admin}"))
    assert names(sortBy="userName", sortOrder="descending", count="1")[0] == "c"
    # 3.4.2.3: who has no value is last, or first if the order is descending
    assert names(sortBy="externalId", count="1")[0] == "a"
    assert names(sortBy="externalId", sortOrder="descending")[0][-1] == "a"
    assert names(sortBy="meta.created", count="1")[0] == "a"
    for query in ({"sortBy": "roles"}, {"sortBy": "unknown"}, {"sortBy": "userName eq"}):
        assert refusal(scim.get("/Users", **query)) == (400, "invalidFilter")
    for query in ({"count": "many"}, {"startIndex": "1.5"}, {"count": "9" * 40}):
        assert refusal(scim.get("/Users", **query)) == (400, "invalidValue")
    assert refusal(scim.get("/Users", filter="userName")) == (400, "invalidFilter")  # 3.12

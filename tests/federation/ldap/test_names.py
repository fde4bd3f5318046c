"""Distinguished names and filters: pure rules. TRAPS 37, 40, 41; ATTACKS A113."""

import pytest

from federation.ldap.dn import DNError, common_names, normal_dn
from federation.ldap.filters import escape, parse_filter


@pytest.mark.parametrize(
    "other",
    [
        "CN=Doe\\, John,OU=People,DC=Example,DC=org",
        "cn=doe\\2c john, ou=people, dc=example, dc=org",
        "commonName=DOE\\,  John ; ou=People;dc=example;dc=ORG",
        "2.5.4.3=Doe\\, John,OID.2.5.4.11=people,dc=example,dc=org",
    ],
)
def test_equivalent_spellings_of_a_name_are_equal(other: str) -> None:
    assert normal_dn(other) == "cn=doe\\, john,ou=people,dc=example,dc=org"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cn=a\\,ou=b", "cn=a,ou=b"),
        ("cn=a+uid=b,dc=x", "cn=a,uid=b,dc=x"),
        ("cn=cn\\=a,dc=x", "cn=a,dc=x"),
        ("cn=a\\5c,dc=x", "cn=a\\,dc=x"),
    ],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert normal_dn(one) != normal_dn(other)


def test_attributes_of_a_multi_valued_rdn_have_no_order() -> None:
    assert normal_dn("uid=b+cn=a,dc=x") == normal_dn("cn=a+uid=b,dc=x")


@pytest.mark.parametrize("text", ["", " ", "people", "cn=a,,dc=x", "=a", "c n=a"])
def test_invalid_names_are_rejected(text: str) -> None:
    with pytest.raises(DNError):
        normal_dn(text)


def test_the_name_of_a_group_is_its_cn() -> None:
    assert common_names("cn=Müller\\, A,cn=other,dc=x") == ("müller, a",)
    assert common_names("ou=people,cn=other,dc=x") == ()
    assert common_names("plain  Group") == ("plain group",)


def test_every_special_character_of_a_filter_is_escaped() -> None:
    assert escape("a*(b)\\c\0\n\x7f{x}ü") == "a\\2a\\28b\\29\\5cc\\00\\0a\\7f{x}ü"


def test_a_value_that_resembles_a_placeholder_is_not_replaced() -> None:
    found = parse_filter("(&(a={username})(b={{user_dn}}))", "username", "user_dn")

    assert found.fill("{user_dn}", "{username}") == "(&(a={user_dn})(b={username}))"


@pytest.mark.parametrize(
    ("text", "anybody"),
    [
        ("uid={username}", "(uid=*)"),
        ("(cn=*{username}*)", "(cn=*)"),
        ("(mail={username}@example.org)", "(mail=*@example.org)"),
        ("(|(a={username})(m:1.2.3:={username}))", "(|(a=*)(objectClass=*))"),
    ],
)
def test_the_filter_for_all_users_tests_presence(text: str, anybody: str) -> None:
    assert parse_filter(text, "username").for_anybody() == anybody

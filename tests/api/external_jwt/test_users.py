"""Users of external tokens: identified by issuer and subject, never by address."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from api.errors import AccessTokenInvalid
from api.external_jwt import is_external
from api.external_jwt.policy import current_policy
from api.external_jwt.users import find_or_create_user
from api.external_jwt.verify import ExternalClaims
from api.models import ForeignIdentity
from api.permissions import require_account_access
from audit.models import AuditEvent
from core.errors import Forbidden, RecordInvalid
from devtools.servers.databases import InstanceData
from federation.models import PausedProvider
from federation.providers import Provider as SignInProvider
from federation.providers import SignInSource
from tests.api.external_jwt.providers import Provider, SigningKey, authenticate

pytestmark = pytest.mark.django_db
ISSUER = "https://id.example.com/o/team"
Trust = Callable[..., None]


@pytest.fixture
def registration(trust: Trust) -> None:
    trust(ISSUER, AUTH_JWT_REGISTRATION=True)


def _claims(subject: str = "anna", **changes: Any) -> ExternalClaims:
    now = datetime.now(UTC).replace(microsecond=0)
    fields = {
        "issuer": ISSUER,
        "subject": subject,
        "email": f"{subject}@example.com",
        "email_verified": True,
        "name": "Anna",
        "issued_at": now - timedelta(seconds=20),
        "expires_at": now + timedelta(minutes=10),
        "claims": {},
    }
    return ExternalClaims(**{**fields, **changes})


@pytest.mark.usefixtures("registration")
def test_the_first_request_creates_an_account_without_a_role() -> None:
    user = find_or_create_user(_claims())

    assert (user.email, user.name, user.role) == ("anna@example.com", "Anna", "none")
    assert user.is_verified is True
    assert user.has_usable_password() is False
    (event,) = AuditEvent.objects.filter(action="account:user:create")
    assert (event.target_id, event.actor_id) == (user.pk, None)
    assert event.detail == {"role": "none", "source": "jwt"}


@pytest.mark.usefixtures("registration")
def test_the_access_policy_applies_to_a_token_that_creates_an_account() -> None:
    claims = _claims(issued_at=datetime.now(UTC) - timedelta(hours=2))

    user = find_or_create_user(claims)

    require_account_access(user, claims.issued_at)
    assert User.objects.get().credentials_valid_from == claims.issued_at


@pytest.mark.usefixtures("registration")
def test_the_second_request_finds_the_same_user() -> None:
    first = find_or_create_user(_claims())

    second = find_or_create_user(_claims(email="other@example.com", name="Else"))

    assert second.pk == first.pk
    assert User.objects.get().email == "anna@example.com"
    assert ForeignIdentity.objects.count() == 1


@pytest.mark.usefixtures("registration")
def test_no_token_of_an_issuer_that_is_switched_off_is_accepted(settings: Any) -> None:
    source = SignInSource("team", "Team")
    settings.SIGN_IN_PROVIDERS = (
        SignInProvider(source, kind="oidc", client_id="x", issuer=ISSUER),
    )
    find_or_create_user(_claims())
    PausedProvider.objects.create(provider="team")

    for subject in ("anna", "new"):
        with pytest.raises(Forbidden, match="switched off"):
            find_or_create_user(_claims(subject))

    assert User.objects.count() == 1
    find_or_create_user(_claims(issuer="https://other.example"))


@pytest.mark.usefixtures("registration")
def test_a_subject_of_another_issuer_is_another_user() -> None:
    first = find_or_create_user(_claims())

    second = find_or_create_user(_claims(issuer="https://other.example"))

    assert second.pk != first.pk
    assert second.email != first.email


@pytest.mark.usefixtures("registration")
@pytest.mark.parametrize("subject", ["Anna", "anna ", "ánna", "ANNA"])
def test_subjects_are_compared_exactly(subject: str) -> None:
    assert find_or_create_user(_claims()).pk != find_or_create_user(_claims(subject, email=None)).pk


@pytest.mark.usefixtures("registration")
def test_an_email_claim_gives_no_access_to_an_existing_account(admin: User) -> None:
    before = User.objects.filter(pk=admin.pk).values().get()

    user = find_or_create_user(_claims(email=admin.email))

    assert user.pk != admin.pk
    assert user.email.endswith("@users.invalid")
    assert (user.is_verified, user.role) == (False, "none")
    assert User.objects.filter(pk=admin.pk).values().get() == before


@pytest.mark.usefixtures("registration")
@pytest.mark.parametrize("changes", [{"email": None}, {"email_verified": False}])
def test_without_a_verified_address_a_placeholder_is_used(changes: dict[str, object]) -> None:
    """An unverified address would be taken from its real owner."""
    users = [find_or_create_user(_claims(subject, **changes)) for subject in ("anna", "bert")]

    assert len({user.email for user in users}) == 2
    for user in users:
        assert user.email.endswith("@users.invalid")
        assert user.is_verified is False


def test_unknown_subjects_are_rejected_if_registration_is_off(trust: Trust) -> None:
    trust(ISSUER)

    with pytest.raises(Forbidden) as refused:
        find_or_create_user(_claims())

    assert refused.value.message == (
        "No account matches this token, and automatic registration is off."
    )
    assert User.objects.count() == 0


def test_known_users_are_authenticated_if_registration_is_off(trust: Trust, viewer: User) -> None:
    trust(ISSUER)
    ForeignIdentity.objects.create(issuer=ISSUER, subject="anna", user=viewer)

    assert find_or_create_user(_claims(email=None)).pk == viewer.pk


def test_a_user_of_that_provider_is_known_until_disconnected(trust: Trust, viewer: User) -> None:
    trust(ISSUER)
    viewer.identities.create(provider="work", issuer=ISSUER, subject="anna")
    viewer.identities.create(provider="else", issuer="https://else.example", subject="bert")

    assert find_or_create_user(_claims(email=None)).pk == viewer.pk
    assert not ForeignIdentity.objects.exists()
    with pytest.raises(Forbidden):
        find_or_create_user(_claims("bert"))

    viewer.identities.all().delete()
    with pytest.raises(Forbidden):
        find_or_create_user(_claims())


@pytest.mark.parametrize(
    ("changes", "is_admitted"),
    [
        ({}, True),
        ({"email": "anna@sub.example.com"}, False),
        ({"email": None}, False),
        ({"email_verified": False}, False),
    ],
)
def test_the_allow_list_applies_to_verified_addresses(
    trust: Trust, changes: dict[str, object], is_admitted: bool
) -> None:
    trust(ISSUER, AUTH_JWT_REGISTRATION=True, ALLOWED_EMAILS=("example.com",))

    if is_admitted:
        assert find_or_create_user(_claims(**changes)).email == "anna@example.com"
    else:
        with pytest.raises(Forbidden):
            find_or_create_user(_claims(**changes))
        assert User.objects.count() == 0


@pytest.mark.usefixtures("registration")
def test_the_last_use_is_written_once_an_hour(
    at_time: Callable[[timedelta], datetime], django_assert_num_queries: Any
) -> None:
    find_or_create_user(_claims())
    first = ForeignIdentity.objects.get().last_seen_at

    at_time(timedelta(minutes=59))
    with django_assert_num_queries(1):
        find_or_create_user(_claims())
    assert ForeignIdentity.objects.get().last_seen_at == first
    now = at_time(timedelta(minutes=61))
    with django_assert_num_queries(2):
        find_or_create_user(_claims())
    assert ForeignIdentity.objects.get().last_seen_at >= now
    with django_assert_num_queries(1):
        find_or_create_user(_claims())


@pytest.mark.usefixtures("registration")
def test_the_second_of_two_first_requests_gets_the_account_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = find_or_create_user(_claims())
    real, calls = ForeignIdentity.objects.filter, iter(range(10))
    hidden = ForeignIdentity.objects.none()
    # As for the second request: no user when it reads, but one when it writes.
    monkeypatch.setattr(
        ForeignIdentity.objects,
        "filter",
        lambda **names: hidden if next(calls) < 2 else real(**names),
    )

    for changes in ({}, {"email": None}):
        assert find_or_create_user(_claims(**changes)).pk == first.pk
        calls = iter(range(10))
    assert User.objects.count() == 1


RACE = """
import threading
from datetime import UTC, datetime, timedelta
from django.db import connection
from audit.models import AuditEvent; from accounts.models import User
from api.external_jwt.users import find_or_create_user
from api.external_jwt.verify import ExternalClaims
from api.models import ForeignIdentity
now = datetime.now(UTC)
barrier, found = threading.Barrier(8), []
def come(round):
    claims = ExternalClaims("https://id.example.com", f"subject-{round}", f"a{round}@example.com",
                           True, "Anna", now, now + timedelta(minutes=1), {})
    barrier.wait()
    try:
        found.append((round, str(find_or_create_user(claims).pk)))
    finally:
        connection.close()
for round in range(10):
    threads = [threading.Thread(target=come, args=(round,)) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
result = [len(found), len(set(found)), User.objects.filter(email__startswith="a").count(),
          ForeignIdentity.objects.count(),
          AuditEvent.objects.filter(action="account:user:create", detail__source="jwt").count()]
"""


@pytest.mark.race
def test_concurrent_first_requests_create_one_account(any_data: InstanceData) -> None:
    settings = {
        "AUTH_BACKEND": "jwt",
        "AUTH_JWT_ISSUER": "https://id.example.com",
        "AUTH_JWT_AUDIENCE": "gate",
        "AUTH_JWT_REGISTRATION": "true",
    }

    assert any_data.shell(RACE, **settings) == [80, 10, 10, 10, 10]


def test_the_issuer_of_a_token_is_read_without_trusting_it(
    provider: Provider, trust: Trust
) -> None:
    assert current_policy() is None
    assert is_external(provider.token()) is False
    with pytest.raises(AccessTokenInvalid):
        authenticate(provider.token())

    trust(provider.issuer)

    assert current_policy() is not None
    assert is_external(provider.token(key=SigningKey())) is True
    assert is_external(provider.token(iss="http://localhost:8000")) is False
    assert is_external("not a token") is False
    assert provider.asked == {}


def test_a_token_gives_user_and_claims(provider: Provider, trust: Trust) -> None:
    trust(provider.issuer, AUTH_JWT_REGISTRATION=True)

    user, claims = authenticate(provider.token(email="anna@example.com", email_verified=True))

    assert user.email == "anna@example.com"
    assert (claims.issuer, claims.subject) == (provider.issuer, "anna")
    assert claims.issued_at <= timezone.now()


def test_keys_are_cached_between_requests(provider: Provider, trust: Trust) -> None:
    trust(provider.issuer, AUTH_JWT_REGISTRATION=True)

    for _ in range(5):
        authenticate(provider.token())

    assert provider.asked["/jwks"] == 1


def test_a_taken_address_does_not_fail_the_request(
    monkeypatch: pytest.MonkeyPatch, trust: Trust
) -> None:
    trust(ISSUER, AUTH_JWT_REGISTRATION=True)

    def refuse(*_arguments: object, **_names: object) -> User:
        raise RecordInvalid({"email": ["taken"]})

    monkeypatch.setattr("api.external_jwt.users.save_new", refuse)
    with pytest.raises(Forbidden, match="No account can be created for this token"):
        find_or_create_user(_claims())

"""setup_authentik: what it creates, what it keeps, and how a second run repairs a setup."""

from pathlib import Path

import pytest
from django.core.management import CommandError

from tests.federation.authentik.conftest import APP, Run
from tests.federation.authentik.double import TOKEN, AuthentikDouble
from tests.federation.authentik.records import mapping

REDIRECTS = [
    {"matching_mode": "strict", "url": f"{APP}/oauth/authentik/callback"},
    {"matching_mode": "strict", "url": f"{APP}/api/auth/callback/authentik"},
]
STEPS = [
    "POST /propertymappings/provider/scope/",
    "POST /providers/oauth2/",
    "POST /core/applications/",
]


def _pk(authentik: AuthentikDouble, path: str, **fields: str) -> str:
    [found] = [
        each
        for each in authentik.state[path]
        if all(each[name] == value for name, value in fields.items())
    ]
    return found["pk"]


def test_a_fresh_authentik_gets_provider_and_application(
    authentik: AuthentikDouble, run: Run
) -> None:
    said = run()

    [provider], [application] = authentik.providers, authentik.applications
    names = {each["pk"]: each["scope_name"] for each in authentik.mappings.values()}
    assert sorted(names[pk] for pk in provider["property_mappings"]) == [
        "email",
        "openid",
        "profile",
    ]
    assert provider["redirect_uris"] == REDIRECTS
    assert provider["grant_types"] == ["authorization_code"]
    assert provider["client_type"] == "confidential"
    assert (provider["sub_mode"], provider["issuer_mode"]) == ("hashed_user_id", "per_provider")
    assert provider["signing_key"] == _pk(
        authentik, "/crypto/certificatekeypairs/", name="authentik Self-signed Certificate"
    )
    assert provider["authorization_flow"] == _pk(
        authentik,
        "/flows/instances/",
        slug="default-provider-authorization-implicit-consent",
    )
    assert (application["slug"], application["provider"]) == ("gatehouse", provider["pk"])
    assert said.variables == {
        "AUTHENTIK_ISSUER": f"{authentik.url}/application/o/gatehouse/",
        "AUTHENTIK_CLIENT_ID": provider["client_id"],
        "AUTHENTIK_CLIENT_SECRET": provider["client_secret"],
    }
    assert len(provider["client_secret"]) == 64
    assert provider["client_secret"] not in said.err


@pytest.mark.parametrize("options", [(), ("--verified-email",), ("--name", "Team", "--slug", "t")])
def test_a_second_run_has_nothing_to_do(
    authentik: AuthentikDouble, run: Run, options: tuple[str, ...]
) -> None:
    first = run(*options)
    authentik.sent.clear()

    second = run(*options)

    assert (authentik.changes, second.err) == ([], "Nothing to do.\n")
    secret = first.variables.pop("AUTHENTIK_CLIENT_SECRET")
    assert secret not in second.out
    assert second.variables == {
        name: value for name, value in first.variables.items() if "SECRET" not in name
    }
    assert run(*options, "--show-secret").out == first.out


def test_an_older_version_is_not_sent_what_it_does_not_know(
    authentik: AuthentikDouble, run: Run
) -> None:
    authentik.version = "2024.12.3"

    run()

    assert "grant_types" not in authentik.providers[0]
    authentik.sent.clear()
    assert run().err == "Nothing to do.\n"


@pytest.mark.parametrize("version", ["2026.2.2", "", "a build of our own"])
def test_an_unknown_version_is_determined_by_the_first_run(
    authentik: AuthentikDouble, run: Run, version: str
) -> None:
    """An API that refuses fields it does not know, and has more of them than its number tells."""
    authentik.version = version
    authentik.gives_grant_types = ["authorization_code", "implicit", "refresh_token"]

    run()
    assert authentik.providers[0]["grant_types"] == ["authorization_code"]
    authentik.sent.clear()

    assert run().err == "Nothing to do.\n"
    assert authentik.changes == []


def test_grant_types_come_when_authentik_learns_of_them(
    authentik: AuthentikDouble, run: Run
) -> None:
    authentik.version = "2026.2.2"
    run()
    authentik.version = "2026.5.0"
    authentik.providers[0]["grant_types"] = ["authorization_code", "implicit", "password"]

    said = run()

    assert said.err == "Done: change grant_types of the provider 'Gatehouse'.\n"
    assert authentik.providers[0]["grant_types"] == ["authorization_code"]


def test_a_moved_app_moves_its_redirect_addresses_and_nothing_else(
    authentik: AuthentikDouble, run: Run
) -> None:
    old = run(app="https://old.example.com")

    said = run()

    [change] = authentik.changes[2:]
    assert (change.method, list(change.body)) == ("PATCH", ["redirect_uris"])
    assert authentik.providers[0]["redirect_uris"] == REDIRECTS
    assert "which takes away https://old.example.com/oauth/authentik/callback" in said.err
    assert "AUTHENTIK_CLIENT_SECRET" not in said.variables
    assert old.out.startswith(said.out)


def test_a_wide_pattern_is_replaced_and_sign_out_addresses_stay(
    authentik: AuthentikDouble, run: Run
) -> None:
    leaving = {"matching_mode": "strict", "url": f"{APP}/bye", "redirect_uri_type": "logout"}
    authentik.add_provider(redirect_uris=[{"matching_mode": "regex", "url": ".*"}, leaving])

    run()

    assert authentik.providers[0]["redirect_uris"] == [*REDIRECTS, leaving]


def test_choices_of_the_administrator_are_kept(authentik: AuthentikDouble, run: Run) -> None:
    own = mapping("our email", "email", managed="none")
    extra = authentik.mappings["offline"]
    authentik.state["/propertymappings/provider/scope/"].append(own)
    old_key = _pk(authentik, "/crypto/certificatekeypairs/", name="old VPN")
    provider = authentik.add_provider(
        property_mappings=[own["pk"], extra["pk"]], signing_key=old_key, sub_mode="user_uuid"
    )
    before = dict(provider)

    said = run()

    after = authentik.providers[0]
    kept = [
        "client_id",
        "client_secret",
        "signing_key",
        "sub_mode",
        "authorization_flow",
        "invalidation_flow",
    ]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    names = {each["pk"]: name for name, each in authentik.mappings.items()}
    assert sorted(names[pk] for pk in after["property_mappings"]) == [
        "authentik default OAuth Mapping: OpenID 'openid'",
        "offline",
        "our email",
        "profile",
    ]
    assert said.variables["AUTHENTIK_CLIENT_SECRET"] == before["client_secret"]


def test_a_reassignable_subject_is_replaced(authentik: AuthentikDouble, run: Run) -> None:
    authentik.add_provider(
        sub_mode="user_email", encryption_key=authentik.mappings["offline"]["pk"]
    )

    run()

    provider = authentik.providers[0]
    assert (provider["sub_mode"], provider["encryption_key"]) == ("hashed_user_id", None)


def test_the_verified_email_mapping_can_be_added_and_removed(
    authentik: AuthentikDouble, run: Run
) -> None:
    shipped = authentik.mappings["authentik default OAuth Mapping: OpenID 'email'"]

    run("--verified-email")

    own = authentik.mappings["Gatehouse: verified email"]
    assert '"email_verified": True' in own["expression"]
    attached = authentik.providers[0]["property_mappings"]
    assert (own["pk"] in attached, shipped["pk"] in attached) == (True, False)

    run()

    attached = authentik.providers[0]["property_mappings"]
    assert (own["pk"] in attached, shipped["pk"] in attached) == (False, True)


def test_a_groups_mapping_is_added_if_the_profile_has_none(
    authentik: AuthentikDouble, run: Run
) -> None:
    authentik.mappings["profile"]["expression"] = 'return {"name": request.user.name}'

    run()

    own = authentik.mappings["Gatehouse: groups"]
    assert own["pk"] in authentik.providers[0]["property_mappings"]
    assert run().err == "Nothing to do.\n"


def test_a_changed_own_mapping_is_repaired(authentik: AuthentikDouble, run: Run) -> None:
    run("--verified-email")
    authentik.mappings["Gatehouse: verified email"]["expression"] = "return {}"

    said = run("--verified-email")

    assert said.err == "Done: mend the scope mapping 'Gatehouse: verified email'.\n"
    assert "True" in authentik.mappings["Gatehouse: verified email"]["expression"]


def test_the_secret_changes_only_when_asked(authentik: AuthentikDouble, run: Run) -> None:
    old = run().variables["AUTHENTIK_CLIENT_SECRET"]

    said = run("--rotate-secret")

    new = authentik.providers[0]["client_secret"]
    assert new != old
    assert said.variables["AUTHENTIK_CLIENT_SECRET"] == new
    assert said.err == "Done: change client_secret of the provider 'Gatehouse'.\n"


def test_a_hidden_secret_is_left_to_the_administrator(authentik: AuthentikDouble, run: Run) -> None:
    run()
    authentik.shows_secrets = False

    said = run()

    assert sorted(said.variables) == ["AUTHENTIK_CLIENT_ID", "AUTHENTIK_ISSUER"]
    assert "Authentik does not show the client secret." in said.err
    assert "AUTHENTIK_CLIENT_SECRET" in run("--rotate-secret").variables


@pytest.mark.parametrize(
    ("provider_id", "names"),
    [
        ("openid", ["OPENID_ISSUER", "OPENID_CLIENT_ID", "OPENID_CLIENT_SECRET"]),
        ("oidc", ["OIDC_DISCOVERY_URL", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"]),
    ],
)
def test_other_names_of_settings_have_their_own_callback(
    authentik: AuthentikDouble, run: Run, provider_id: str, names: list[str]
) -> None:
    said = run("--provider-id", provider_id)

    assert list(said.variables) == names
    assert (
        authentik.providers[0]["redirect_uris"][0]["url"] == f"{APP}/oauth/{provider_id}/callback"
    )


def test_a_dry_run_says_each_request_and_changes_nothing(
    authentik: AuthentikDouble, run: Run
) -> None:
    said = run("--dry-run", "--verified-email")

    assert (authentik.changes, authentik.providers, authentik.applications) == ([], [], [])
    assert said.out == ""
    lines = said.err.splitlines()
    for line, step in zip(lines, STEPS, strict=False):
        method, path = step.split()
        assert f": {method} {authentik.url}/api/v3{path} {{" in line
    assert '"client_secret": "(new, not shown)"' in lines[1]
    assert lines[3:] == ["Nothing was changed."]


def test_a_dry_run_of_a_complete_setup_finds_nothing(authentik: AuthentikDouble, run: Run) -> None:
    run()

    assert run("--dry-run").err == "Nothing to do.\n"


@pytest.mark.parametrize("step", STEPS)
def test_a_second_run_completes_an_interrupted_one(
    authentik: AuthentikDouble, run: Run, step: str
) -> None:
    authentik.fail_at(step, 503)
    with pytest.raises(CommandError, match=r"Authentik failed at POST .* \(503\)"):
        run("--verified-email")
    made = [each["client_secret"] for each in authentik.providers]
    authentik.failures.clear()

    said = run("--verified-email")

    assert (len(authentik.providers), len(authentik.applications)) == (1, 1)
    assert list(authentik.mappings).count("Gatehouse: verified email") == 1
    assert made in ([], [said.variables["AUTHENTIK_CLIENT_SECRET"]])
    assert run("--verified-email").err == "Nothing to do.\n"


def test_a_missing_discovery_document_is_reported(authentik: AuthentikDouble, run: Run) -> None:
    authentik.discovery_status = 500

    with pytest.raises(CommandError, match="the discovery document is not there"):
        run()


def test_an_application_without_provider_gets_it(authentik: AuthentikDouble, run: Run) -> None:
    authentik.add_application("gatehouse")

    run()

    assert authentik.applications[0]["provider"] == authentik.providers[0]["pk"]
    assert len(authentik.applications) == 1


def test_another_public_url_is_reported(authentik: AuthentikDouble, run: Run) -> None:
    said = run(app="https://other.example.com")

    assert f"PUBLIC_URL is {APP} here. Set PUBLIC_URL=https://other.example.com" in said.err


def test_write_env_replaces_lines_and_shows_no_secret(
    authentik: AuthentikDouble, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("# ours\nAUTHENTIK_CLIENT_ID=old\nPORT=8000\nAUTHENTIK_CLIENT_ID=older\n")
    file.chmod(0o644)

    said = run("--write-env", str(file))

    provider = authentik.providers[0]
    assert file.read_text() == (
        f"# ours\nPORT=8000\nAUTHENTIK_CLIENT_ID={provider['client_id']}\n"
        f"AUTHENTIK_ISSUER={authentik.url}/application/o/gatehouse/\n"
        f"AUTHENTIK_CLIENT_SECRET={provider['client_secret']}\n"
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert said.out == ""
    assert provider["client_secret"] not in said.err
    assert run("--write-env", str(file)).err == "Nothing to do.\n"
    assert [each.name for each in tmp_path.iterdir()] == [".env"]


def test_a_file_that_cannot_be_written_stops_the_run_before_any_request(
    authentik: AuthentikDouble, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        run("--write-env", str(tmp_path / "no" / "such" / ".env"))

    assert authentik.sent == []


def test_a_token_comes_from_a_file(authentik: AuthentikDouble, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")

    assert "AUTHENTIK_ISSUER" in run("--token-file", str(file)).variables

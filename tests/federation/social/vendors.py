"""Twelve more vendors, as their documentation describes their addresses and answers."""

from typing import Any, NamedTuple

EMAIL = "anna@example.org"


class Vendor(NamedTuple):
    """addresses: what (authorize, token, profile, …) -> (host, path). documents: what -> answer.

    subject, name, email, is_verified: what Gatehouse is to read from that.
    """

    addresses: dict[str, tuple[str, str]]
    documents: dict[str, Any]
    subject: str
    name: str = "Anna Vogel"
    email: str = EMAIL
    is_verified: bool = False


def _at(host: str, **paths: str) -> dict[str, tuple[str, str]]:
    return {what: (host, path) for what, path in paths.items()}


VENDORS = {
    "gitlab": Vendor(
        _at(
            "gitlab.com",
            authorize="/oauth/authorize",
            token="/oauth/token",
            profile="/api/v4/user",
        ),
        {"profile": {"id": 1, "username": "anna", "name": "Anna Vogel", "email": EMAIL,
                     "confirmed_at": "2012-05-23T09:05:22Z"}},
        "1",
    ),
    "microsoft": Vendor(
        {
            **_at(
                "login.microsoftonline.com",
                authorize="/common/oauth2/v2.0/authorize",
                token="/common/oauth2/v2.0/token",
            ),
            "profile": ("graph.microsoft.com", "/v1.0/me"),
        },
        {"profile": {"id": "c0-ffee", "displayName": "Anna Vogel", "givenName": "Anna",
                     "surname": "Vogel", "mail": None, "userPrincipalName": EMAIL}},
        "c0-ffee",
    ),
    "slack": Vendor(
        {
            "authorize": ("slack.com", "//openid/connect/authorize"),
            "token": ("slack.com", "/api/openid.connect.token"),
            "profile": ("slack.com", "/api/openid.connect.userInfo"),
        },
        {"profile": {"ok": True, "sub": "U1", "https://slack.com/user_id": "U1",
                     "https://slack.com/team_id": "T1", "email": EMAIL, "email_verified": True,
                     "name": "Anna Vogel"}},
        "T1_U1",
        is_verified=True,
    ),
    "twitch": Vendor(
        {
            **_at("id.twitch.tv", authorize="/oauth2/authorize", token="/oauth2/token"),
            "profile": ("api.twitch.tv", "/helix/users"),
        },
        {"profile": {"data": [{"id": "141981764", "login": "anna", "display_name": "Anna Vogel",
                               "email": EMAIL}]}},
        "141981764",
    ),
    "spotify": Vendor(
        {
            **_at("accounts.spotify.com", authorize="/authorize", token="/api/token"),
            "profile": ("api.spotify.com", "/v1/me"),
        },
        {"profile": {"id": "wizzler", "display_name": "Anna Vogel", "email": EMAIL}},
        "wizzler",
    ),
    "bitbucket_oauth2": Vendor(
        {
            **_at(
                "bitbucket.org",
                authorize="/site/oauth2/authorize",
                token="/site/oauth2/access_token",
            ),
            **_at("api.bitbucket.org", profile="/2.0/user", emails="/2.0/user/emails"),
        },
        {
            "profile": {"account_id": "557058:c0", "display_name": "Anna Vogel",
                        "username": "anna"},
            "emails": {"values": [
                {"email": "old@example.org", "is_primary": False, "is_confirmed": True},
                {"email": EMAIL, "is_primary": True, "is_confirmed": True},
            ]},
        },
        "557058:c0",
    ),
    "dropbox": Vendor(
        {
            "authorize": ("www.dropbox.com", "/oauth2/authorize"),
            **_at(
                "api.dropbox.com",
                token="/oauth2/token",
                profile="/2/users/get_current_account",
            ),
        },
        {"profile": {"account_id": "dbid:AA", "email": EMAIL, "email_verified": True,
                     "name": {"display_name": "Anna Vogel"}}},
        "dbid:AA",
    ),
    "notion": Vendor(
        _at("api.notion.com", authorize="/v1/oauth/authorize", token="/v1/oauth/token"),
        {"token": {"workspace_id": "w-1", "owner": {"type": "user", "user": {
            "id": "n-1", "name": "Anna Vogel", "person": {"email": EMAIL}}}}},
        "user-n-1_workspace-w-1",
    ),
    "linkedin_oauth2": Vendor(
        {
            **_at(
                "www.linkedin.com",
                authorize="/oauth/v2/authorization",
                token="/oauth/v2/accessToken",
            ),
            **_at("api.linkedin.com", profile="/v2/me", emails="/v2/emailAddress"),
        },
        {
            "profile": {
                "id": "yrZCpj2Z12",
                "firstName": {"localized": {"en_US": "Anna"},
                              "preferredLocale": {"country": "US", "language": "en"}},
                "lastName": {"localized": {"en_US": "Vogel"},
                             "preferredLocale": {"country": "US", "language": "en"}},
            },
            "emails": {"elements": [{"handle": "urn:li:emailAddress:1",
                                     "handle~": {"emailAddress": EMAIL}}]},
        },
        "yrZCpj2Z12",
    ),
    "kakao": Vendor(
        {
            **_at("kauth.kakao.com", authorize="/oauth/authorize", token="/oauth/token"),
            "profile": ("kapi.kakao.com", "/v2/user/me"),
        },
        {"profile": {"id": 123456789, "properties": {"nickname": "Anna Vogel"},
                     "kakao_account": {"profile": {"nickname": "Anna Vogel"}, "email": EMAIL,
                                       "is_email_valid": True, "is_email_verified": True}}},
        "123456789",
        name="",
        is_verified=True,
    ),
    "zoom": Vendor(
        {
            **_at("zoom.us", authorize="/oauth/authorize", token="/oauth/token"),
            "profile": ("api.zoom.us", "/v2/users/me"),
        },
        {"profile": {"id": "KdYKjnimT4KPd8FFgQt9FQ", "first_name": "Anna", "last_name": "Vogel",
                     "email": EMAIL, "verified": 1}},
        "KdYKjnimT4KPd8FFgQt9FQ",
    ),
    "reddit": Vendor(
        {
            **_at("www.reddit.com", authorize="/api/v1/authorize", token="/api/v1/access_token"),
            "profile": ("oauth.reddit.com", "/api/v1/me"),
        },
        {"profile": {"name": "None_shall_pass", "id": "abc"}},
        "None_shall_pass",
        email="",
    ),
}  # fmt: skip

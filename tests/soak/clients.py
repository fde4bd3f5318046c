"""Clients, each of which runs short stories with new users on both nodes."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.soak.calls import AccessDenied, Caller, PlannedRequest, Unsure, has_session
from tests.soak.deployment import Deployment
from tests.soak.journal import Credential, Journal, TestUser

API = "/api/v1"
CHECKED = {"X-Original-URL": "https://app.example.com/board", "X-Original-Method": "GET"}


class Client:
    """Actions of users and administrators. Each method sends one request, or a few."""

    def __init__(self, deployment: Deployment, journal: Journal, seed: int) -> None:
        self.deployment, self.journal = deployment, journal
        self.caller = Caller(deployment.urls, journal, seed)
        self.random = self.caller.random
        self.over = threading.Event()
        # The users of the current story.
        self.made: list[TestUser] = []

    def owner(self, method: str, path: str, body: Any = None) -> PlannedRequest:
        return PlannedRequest(
            method, f"{API}/{path}", {"X-API-Key": self.deployment.owner_key}, body
        )

    def new_user(self, role: str = "editor") -> TestUser:
        person = TestUser(
            f"p{secrets.token_hex(6)}@example.com", password=secrets.token_urlsafe(18)
        )
        self.add(person)
        body = {"email": person.email, "password": person.password, "role": role,
                "is_verified": True}  # fmt: skip
        answer = self.act(person, "make person", self.owner("POST", "users", body),
                          "account:user:create")  # fmt: skip
        person.id = json.loads(answer)["id"]
        person.live.append(Credential("password", person.email, person.password))
        return person

    def had_the_time(self) -> bool:
        """Were all clocks right since the story began?"""
        return self.journal.was_clock_right_since(self.caller.story_began)

    def add(self, person: TestUser) -> None:
        self.made.append(person)
        self.journal.people.append(person)

    def act(self, person: TestUser, kind: str, planned: PlannedRequest, audit: str = "") -> str:
        """Send a request; returns the body of the response. Raises Unsure, AccessDenied."""
        answer, _cookies = self.caller.act(kind, planned, person=person.email, audit=audit)
        return answer.text

    def sign_in_by_tokens(self, person: TestUser, login: str = "") -> tuple[Credential, Credential]:
        """Sign in; returns the access and the refresh token."""
        body = {"login": login or person.email, "password": person.password}
        planned = PlannedRequest("POST", f"{API}/auth/token", body=body)
        text = self.act(person, "sign in by tokens", planned, "account:session:start")
        return self.pair(person, text)

    def pair(self, person: TestUser, text: str) -> tuple[Credential, Credential]:
        """The tokens of a response, which are valid from now on."""
        given = json.loads(text)
        access = Credential("access", person.email, given["access"])
        refresh = Credential("refresh", person.email, given["refresh"])
        person.live += [access, refresh]
        return access, refresh

    def sign_in_by_form(self, person: TestUser) -> Credential:
        fields = {"login": person.email, "password": person.password}
        _answer, cookies = self.caller.act(
            "sign in by form",
            PlannedRequest("POST", "/sign-in", fields=fields),
            person=person.email,
            audit="account:session:start",
            is_done=has_session,
        )
        session = Credential("session", person.email, cookies["gatehouse_session"])
        person.live.append(session)
        return session

    def make_key(self, person: TestUser, access: Credential) -> tuple[str, Credential]:
        """Create a key with an access token; returns its id and the key."""
        planned = PlannedRequest("POST", f"{API}/api-keys", bearer(access), {"name": "soak"})
        given = json.loads(self.act(person, "make key", planned, "api:key:create"))
        key = Credential("key", person.email, given["key"])
        person.live.append(key)
        return given["id"], key

    def use(self, person: TestUser, credential: Credential) -> None:
        """Use it for forward auth and the API on some node. Raises Unsure, AccessDenied."""
        for planned in looks(credential):
            self.act(person, f"use {credential.kind}", planned)

    def end(self, person: TestUser, *kinds: str) -> None:
        """Record that the credentials of these kinds, or all, are invalid from now on."""
        ended = [one for one in person.live if not kinds or one.kind in kinds]
        person.live = [one for one in person.live if one not in ended]
        self.journal.end(ended, time.monotonic())


def bearer(access: Credential) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.secret}"}


def looks(credential: Credential) -> list[PlannedRequest]:
    """Requests that use this credential and change nothing."""
    headers, cookies = {}, {}
    if credential.kind == "key":
        headers = {"X-API-Key": credential.secret}
    elif credential.kind == "access":
        headers = bearer(credential)
    else:
        cookies = {"gatehouse_session": credential.secret}
    return [
        PlannedRequest("GET", "/auth/check", headers | CHECKED, cookies=cookies),
        PlannedRequest("GET", f"{API}/me", headers, cookies=cookies),
    ]


def family_of(access: Credential) -> str:
    """The sign-in that an access token belongs to."""
    payload = access.secret.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims["sid"])


class ClientThread(threading.Thread):
    """Runs random stories until `over` is set."""

    def __init__(
        self, client: Client, stories: list[Callable[[], None]], pause_seconds: float
    ) -> None:
        super().__init__(daemon=True)
        self.client, self.stories, self.pause_seconds = client, stories, pause_seconds

    def run(self) -> None:
        while not self.client.over.is_set():
            self._live(self.client.random.choice(self.stories))
            self.client.over.wait(self.pause_seconds)
        self.client.caller.close()

    def _live(self, story: Callable[[], None]) -> None:
        client, journal = self.client, self.client.journal
        client.caller.story_began, client.made = time.monotonic(), []
        # A connection that a fault has closed would fail only later, without a fault.
        client.caller.close()
        is_sure = True
        try:
            story()
        except (Unsure, AccessDenied):
            is_sure = False
        except (ValueError, KeyError) as error:  # an unreadable response is a finding
            is_sure = False
            journal.break_promise(f"{story.__name__}: {type(error).__name__}: {error}")
        for person in client.made:
            person.is_sure = is_sure and self.client.had_the_time()

"""The stories of clients. Each ends with users whose state the final checks can verify."""

import re
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from devtools.servers.processes import wait_for
from tests.servers.ldap import PASSWORD
from tests.soak.calls import Caller, PlannedRequest, Unsure, has_session
from tests.soak.clients import API, Client, bearer
from tests.soak.journal import DONE, REFUSED, UNKNOWN, Credential, TestUser

LINK = re.compile(r"https?://\S+/magic-link/\S+")
MAIL_SECONDS = 3.0
# Longer than the grace period in which two tabs may use the same refresh token.


class Stories:
    """The stories of one client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.other = Caller(client.deployment.urls, client.journal, client.random.randrange(10**9))

    def all(self) -> list[Callable[[], None]]:
        return [
            self.role_changes, self.disabled_account, self.new_password, self.keys, self.link,
            self.browser, self.program, self.ban, self.invitation, self.directory, self.deleted,
            self.stolen_refresh_token, self.signed_out_everywhere,
        ]  # fmt: skip

    def _settled(self, role: str = "editor") -> TestUser:
        """Sign a new user in by browser and tokens, and create a key."""
        client = self.client
        person = client.new_user(role)
        client.sign_in_by_form(person)
        access, _refresh = client.sign_in_by_tokens(person)
        _key_id, key = client.make_key(person, access)
        client.use(person, key)
        return person

    def role_changes(self) -> None:
        client, person = self.client, self._settled()
        planned = client.owner("PATCH", f"users/{person.id}", {"role": "viewer"})
        client.act(person, "change role", planned, "account:role:change")
        client.end(person, "session", "access", "refresh")

    def signed_out_everywhere(self) -> None:
        client = self.client
        person = client.new_user()
        client.sign_in_by_tokens(person)
        client.sign_in_by_form(person)
        planned = client.owner("DELETE", f"users/{person.id}/sessions")
        client.act(person, "sign out everywhere", planned, "account:session:end-all")
        client.end(person, "session", "access", "refresh")

    def disabled_account(self) -> None:
        client, person = self.client, self._settled()
        planned = client.owner("PATCH", f"users/{person.id}", {"is_active": False})
        client.act(person, "disable", planned, "account:user:disable")
        is_enabled_again = client.random.random() < 0.5
        client.end(person, "session", "access", "refresh", "key")
        if not is_enabled_again:
            client.end(person)
            return
        planned = client.owner("PATCH", f"users/{person.id}", {"is_active": True})
        client.act(person, "enable", planned, "account:user:enable")

    def new_password(self) -> None:
        client, person = self.client, self._settled()
        new = secrets.token_urlsafe(18)
        planned = client.owner("POST", f"users/{person.id}/password", {"password": new})
        client.act(person, "set password", planned, "account:password:set")
        client.end(person)
        person.password = new
        person.live.append(Credential("password", person.email, new))
        client.sign_in_by_form(person)

    def keys(self) -> None:
        client = self.client
        person = client.new_user()
        access, _refresh = client.sign_in_by_tokens(person)
        client.make_key(person, access)
        key_id, key = client.make_key(person, access)
        client.use(person, key)
        planned = PlannedRequest("DELETE", f"{API}/api-keys/{key_id}", bearer(access))
        client.act(person, "revoke key", planned, "api:key:revoke")
        person.live.remove(key)
        client.journal.end([key], time.monotonic())

    def link(self) -> None:
        client = self.client
        person = client.new_user()
        planned = PlannedRequest("POST", f"{API}/auth/magic-link", body={"email": person.email})
        client.act(person, "ask for link", planned)
        wait_for(lambda: bool(self._link_path(person)) or client.over.is_set(), MAIL_SECONDS)
        if path := self._link_path(person):
            self._redeem_twice(person, path)

    def _link_path(self, person: TestUser) -> str:
        """The path of the link in the newest mail to the user; "" if there is none yet."""
        for mail in reversed(list(self.client.deployment.mail.mails)):
            if person.email in mail.recipients:
                body = mail.message.get_body(("plain",))
                found = LINK.search(body.get_content()) if body else None
                if found:
                    return urlsplit(found[0]).path
        return ""

    def _redeem_twice(self, person: TestUser, path: str) -> None:
        """Redeem a link on both nodes at once; at most one may sign in."""
        planned = PlannedRequest("POST", path, fields={})
        self.other.close()

        def redeem(caller: Caller, node: int) -> str:
            try:
                answer, cookies = caller.ask(planned, node)
            except Unsure:
                return UNKNOWN
            return cookies["gatehouse_session"] if has_session(answer) else str(answer.status)

        with ThreadPoolExecutor(2) as pool:
            tries = [pool.submit(redeem, self.client.caller, 0), pool.submit(redeem, self.other, 1)]
        self._note_redeemed(person, path, [one.result() for one in tries])

    def _note_redeemed(self, person: TestUser, path: str, results: list[str]) -> None:
        journal, caller = self.client.journal, self.client.caller
        sessions = [one for one in results if one != UNKNOWN and not one.isdigit()]
        if len(sessions) > 1:
            journal.break_promise(f"a link signed in twice: {person.email}")
        is_unknown = UNKNOWN in results or any(one.startswith("5") for one in results)
        outcome = DONE if sessions else UNKNOWN if is_unknown else REFUSED
        for audit in ("link:login:redeem", "account:session:start"):
            caller.note("redeem link", outcome, 0, person=person.email, audit=audit)
        if sessions:
            person.live += [Credential("session", person.email, one) for one in sessions]
            journal.end([Credential("link", person.email, path)], time.monotonic())
        else:
            raise Unsure("link")

    def browser(self) -> None:
        client = self.client
        person = client.new_user("viewer")
        session = client.sign_in_by_form(person)
        client.use(person, session)
        planned = PlannedRequest(
            "POST", "/sign-out", fields={}, cookies={"gatehouse_session": session.secret}
        )
        client.caller.act(
            "sign out",
            planned,
            person=person.email,
            audit="account:session:end",
            is_done=lambda answer: "notice=signed-out" in answer.headers.get("location", ""),
        )
        client.end(person, "session")

    def program(self) -> None:
        client = self.client
        person = client.new_user()
        access, refresh = client.sign_in_by_tokens(person)
        for _turn in range(client.random.randrange(2, 6)):
            planned = PlannedRequest(
                "POST", f"{API}/auth/token/refresh", body={"refresh": refresh.secret}
            )
            text = client.act(person, "refresh", planned)
            person.live.remove(refresh)
            access, refresh = client.pair(person, text)
            client.use(person, access)
        if client.random.random() < 0.6:
            planned = PlannedRequest(
                "POST", f"{API}/auth/token/revoke", body={"refresh": refresh.secret}
            )
            client.act(person, "sign program out", planned, "api:token:end")
            client.end(person, "access", "refresh")

    def stolen_refresh_token(self) -> None:
        client = self.client
        person = client.new_user()
        _access, stolen = client.sign_in_by_tokens(person)
        planned = PlannedRequest(
            "POST", f"{API}/auth/token/refresh", body={"refresh": stolen.secret}
        )
        _access, successor = client.pair(person, client.act(person, "refresh", planned))
        used = PlannedRequest(
            "POST", f"{API}/auth/token/refresh", body={"refresh": successor.secret}
        )
        client.pair(person, client.act(person, "refresh", used))
        person.live.remove(successor)
        answer, _cookies = client.caller.ask(planned, client.caller.pick())
        if answer.status == 200:
            client.journal.break_promise(f"a spent refresh token was taken: {person.email}")
        # A node whose clock is behind refuses the token as issued in the future, without more.
        if answer.status != 401 or not client.had_the_time():
            raise Unsure("reuse")
        client.end(person, "access", "refresh")

    def ban(self) -> None:
        client, person = self.client, self._settled()
        body = {"reason": "soak", "expires_at": None}
        planned = client.owner("POST", f"users/{person.id}/ban", body)
        client.act(person, "ban", planned, "moderation:ban:start")
        is_lifted = client.random.random() < 0.5
        client.end(person, "session", "access", "refresh")
        if not is_lifted:
            client.end(person)
            return
        planned = client.owner("POST", f"users/{person.id}/unban")
        client.act(person, "lift ban", planned, "moderation:ban:lift")
        client.sign_in_by_form(person)

    def invitation(self) -> None:
        client = self.client
        guest = TestUser(f"g{secrets.token_hex(6)}@example.com")
        client.add(guest)
        planned = client.owner("POST", "invitations", {"email": guest.email})
        given = client.act(guest, "invite", planned, "account:invitation:issue")
        self._withdraw(guest, given)

    def _withdraw(self, guest: TestUser, text: str) -> None:
        client = self.client
        found = re.search(r'"id": ?"([^"]+)"', text)
        link = re.search(r"/invitation/[^\"]+", text)
        if found is None or link is None:
            raise ValueError("an invitation without id or link")
        credential = Credential("invitation", guest.email, link[0])
        guest.live.append(credential)
        if client.random.random() < 0.7:
            planned = client.owner("DELETE", f"invitations/{found[1]}")
            client.act(guest, "withdraw", planned, "account:invitation:withdraw")
            client.end(guest)

    def directory(self) -> None:
        client = self.client
        uid = client.random.choice(client.deployment.people)
        person = TestUser(f"{uid}@example.org", password=PASSWORD)
        client.add(person)
        access, _refresh = client.sign_in_by_tokens(person, login=uid)
        client.use(person, access)

    def deleted(self) -> None:
        client, person = self.client, self._settled("viewer")
        planned = client.owner("DELETE", f"users/{person.id}")
        client.act(person, "delete", planned, "account:user:delete")
        client.end(person)

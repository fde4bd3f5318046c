"""A program that has signed in by tokens."""

import json
from collections.abc import Mapping
from typing import Any

from tests.attacks.site import PASSWORD, Site

TOKEN = "/api/v1/auth/token"


class Program:
    """It has signed in by the account's password; access and refresh are its first tokens."""

    def __init__(self, site: Site, email: str) -> None:
        self.email, self.visitor = email, site.visitor()
        self.pair = self.post("", {"email": email, "password": PASSWORD})
        self.access, self.refresh = self.pair["access"], self.pair["refresh"]

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What is answered 200 to a call below auth/token."""
        answer = self.visitor.send("POST", f"{TOKEN}{path}", body)
        assert answer.status == 200, answer.text
        said: dict[str, Any] = json.loads(answer.body)
        return said

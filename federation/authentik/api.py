"""authentik's API as the set-up needs it: read whole lists; make changes, or report them."""

import json
from collections.abc import Callable
from typing import Any

from federation.authentik.http import AuthentikError, Body, Client, Query

PAGE_SIZE = 100
MAX_PAGES = 200
HIDDEN = "(new, not shown)"
Record = dict[str, Any]


class Authentik:
    """Reads records and changes them.

    report: gets one line for each change; with `is_dry` changes are only reported.
    """

    def __init__(
        self, client: Client, report: Callable[[str], None], *, is_dry: bool = False
    ) -> None:
        self.client, self.is_dry = client, is_dry
        self._report = report
        self.changes = 0

    def get(self, path: str) -> Record:
        """One document."""
        return self.client.expect("GET", path)

    def all(self, path: str, **query: str | int) -> list[Record]:
        """Every record of a list, over all its pages. Raises AuthentikFailed."""
        found: list[Record] = []
        page = 1
        for _ in range(MAX_PAGES):
            asked: Query = {**query, "page": page, "page_size": PAGE_SIZE}
            document = self.client.expect("GET", path, query=asked)
            records, following = _page(path, document)
            found += records
            if following <= page:
                return found
            page = following
        raise AuthentikError(f"The list {path} has no end.")

    def change(self, method: str, path: str, body: Body, what: str) -> Record:
        """Send `body`; returns the changed record, in a dry run the body."""
        self.changes += 1
        if self.is_dry:
            shown = {name: HIDDEN if name == "client_secret" else body[name] for name in body}
            url = self.client.url(path)
            self._report(f"Would {what}: {method} {url} {json.dumps(shown, ensure_ascii=False)}")
            return dict(body)
        self.client.hide(str(body.get("client_secret", "")))
        record = self.client.expect(method, path, body=body)
        self._report(f"Done: {what}.")
        return record


def _page(path: str, document: Record) -> tuple[list[Record], int]:
    """The records of one page, and the number of the next page, 0 for none."""
    records, pagination = document.get("results"), document.get("pagination")
    if not isinstance(records, list) or not isinstance(pagination, dict):
        raise AuthentikError(f"The list {path} does not look as Authentik's do. Is it Authentik?")
    return [record for record in records if isinstance(record, dict)], int(
        pagination.get("next") or 0
    )

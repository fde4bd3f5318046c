"""The description of the API as OpenAPI 3.1, made from the views: their needs, shapes and words."""

import copy
import re
from typing import Any

from django.conf import settings
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema as SpectacularSchema

from accounts.roles import Role
from api.permissions import ApiPermission
from api.serializers import Problem
from core.problem_details import PROBLEM_JSON

Document = dict[str, Any]
CREDENTIALS: list[dict[str, Any]] = [
    {"bearer": []},
    {"apiKey": []},
    {"basic": []},
    {"session": []},
]
SAFE = ("GET", "HEAD")
DONE = {"200": "The answer.", "201": "Made.", "202": "Noted.", "204": "Done; nothing to read."}
# Status -> the component of that answer, and when it comes.
PROBLEMS = {
    400: ("Malformed", "The body is not readable JSON."),
    401: ("NotAuthenticated", "No credential, or none that is good: `token_expired`, …"),
    402: ("RecordInvalid", "Fields need attention; `errors` names them."),
    403: (
        "NotAllowed",
        "`forbidden`, `api_key_invalid`, `csrf_failed`, `confirmation_needed`, or a shut account.",
    ),
    404: ("NotFound", "No such record, or none that the caller may see."),
    406: ("NotAcceptable", "Something else than JSON is asked for."),
    413: ("TooLarge", "The body is longer than any record."),
    415: ("NotJson", "The body is of another type than JSON."),
    429: ("TooMany", "Too many calls; `Retry-After` says when the next one counts."),
    500: ("ServerError", "A fault of ours; `request_id` leads to it in the log."),
}
RECORD_INVALID = 402
FRESH = (
    "With a browser's session, or a token made from one, the person must have signed in or "
    "confirmed at `/confirm` in the last 15 minutes, else 403 `confirmation_needed`; API keys and "
    "tokens of a password are not asked."
)
HEADERS = {
    401: {"WWW-Authenticate": "Which credential is wanted."},
    429: {"Retry-After": "Seconds."},
}


class AutoSchema(SpectacularSchema):
    """What each operation of an ApiView is, needs and answers."""

    @property
    def need(self) -> ApiPermission | None:
        """What this method asks of its caller; None is open to everybody."""
        required_permissions: dict[str, ApiPermission | None] = self.view.required_permissions  # type: ignore[attr-defined]  # an ApiView
        return required_permissions[self.method]

    def get_operation_id(self) -> str:
        """For views that give none: the method and the words of the path."""
        words = re.findall(r"[a-z]+", re.sub(r"\{\w+\}", "item", self.path.partition("/v1/")[2]))
        return "_".join([self.method.lower(), *words])

    def get_tags(self) -> list[str]:
        """The first word of the path; what signs in stands together."""
        return [self.path.partition("/v1/")[2].partition("/")[0] or "api"]

    def get_description(self) -> str:  # type: ignore[override]  # as the library has it
        """The view's own words, and what it needs."""
        return f"{super().get_description()}\n\n{need_text(self.need)}"

    def get_auth(self) -> list[dict[str, Any]]:
        return [] if self.need is None else CREDENTIALS

    def get_extensions(self) -> dict[str, Any]:
        """Scope, lowest role and the need of a fresh proof for programs, too."""
        need = self.need
        if need is None:
            return {}
        return {
            "x-scope": str(need.scope),
            "x-role": str(need.min_role),
            "x-recent-authentication": need.is_sensitive,
        }

    def get_operation(self, *args: Any, **kwargs: Any) -> Document | None:
        """Adds every failure that this operation can answer."""
        operation: Document | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        self.resolve_serializer(Problem, "response")
        for status in self._failures(operation):
            name = PROBLEMS[status][0]
            shown = settings.API_RECORD_INVALID_STATUS if status == RECORD_INVALID else status
            reference = {"$ref": f"#/components/responses/{name}"}
            operation["responses"].setdefault(str(shown), reference)
        for status, answer in operation["responses"].items():
            if answer.get("description", "-") in ("", "No response body"):
                answer["description"] = DONE.get(status, "The answer.")
        operation["responses"] = dict(sorted(operation["responses"].items()))
        return operation

    def _get_request_body(self, direction: str = "request") -> Document | None:
        """A deletion may want a proof; the library knows bodies of other methods alone."""
        method = self.method
        if method == "DELETE" and self.get_request_serializer() is not None:
            self.method = "POST"
        body: Document | None = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        self.method = method
        return body

    def _failures(self, operation: Document) -> list[int]:
        """The statuses of refusals, from what the operation is made of."""
        in_query = any(each["in"] == "query" for each in operation.get("parameters", ()))
        has_body = "requestBody" in operation
        may_refuse = self.need is not None or self.method not in SAFE
        found = {406, 429, 500}
        found |= {401, 403} if may_refuse else set()
        found |= {404} if "{" in self.path else set()
        found |= {400, 413, 415} if has_body else set()
        found |= {RECORD_INVALID} if in_query or has_body else set()
        return sorted(found)


def need_text(need: ApiPermission | None) -> str:
    """What a caller needs, in one sentence."""
    if need is None:
        return "Open to everybody."
    scope = f"Needs the scope `{need.scope}`"
    words = (
        f"{scope}."
        if need.min_role == Role.NONE
        else f"{scope} and the role {need.min_role} or higher."
    )
    return f"{words} {FRESH}" if need.is_sensitive else words


def add_problems(result: Document, **_options: Any) -> Document:
    """Hook of the generator: the answers that all operations share."""
    responses = result.setdefault("components", {}).setdefault("responses", {})
    for status, (name, description) in PROBLEMS.items():
        responses[name] = {
            "description": description,
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status in HEADERS:
            responses[name]["headers"] = {
                header: {"description": text, "schema": {"type": "string"}}
                for header, text in HEADERS[status].items()
            }
    return result


_made: dict[int, Document] = {}


def document() -> Document:
    """The whole description, the same for every caller; a copy that may be changed."""
    key = settings.API_RECORD_INVALID_STATUS
    if key not in _made:
        with translation.override("en"):
            generator: Any = SchemaGenerator
            _made[key] = generator().get_schema(request=None, public=True)
    return copy.deepcopy(_made[key])

"""The OpenAPI 3.1 description of the API, generated from the views."""

import copy
import re
from typing import Any

from django.conf import settings
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema as SpectacularSchema

from accounts.roles import Role
from api.permissions import Requirements, requirements_of
from api.serializers import HeldRecord, Problem
from core.web.problem_details import JSON, PROBLEM_JSON

Document = dict[str, Any]
SAFE = ("GET", "HEAD")
DEFAULT_DESCRIPTIONS = {"200": "OK.", "201": "Created.", "202": "Accepted.", "204": "Done."}
# Status -> name and description of the response component.
PROBLEMS = {
    400: ("Malformed", "The body is not valid JSON."),
    401: ("NotAuthenticated", "No credential, or an invalid one: `token_expired`, …"),
    402: ("RecordInvalid", "Fields need attention; `errors` names them."),
    403: (
        "NotAllowed",
        "`forbidden`, `api_key_invalid`, `csrf_failed`, `confirmation_needed`, `banned`, …",
    ),
    404: ("NotFound", "No such record, or not visible to the caller."),
    406: ("NotAcceptable", "The client does not accept JSON."),
    413: ("TooLarge", "The body is too large."),
    415: ("NotJson", "The media type of the body is not JSON."),
    429: ("TooMany", "Too many requests; `Retry-After` says when to try again."),
    500: ("ServerError", "Internal error; look `request_id` up in the log."),
}
RECORD_INVALID = 402
# The answer to an act that waits for a second owner.
HELD = {
    "description": "It concerns an owner, and a second owner must confirm it: "
    "`two_person_required`. Nothing has changed yet.",
    "content": {JSON: {"schema": {"$ref": "#/components/schemas/HeldRecord"}}},
}
RECENT_AUTHENTICATION_TEXT = (
    "With a browser session, or a token created from one, the user must have signed in or "
    "confirmed at `/confirm` in the last 15 minutes, else 403 `confirmation_needed`. API keys and "
    "tokens of a password are exempt."
)
HEADERS = {
    401: {"WWW-Authenticate": "The expected credential."},
    429: {"Retry-After": "Seconds."},
}


class AutoSchema(SpectacularSchema):
    """Describes each operation of a view."""

    @property
    def permission(self) -> Requirements | None:
        """What this method requires; None if it is open to everyone."""
        return requirements_of(self.view, self.method)

    def is_excluded(self) -> bool:
        """Leave out methods that the view does not permit to anyone."""
        declared = getattr(self.view, "required_permissions", None)
        return declared is not None and self.method not in declared

    def get_operation_id(self) -> str:
        """For views that set none: the method and the words of the path."""
        words = re.findall(r"[a-z]+", re.sub(r"\{\w+\}", "item", self.path.partition("/v1/")[2]))
        return "_".join([self.method.lower(), *words])

    def get_tags(self) -> list[str]:
        """The first segment of the path."""
        return [self.path.partition("/v1/")[2].partition("/")[0] or "api"]

    def get_description(self) -> str:  # type: ignore[override]  # as the library has it
        """The docstring of the method, and its permission."""
        return f"{super().get_description()}\n\n{permission_text(self.permission)}"

    def get_auth(self) -> list[dict[str, Any]]:
        """The security schemes of SPECTACULAR_SETTINGS that the view accepts."""
        if self.permission is None:
            return []
        kinds = self.view.get_authenticators()
        return [{name: []} for kind in kinds for name in getattr(kind, "openapi_schemes", ())]

    def get_extensions(self) -> dict[str, Any]:
        """The permission in machine-readable form."""
        permission = self.permission
        if permission is None:
            return {}
        return {
            "x-scope": permission.scope,
            "x-role": str(permission.min_role),
            "x-recent-authentication": permission.is_sensitive,
        }

    def get_operation(self, *args: Any, **kwargs: Any) -> Document | None:
        """Add the possible error responses."""
        operation: Document | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        self.resolve_serializer(Problem, "response")
        for status in self._failures(operation):
            name = PROBLEMS[status][0]
            shown = settings.API_RECORD_INVALID_STATUS if status == RECORD_INVALID else status
            reference = {"$ref": f"#/components/responses/{name}"}
            operation["responses"].setdefault(str(shown), reference)
        if self.method in getattr(self.view, "held_methods", ()):
            self.resolve_serializer(HeldRecord, "response")
            operation["responses"]["202"] = HELD
        for status, answer in operation["responses"].items():
            if answer.get("description", "-") in ("", "No response body"):
                answer["description"] = DEFAULT_DESCRIPTIONS.get(status, "OK.")
        operation["responses"] = dict(sorted(operation["responses"].items()))
        return operation

    def _get_request_body(self, direction: str = "request") -> Document | None:
        """Support a body for DELETE, which the library ignores."""
        method = self.method
        if method == "DELETE" and self.get_request_serializer() is not None:
            self.method = "POST"
        body: Document | None = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        self.method = method
        return body

    def _failures(self, operation: Document) -> list[int]:
        """Return the statuses of possible errors."""
        in_query = any(each["in"] == "query" for each in operation.get("parameters", ()))
        may_have_body = self.method not in SAFE  # fields are refused where there are none
        may_refuse = self.permission is not None or self.method not in SAFE
        found = {406, 429, 500}
        found |= {401, 403} if may_refuse else set()
        found |= {404} if "{" in self.path else set()
        found |= {400, 413, 415} if may_have_body else set()
        found |= {RECORD_INVALID} if in_query or may_have_body else set()
        return sorted(found)


def permission_text(permission: Requirements | None) -> str:
    """Describe a permission in one sentence."""
    if permission is None:
        return "Open to everyone."
    parts = [f"the scope `{permission.scope}`"] if permission.scope else []
    if permission.min_role != Role.NONE:
        parts.append(f"the role {permission.min_role} or higher")
    words = f"Requires {' and '.join(parts) or 'a credential'}."
    return f"{words} {RECENT_AUTHENTICATION_TEXT}" if permission.is_sensitive else words


def add_problems(result: Document, **_options: Any) -> Document:
    """Postprocessing hook: add the shared error responses."""
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


_documents: dict[int, Document] = {}


def document() -> Document:
    """Return a copy of the OpenAPI document, which is the same for every caller."""
    key = settings.API_RECORD_INVALID_STATUS
    if key not in _documents:
        with translation.override("en"):
            generator: Any = SchemaGenerator
            _documents[key] = generator().get_schema(request=None, public=True)
    return copy.deepcopy(_documents[key])

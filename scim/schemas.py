"""The attributes of users and groups, once: for /Schemas, filters, PATCH, and storing. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

URN = "urn:ietf:params:scim"
USER_URN = f"{URN}:schemas:core:2.0:User"
GROUP_URN = f"{URN}:schemas:core:2.0:Group"
SCHEMA_URN = f"{URN}:schemas:core:2.0:Schema"
RESOURCE_TYPE_URN = f"{URN}:schemas:core:2.0:ResourceType"
CONFIG_URN = f"{URN}:schemas:core:2.0:ServiceProviderConfig"
LIST_URN = f"{URN}:api:messages:2.0:ListResponse"
SEARCH_URN = f"{URN}:api:messages:2.0:SearchRequest"
PATCH_URN = f"{URN}:api:messages:2.0:PatchOp"
ERROR_URN = f"{URN}:api:messages:2.0:Error"
READ_ONLY = "readOnly"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute as RFC 7643, section 7, describes it.

    type: string, boolean, complex, reference or dateTime. subs: of a complex one.
    """

    name: str
    type: str = "string"
    description: str = ""
    multi: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: str = "readWrite"
    returned: str = "default"
    uniqueness: str = "none"
    subs: tuple["Attribute", ...] = ()
    canonical: tuple[str, ...] = ()
    reference_types: tuple[str, ...] = ()

    @property
    def is_read_only(self) -> bool:
        return self.mutability == READ_ONLY

    def sub(self, name: str) -> "Attribute | None":
        """The sub-attribute of this name, in any case."""
        return next((sub for sub in self.subs if sub.name.lower() == name.lower()), None)

    def document(self) -> dict[str, Any]:
        """As /Schemas shows it."""
        found: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "multiValued": self.multi,
            "description": self.description,
            "required": self.required,
            "mutability": self.mutability,
            "returned": self.returned,
        }
        if self.type in ("string", "reference"):
            found |= {"caseExact": self.case_exact, "uniqueness": self.uniqueness}
        if self.canonical:
            found["canonicalValues"] = list(self.canonical)
        if self.reference_types:
            found["referenceTypes"] = list(self.reference_types)
        if self.subs:
            found["subAttributes"] = [sub.document() for sub in self.subs]
        return found


@dataclass(frozen=True, slots=True)
class Schema:
    """A type of resource. ignored: attributes of the standard that are accepted and not kept."""

    urn: str
    name: str
    endpoint: str
    description: str
    attributes: tuple[Attribute, ...]
    ignored: frozenset[str] = field(default=frozenset())

    def find(self, name: str) -> Attribute | None:
        """The attribute of this name in any case, common ones (RFC 7643, section 3.1) too."""
        folded = name.lower()
        both = (*self.attributes, *COMMON)
        return next((each for each in both if each.name.lower() == folded), None)

    def is_ignored(self, name: str) -> bool:
        return name.lower() in self.ignored

    def document(self, base: str) -> dict[str, Any]:
        """As /Schemas shows it."""
        return {
            "schemas": [SCHEMA_URN],
            "id": self.urn,
            "name": self.name,
            "description": self.description,
            "attributes": [each.document() for each in self.attributes],
            "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{self.urn}"},
        }

    def resource_type(self, base: str) -> dict[str, Any]:
        """As /ResourceTypes shows it."""
        return {
            "schemas": [RESOURCE_TYPE_URN],
            "id": self.name,
            "name": self.name,
            "description": self.description,
            "endpoint": self.endpoint,
            "schema": self.urn,
            "meta": {
                "resourceType": "ResourceType",
                "location": f"{base}/ResourceTypes/{self.name}",
            },
        }


COMMON = (
    Attribute("id", case_exact=True, mutability=READ_ONLY, returned="always", uniqueness="server"),
    Attribute("externalId", case_exact=True),
    Attribute("schemas", "reference", multi=True, mutability=READ_ONLY, returned="always"),
    Attribute(
        "meta",
        "complex",
        mutability=READ_ONLY,
        subs=(
            Attribute("resourceType", case_exact=True, mutability=READ_ONLY),
            Attribute("created", "dateTime", mutability=READ_ONLY),
            Attribute("location", "reference", case_exact=True, mutability=READ_ONLY),
            Attribute("version", case_exact=True, mutability=READ_ONLY),
        ),
    ),
)
USER = Schema(
    urn=USER_URN,
    name="User",
    endpoint="/Users",
    description="User account",
    attributes=(
        Attribute(
            "userName",
            description="The name of the user at the system that provisions accounts.",
            required=True,
            uniqueness="server",
        ),
        Attribute(
            "name",
            "complex",
            "The components of the user's name.",
            subs=(
                Attribute("formatted", description="The full name; the same as displayName."),
                Attribute("familyName", description="The family name."),
                Attribute("givenName", description="The given name."),
            ),
        ),
        Attribute("displayName", description="The name that people see."),
        Attribute(
            "active",
            "boolean",
            "False: the account is disabled, and every access ended. New accounts are enabled.",
            required=True,
        ),
        Attribute(
            "emails",
            "complex",
            "The address of the account. One is kept: the primary one, else that of type work. "
            "A new account may have it as userName instead.",
            multi=True,
            required=True,
            subs=(
                Attribute("value", description="The address.", required=True, uniqueness="server"),
                Attribute("type", description="Always work.", canonical=("work",)),
                Attribute("primary", "boolean", "True, unless the client has said false."),
            ),
        ),
        Attribute(
            "groups",
            "complex",
            "The groups into which SCIM has put the user. Change them at /Groups.",
            multi=True,
            mutability=READ_ONLY,
            subs=(
                Attribute("value", description="The id.", case_exact=True, mutability=READ_ONLY),
                Attribute(
                    "$ref",
                    "reference",
                    "The URI of the group.",
                    case_exact=True,
                    mutability=READ_ONLY,
                    reference_types=("Group",),
                ),
                Attribute("display", description="Its displayName.", mutability=READ_ONLY),
                Attribute("type", description="Always direct.", mutability=READ_ONLY,
                          canonical=("direct",)),
            ),
        ),
        Attribute(
            "roles",
            "complex",
            "The role of the account. The setting SCIM_ROLES_MAPPING derives it from groups.",
            multi=True,
            mutability=READ_ONLY,
            subs=(
                Attribute("value", description="The role.", mutability=READ_ONLY),
                Attribute("primary", "boolean", "Always true.", mutability=READ_ONLY),
            ),
        ),
    ),
    ignored=frozenset(
        {"nickname", "profileurl", "title", "usertype", "preferredlanguage", "locale", "timezone",
         "password", "phonenumbers", "ims", "photos", "addresses", "entitlements",
         "x509certificates"}
    ),
)  # fmt: skip
GROUP = Schema(
    urn=GROUP_URN,
    name="Group",
    endpoint="/Groups",
    description="Group",
    attributes=(
        Attribute("displayName", description="The name that people see.", required=True),
        Attribute(
            "members",
            "complex",
            "The users whom SCIM has put into the group.",
            multi=True,
            subs=(
                Attribute("value", description="The id of the user.", case_exact=True,
                          mutability="immutable"),
                Attribute("$ref", "reference", "The URI of the user.", case_exact=True,
                          mutability="immutable", reference_types=("User",)),
                Attribute("type", description="Always User.", mutability="immutable",
                          canonical=("User",)),
            ),
        ),
    ),
)  # fmt: skip
SCHEMAS = (USER, GROUP)
BY_URN: Mapping[str, Schema] = {schema.urn.lower(): schema for schema in SCHEMAS}


def list_response(resources: list[dict[str, Any]], total: int, start: int = 1) -> dict[str, Any]:
    """A ListResponse (RFC 7644, section 3.4.2)."""
    return {
        "schemas": [LIST_URN],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": resources,
    }


def provider_config(base: str, docs_url: str, max_results: int) -> dict[str, Any]:
    """/ServiceProviderConfig (RFC 7643, section 5)."""
    return {
        "schemas": [CONFIG_URN],
        "documentationUri": docs_url,
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": max_results},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "API key as bearer token",
                "description": "An API key with the scope scim: Authorization: Bearer gth_…",
                "primary": True,
            },
            {
                "type": "httpbasic",
                "name": "API key as password",
                "description": "The same key as the password of any user name.",
                "primary": False,
            },
        ],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": f"{base}/ServiceProviderConfig",
        },
    }

"""/Users and /Groups: query, create, read, replace, modify, delete (RFC 7644, section 3)."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from core.errors import NotFound
from scim.bodies import clean_resource, is_wanted, message_of, project
from scim.patch import apply_patch
from scim.queries import filtered, ordered
from scim.resources import (
    Resource,
    group_resource,
    group_resources,
    user_resource,
    user_resources,
    visible_groups,
    visible_users,
)
from scim.schemas import GROUP, SEARCH_URN, USER, Schema, list_response
from scim.services import groups, users
from scim.services.versions import is_version
from scim.views.base import (
    CLIENT,
    COUNT,
    COUNT_MAX,
    ScimView,
    actor_of,
    folded,
    if_match_of,
    names_of,
    number_of,
    resource_response,
    text_of,
)

Parameters = Mapping[str, Any]


class ResourceView(ScimView):
    """What users and groups have in common."""

    resource_schema: ClassVar[Schema]

    def page(self, rows: Any, parameters: Parameters) -> list[Resource]:
        raise NotImplementedError

    def rows(self) -> Any:
        raise NotImplementedError

    def shown(self, resource: Resource, parameters: Parameters) -> Resource:
        """What the parameters ask to see of it."""
        wanted = names_of(parameters, "attributes")
        excluded = names_of(parameters, "excludedAttributes")
        return project(resource, self.resource_schema, wanted, excluded)

    def query(self, parameters: Parameters) -> Response:
        """A page of the resources that the filter selects."""
        rows = filtered(self.rows(), text_of(parameters, "filter"), self.resource_schema)
        is_descending = text_of(parameters, "sortOrder").lower() == "descending"
        sort_by = text_of(parameters, "sortBy")
        found = ordered(rows, sort_by, self.resource_schema, descending=is_descending)
        start = max(1, number_of(parameters, "startIndex", 1))
        count = min(max(0, number_of(parameters, "count", COUNT)), COUNT_MAX)
        page = self.page(found[start - 1 : start - 1 + count], parameters) if count else []
        shown = [self.shown(resource, parameters) for resource in page]
        return Response(list_response(shown, rows.count(), start))

    def answer(self, request: Request, resource: Resource, status: int = 200) -> Response:
        parameters = folded(request.query_params)
        return resource_response(resource, self.shown(resource, parameters), status)

    def read(self, request: Request, resource: Resource) -> Response:
        """The resource; 304 if the client has this version already."""
        header = str(request.headers.get("If-None-Match", ""))
        if header and is_version(resource, header):
            return Response(status=304, headers={"ETag": resource["meta"]["version"]})
        return self.answer(request, resource)


class UserKind(ResourceView):
    """Users."""

    resource_schema = USER

    def rows(self) -> Any:
        return visible_users()

    def page(self, rows: Any, parameters: Parameters) -> list[Resource]:
        return user_resources(rows)


class GroupKind(ResourceView):
    """Groups."""

    resource_schema = GROUP

    def rows(self) -> Any:
        return visible_groups()

    def page(self, rows: Any, parameters: Parameters) -> list[Resource]:
        """Members are read only if they are a part of the answer."""
        wanted = names_of(parameters, "attributes")
        excluded = names_of(parameters, "excludedAttributes")
        return group_resources(rows, with_members=is_wanted("members", GROUP, wanted, excluded))


class UsersView(UserKind):
    """All users."""

    required_permissions = {"GET": CLIENT, "POST": CLIENT}

    def get(self, request: Request) -> Response:
        """Users that match the filter."""
        return self.query(folded(request.query_params))

    def post(self, request: Request) -> Response:
        """Create a user."""
        body = clean_resource(request.data, USER)
        user = users.create_user(actor=actor_of(request), resource=body)
        return self.answer(request, user_resource(user), 201)


class UserView(UserKind):
    """One user."""

    required_permissions = {"GET": CLIENT, "PUT": CLIENT, "PATCH": CLIENT, "DELETE": CLIENT}

    def get(self, request: Request, user_id: str) -> Response:
        """Read a user."""
        return self.read(request, user_resource(users.find_user(id_of(user_id))))

    def put(self, request: Request, user_id: str) -> Response:
        """Replace what a client may write."""
        body = clean_resource(request.data, USER)
        return self._changed(request, user_id, lambda _before: body)

    def patch(self, request: Request, user_id: str) -> Response:
        """Change attributes."""
        body = request.data
        return self._changed(request, user_id, lambda before: apply_patch(before, body, USER))

    def _changed(self, request: Request, user_id: str, change: users.Change) -> Response:
        user: User = users.change_user(
            actor=actor_of(request),
            user_id=id_of(user_id),
            change=change,
            if_match=if_match_of(request),
        )
        return self.answer(request, user_resource(user))

    def delete(self, request: Request, user_id: str) -> Response:
        """Disable the account, and show it no more."""
        users.delete_user(
            actor=actor_of(request), user_id=id_of(user_id), if_match=if_match_of(request)
        )
        return Response(status=204)


class GroupsView(GroupKind):
    """All groups."""

    required_permissions = {"GET": CLIENT, "POST": CLIENT}

    def get(self, request: Request) -> Response:
        """Groups that match the filter."""
        return self.query(folded(request.query_params))

    def post(self, request: Request) -> Response:
        """Create a group."""
        body = clean_resource(request.data, GROUP)
        group = groups.create_group(actor=actor_of(request), resource=body)
        return self.answer(request, group_resource(group), 201)


class GroupView(GroupKind):
    """One group."""

    required_permissions = {"GET": CLIENT, "PUT": CLIENT, "PATCH": CLIENT, "DELETE": CLIENT}

    def get(self, request: Request, group_id: str) -> Response:
        """Read a group."""
        return self.read(request, group_resource(groups.find_group(id_of(group_id))))

    def put(self, request: Request, group_id: str) -> Response:
        """Replace the name and all members."""
        body = clean_resource(request.data, GROUP)
        group = self._changed(request, group_id, lambda _before: body)
        return self.answer(request, group_resource(group))

    def patch(self, request: Request, group_id: str) -> Response:
        """Change the name or members; 204, because a group may be large (RFC 7644, 3.5.2)."""
        body = request.data
        group = self._changed(request, group_id, lambda before: apply_patch(before, body, GROUP))
        if "attributes" in folded(request.query_params):
            return self.answer(request, group_resource(group))
        version = group_resource(group)["meta"]["version"]
        return Response(status=204, headers={"ETag": version})

    def _changed(self, request: Request, group_id: str, change: groups.Change) -> Any:
        return groups.change_group(
            actor=actor_of(request),
            group_id=id_of(group_id),
            change=change,
            if_match=if_match_of(request),
        )

    def delete(self, request: Request, group_id: str) -> Response:
        """Take out whom SCIM has put in, and show the group no more."""
        groups.delete_group(
            actor=actor_of(request), group_id=id_of(group_id), if_match=if_match_of(request)
        )
        return Response(status=204)


class UserSearchView(UserKind):
    """A query of users whose parameters stand in the body (RFC 7644, section 3.4.3)."""

    required_permissions = {"POST": CLIENT}

    def post(self, request: Request) -> Response:
        """Users that match the filter."""
        return self.query(message_of(request.data, SEARCH_URN))


class GroupSearchView(GroupKind):
    """The same of groups."""

    required_permissions = {"POST": CLIENT}

    def post(self, request: Request) -> Response:
        """Groups that match the filter."""
        return self.query(message_of(request.data, SEARCH_URN))


def id_of(text: str) -> UUID:
    """Raises NotFound for what is no id: clients send any text (RFC 7644, section 3.4.1)."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None

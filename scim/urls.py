"""URLs of /scim/v2/, without a trailing slash: ApiMiddleware removes one before it resolves."""

from django.urls import path

from scim.views import discovery, resources

app_name = "scim"
NOT_IMPLEMENTED = discovery.NotImplementedView.as_view()
urlpatterns = [
    path("ServiceProviderConfig", discovery.ProviderConfigView.as_view(), name="provider-config"),
    path("ResourceTypes", discovery.ResourceTypesView.as_view(), name="resource-types"),
    path("ResourceTypes/<str:name>", discovery.ResourceTypeView.as_view(), name="resource-type"),
    path("Schemas", discovery.SchemasView.as_view(), name="schemas"),
    path("Schemas/<str:urn>", discovery.SchemaView.as_view(), name="schema"),
    path("Users", resources.UsersView.as_view(), name="users"),
    path("Users/.search", resources.UserSearchView.as_view(), name="search-users"),
    path("Users/<str:user_id>", resources.UserView.as_view(), name="user"),
    path("Groups", resources.GroupsView.as_view(), name="groups"),
    path("Groups/.search", resources.GroupSearchView.as_view(), name="search-groups"),
    path("Groups/<str:group_id>", resources.GroupView.as_view(), name="group"),
    path("Bulk", NOT_IMPLEMENTED, name="bulk"),
    path("Me", NOT_IMPLEMENTED, name="me"),
    path(".search", NOT_IMPLEMENTED, name="search"),
    path("<path:rest>", discovery.UnknownPathView.as_view(), name="unknown"),
]

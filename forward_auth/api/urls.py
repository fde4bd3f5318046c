"""URLs of access rules and refusals below /api/v1/, without a trailing slash."""

from django.urls import path

from forward_auth.api import launcher, refusals, rules, simulation

app_name = "forward_auth_api"
urlpatterns = [
    path("me/apps", launcher.OwnAppsView.as_view(), name="own-apps"),
    path("access-rules", rules.AccessRulesView.as_view(), name="access-rules"),
    path("access-rules/simulate", simulation.SimulationView.as_view(), name="simulate"),
    path("access-rules/<uuid:rule_id>", rules.AccessRuleView.as_view(), name="access-rule"),
    path("access-rules/<uuid:rule_id>/move", rules.AccessRuleMoveView.as_view(), name="move-rule"),
    path("refusals", refusals.RefusalsView.as_view(), name="refusals"),
    path("refusals/<str:reference>", refusals.RefusalView.as_view(), name="refusal"),
]

"""The URLs of Gatehouse with those of an app that a team has added."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.urls import path

from config.urls import handler403, handler404, urlpatterns  # noqa: F401 - read by Django

own_patterns = urlpatterns


@login_required
def reports(request: HttpRequest) -> JsonResponse:
    """The user of the request and their permissions."""
    user = request.user
    acts = ("view", "add", "change", "delete")
    may = [act for act in acts if user.has_perm(f"reports.{act}_report")]
    return JsonResponse({"email": user.email, "may": may, "is_staff": user.is_staff})


urlpatterns = [path("reports", reports), *own_patterns]

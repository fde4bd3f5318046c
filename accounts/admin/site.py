"""The admin panel's site: behind /sign-in and the one gate, with a dashboard as its index."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _

from accounts import gates, stepup
from accounts.admin import dashboard
from accounts.admin.base import lead_back
from accounts.admin.dangers import is_sensitive
from accounts.models import User
from accounts.roles import Role
from accounts.sent_forms import DOUBLE_CLICK, KEEP, do_once


class GatehouseAdminSite(AdminSite):
    """Django's admin without its own doors: no sign-in form, no password form.

    Anonymous visitors go to /sign-in and come back; people below admin get the 403 page.
    """

    site_title = _("Gatehouse admin panel")
    site_header = _("Gatehouse")
    index_title = _("Overview")
    site_url = reverse_lazy("accounts:profile")  # type: ignore[assignment]  # a lazy text
    index_template = "admin/index.html"
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        """The one gate with the floor of an admin; once in a request, however often Django asks."""
        return getattr(request, "may_enter_panel", False) or _refusal(request) is None

    def admin_view(  # type: ignore[override]  # the stubs want a type variable
        self, view: Callable[..., HttpResponse], cacheable: bool = False
    ) -> Callable[..., HttpResponse]:
        """Asks the gate before any page of the panel: 302 to /sign-in, or 403.

        A sensitive act without a fresh proof of who is there leads to /confirm (303) and back. What
        a form asks for is done once, however often it is sent (accounts.sent_forms).
        """
        guarded = super().admin_view(view, cacheable)

        @wraps(view)
        def asked(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            found = _refusal(request)
            if found is not None:
                return render(request, "errors/refused.html", {"error": found}, status=403)
            is_act = is_sensitive(request, self._registry.values())
            if is_act and not stepup.is_fresh(request):
                return stepup.ask(request)
            request.may_enter_panel = True  # type: ignore[attr-defined]  # read by has_permission()

            def work() -> HttpResponse:
                return guarded(request, *args, **options)

            # What takes power away has to work whenever it is asked for.
            lifetime = KEEP if is_act else DOUBLE_CLICK
            return do_once(request, work, partial(lead_back, request), lifetime=lifetime)

        return asked

    def index(  # type: ignore[override]  # the stubs promise a template
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The dashboard."""
        context = dashboard.context() | (extra_context or {})
        return super().index(request, context)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The stock form would be a door without limits and second factors."""
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))

    def logout(  # type: ignore[override]  # a way out of the panel
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_logout")

    def password_change(  # type: ignore[override]  # a way out of the panel
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("accounts:change-password")

    def password_change_done(  # type: ignore[override]  # a way out of the panel
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("accounts:profile")


def _refusal(request: HttpRequest) -> gates.Refusal | None:
    user = request.user if isinstance(request.user, User) else None
    return gates.refusal(user, floor=Role.ADMIN)


site = GatehouseAdminSite(name="admin")

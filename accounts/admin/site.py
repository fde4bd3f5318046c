"""The admin site: behind /sign-in and the access policy, with a dashboard as its index."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _

from accounts import access_policy
from accounts.admin import saved_views, site_pages
from accounts.admin.base import redirect_after_duplicate
from accounts.admin.dashboard import content as dashboard
from accounts.admin.navigation import menu
from accounts.admin.sensitive_actions import describe, is_sensitive
from accounts.admin.undoing import offer_undo
from accounts.models import User
from accounts.roles import Role
from accounts.sent_forms import DOUBLE_CLICK, KEEP, do_once
from accounts.sessions import reauthentication
from audit import audit_log


class GatehouseAdminSite(AdminSite):
    """Django's admin without its own sign-in and password forms.

    Visitors are redirected to /sign-in and back; users below the role admin get the 403 page.
    """

    site_title = _("Gatehouse admin panel")
    site_header = _("Gatehouse")
    index_title = _("Overview")
    site_url = reverse_lazy("accounts:profile")  # type: ignore[assignment]  # a lazy text
    index_template = "admin/index.html"
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        """Ask the access policy for the role admin, once per request, however often Django asks."""
        return getattr(request, "may_use_admin", False) or _refusal(request) is None

    def admin_view(  # type: ignore[override]  # the stubs want a type variable
        self, view: Callable[..., HttpResponse], cacheable: bool = False
    ) -> Callable[..., HttpResponse]:
        """Ask the access policy before any page of the admin: 302 to /sign-in, or 403.

        A sensitive action without recent authentication is redirected to /confirm and back. A form
        is processed once, however often it is sent (accounts.sent_forms).
        """
        guarded = super().admin_view(view, cacheable)

        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            found = _refusal(request)
            if found is not None:
                return render(request, "errors/error.html", {"error": found}, status=403)
            is_action = is_sensitive(request, self._registry.values())
            if is_action and not reauthentication.recently_authenticated(request):
                return reauthentication.ask(request, describe(request, self._registry.values()))
            request.may_use_admin = True  # type: ignore[attr-defined]  # read by has_permission()

            def work() -> HttpResponse:
                with audit_log.collected() as events:
                    response = guarded(request, *args, **options)
                if response.status_code == 302:
                    offer_undo(request, events)
                return response

            # What is exempt takes access away, and must soon work again if it is asked for.
            lifetime = KEEP if is_action else DOUBLE_CLICK
            return do_once(
                request, work, partial(redirect_after_duplicate, request), lifetime=lifetime
            )

        return checked

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page of the admin shows: with the menu, for those who may use it."""
        context = super().each_context(request)
        if self.has_permission(request):
            context |= menu(self._registry.values(), request, site_pages.links(request))
        return context

    def get_urls(self) -> list[Any]:
        return [*saved_views.urls(self), *site_pages.urls(self), *super().get_urls()]

    def index(  # type: ignore[override]  # the stubs promise a template
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The dashboard."""
        context = dashboard.context(request) | (extra_context or {})
        return super().index(request, context)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to /sign-in: Django's own form has no rate limits and no second factors."""
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))

    def logout(  # type: ignore[override]  # a page outside of the admin
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_logout")

    def password_change(  # type: ignore[override]  # a page outside of the admin
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("accounts:change-password")

    def password_change_done(  # type: ignore[override]  # a page outside of the admin
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("accounts:profile")


def _refusal(request: HttpRequest) -> access_policy.DenialReason | None:
    user = request.user if isinstance(request.user, User) else None
    return access_policy.get_denial(user, floor=Role.ADMIN)


site = GatehouseAdminSite(name="admin")

"""The page that creates a key of a service account, and shows it once."""

from uuid import UUID

from django.contrib.admin.helpers import AdminForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.admin.base import acting_admin
from accounts.admin.site import site
from accounts.admin.site_pages import SitePage, add_page
from accounts.forms import is_valid_with
from accounts.models import ServiceAccount, User
from accounts.sent_forms import show_once
from accounts.services.service_accounts import may_manage_keys
from api.apikeys import services
from api.views.keypages import NewKeyForm, check_new_key
from core.errors import Forbidden, GatehouseError
from core.web.single_values import may_repeat

TEMPLATES = "admin/api"


@require_http_methods(["GET", "HEAD", "POST"])
@may_repeat("scopes")
def new_key(request: HttpRequest, key: UUID) -> HttpResponse:
    """A form like that of the account page; POST shows the new key once."""
    user: User | None = User.objects.service_accounts().filter(pk=key).first()
    if user is None:
        raise Http404
    actor = acting_admin(request)
    if not may_manage_keys(actor, user):
        raise Forbidden
    form = NewKeyForm(request.POST if request.method == "POST" else None, user=user)
    if is_valid_with(form, lambda typed: check_new_key(user, form, typed)):
        try:
            issued = services.create_key(actor=actor, user=user, key_request=form.key_request())
        except GatehouseError as error:
            form.add_service_errors(error)
        else:
            context = {"title": _("New key"), "issued": issued}
            context |= _common(request, user)
            page = render(request, f"{TEMPLATES}/service_key_made.html", context)
            return show_once(page, reverse("admin:accounts_serviceaccount_change", args=[user.pk]))
    form.speak_of_another_account()
    table = site._registry[ServiceAccount]
    fields = [(None, {"fields": list(form.fields)})]
    context = {
        "title": _("Create a key"),
        "form": form,
        "adminform": AdminForm(form, fields, {}, model_admin=table),  # type: ignore[arg-type]
    }
    return render(request, f"{TEMPLATES}/service_key.html", _common(request, user) | context)


def _common(request: HttpRequest, user: User) -> dict[str, object]:
    url = reverse("admin:accounts_serviceaccount_change", args=[user.pk])
    return site.each_context(request) | {
        "opts": ServiceAccount._meta,
        "original": user,
        "row_url": url,
        "row_label": user.email,
    }


add_page(
    SitePage(
        "accounts_serviceaccount_new-key",
        "accounts/serviceaccount/<uuid:key>/new-key/",
        new_key,
        help_page="service-accounts",
        act=gettext_lazy("Create a key"),
    )
)

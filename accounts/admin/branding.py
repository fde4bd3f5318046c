"""The page "Appearance": name, logo, accent color and support address of this instance."""

import base64
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.base import GatehouseModelAdmin, acting_admin
from accounts.admin.site import site
from accounts.forms import GatehouseForm
from accounts.services import branding
from accounts.sessions import reauthentication
from core.branding import colors, current
from core.branding.images import MAX_BYTES
from core.branding.values import DEFAULT_COLOR, MAX_NAME, MAX_SUPPORT
from core.errors import RecordInvalid
from core.models import Branding

PAGE = "admin:core_branding_changelist"


class BrandingForm(GatehouseForm):
    """The service validates the meaning of the fields. remove_logo: back to the default mark."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        help_text=gettext_lazy("In headers, titles and mails. Empty: Gatehouse."),
        widget=forms.TextInput(attrs={"maxlength": MAX_NAME, "autocomplete": "organization"}),
    )
    color = forms.CharField(
        label=gettext_lazy("Accent color"),
        required=False,
        max_length=20,
        help_text=gettext_lazy("As #rrggbb. Empty: #0f766e."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": DEFAULT_COLOR}
        ),
    )
    support = forms.CharField(
        label=gettext_lazy("Support address"),
        required=False,
        help_text=gettext_lazy(
            "Whom users ask for help: an email address, or a page with https://. It stands below "
            "each page and in mails."
        ),
        widget=forms.TextInput(
            attrs={"maxlength": MAX_SUPPORT, "autocomplete": "off", "spellcheck": "false"}
        ),
    )
    logo = forms.FileField(
        label=gettext_lazy("Logo"),
        required=False,
        allow_empty_file=True,
        help_text=gettext_lazy(
            "PNG, JPEG or WebP, at most 180 KB and 2000 by 2000 pixels. It stands beside the name, "
            "30 pixels high, on light and on dark. A square one becomes the icon of the browser "
            "tab, too."
        ),
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
    )
    remove_logo = forms.BooleanField(label=gettext_lazy("Remove the logo"), required=False)

    def __init__(self, *args: Any, is_open: bool, **options: Any) -> None:
        """is_open: whether the administrator may change something now."""
        super().__init__(*args, label_suffix="", **options)
        for name, field in self.fields.items():
            variable = branding.locks().get(name.removeprefix("remove_"))
            field.disabled = not is_open or bool(variable)
            if variable:
                text = _("Set by %(variable)s where this server is configured.")
                field.help_text = text % {"variable": variable}
        if not self.initial.get("has_logo") or self.fields["logo"].disabled:
            del self.fields["remove_logo"]

    def changes(self) -> dict[str, Any]:
        """What the service is to store: the fields that are open."""
        cleaned = self.cleaned_data
        found = {
            name: cleaned[name]
            for name in ("name", "color", "support")
            if not self.fields[name].disabled
        }
        if cleaned.get("remove_logo"):
            found["logo"] = b""
        elif cleaned.get("logo") is not None and not self.fields["logo"].disabled:
            # One byte more than allowed is enough to say that it is too large.
            found["logo"] = cleaned["logo"].read(MAX_BYTES + 1) or b"-"
        return found


@admin.register(Branding, site=site)
class BrandingAdmin(GatehouseModelAdmin):
    """One page instead of a list: there is one row."""

    title = gettext_lazy("Appearance")
    menu_group = None
    menu_position = 40
    help_page = "branding"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Branding | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.page)
        return [
            path("", view, name="core_branding_changelist"),
            # The name of a list would exempt the form from recent authentication.
            path("edit/", view, name="core_branding_edit"),
        ]

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show the branding, and change it: for owners who have authenticated recently.

        They are asked before they fill the form in, because a file cannot be kept meanwhile.
        """
        actor = acting_admin(request)
        may_change = branding.may_change(actor)
        is_recent = reauthentication.recently_authenticated(request)
        is_posted = request.method == "POST" and request.path == reverse("admin:core_branding_edit")
        form = self._form(request, is_open=may_change and is_recent, is_posted=is_posted)
        if is_posted and form.is_valid() and self._save(request, form):
            return redirect(PAGE)
        # Another process may have changed it a moment ago.
        shown = current.load()
        confirm = reverse(reauthentication.PAGE) + "?" + urlencode({"next": reverse(PAGE)})
        context = self.admin_site.each_context(request) | {
            "title": self.title,
            "opts": self.opts,
            "form": form,
            "may_change": may_change,
            "confirm_url": confirm if may_change and not is_recent else "",
            "shown": shown,
            "previews": _previews(shown) if shown.color else [],
        }
        status = form.error_status if form.errors else 200
        return render(request, "admin/core/branding/page.html", context, status=status)

    def _form(self, request: HttpRequest, *, is_open: bool, is_posted: bool) -> BrandingForm:
        row, fixed = branding.stored(), current.load()
        locks = branding.locks()
        initial = {
            "name": fixed.name if "name" in locks else row.name,
            "color": fixed.color if "color" in locks else row.color,
            "support": fixed.support if "support" in locks else row.support,
            "has_logo": bool(row.logo),
        }
        data, files = (request.POST, request.FILES) if is_posted else (None, None)
        return BrandingForm(data, files, initial=initial, is_open=is_open)

    def _save(self, request: HttpRequest, form: BrandingForm) -> bool:
        """Whether it is saved; errors are added to the form."""
        try:
            branding.change_branding(actor=acting_admin(request), changes=form.changes())
        except RecordInvalid as error:
            form.add_service_errors(error)
            return False
        messages.success(request, _("The appearance is saved. Every page shows it within seconds."))
        return True


def _previews(brand: current.Brand) -> list[dict[str, str]]:
    """A button and a link in both schemes as pictures, and what became of the color."""
    palette = brand.palette
    found = []
    for label, scheme, shades in (
        (_("Light"), colors.LIGHT, palette.light),
        (_("Dark"), colors.DARK, palette.dark),
    ):
        text = _("Buttons %(fill)s, links %(link)s") % {
            "fill": colors.to_hex(palette.fill),
            "link": colors.to_hex(shades.accent),
        }
        found.append({"label": label, "text": text, "image": _picture(palette, scheme, shades)})
    return found


def _picture(palette: colors.Palette, scheme: colors.Scheme, shades: colors.SchemeColors) -> str:
    """A data URL of an SVG: the policy of our pages allows no inline styles."""
    to_hex = colors.to_hex
    font = 'font-family="system-ui, sans-serif" font-size="16" font-weight="600"'
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="84" viewBox="0 0 320 84">'
        f'<rect width="320" height="84" rx="12" fill="{to_hex(scheme.surface)}"/>'
        f'<rect x="20" y="20" width="132" height="44" rx="10" fill="{to_hex(palette.fill)}" '
        f'stroke="{to_hex(shades.accent)}"/>'
        f'<text x="86" y="48" text-anchor="middle" fill="{to_hex(palette.on_fill)}" {font}>'
        "Aa</text>"
        f'<text x="180" y="48" fill="{to_hex(shades.accent)}" text-decoration="underline" {font}>'
        "Aa Bb Cc</text></svg>"
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"

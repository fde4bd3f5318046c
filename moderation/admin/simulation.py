"""The page "What if": simulate other limits over the stored violations. It only reads."""

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import badge, moment, user_link
from moderation.admin.labels import moments, points, type_label
from moderation.admin.tables import stored_types
from moderation.services.simulation import MAX_DAYS, MAX_EVENTS, Policy, SubjectResult, replay

MAX_SHOWN = 200
DEFAULT_DAYS = 30
MAXIMUM = 1_000_000
MAX_HOURS = 24 * 3650
SCORE = "score-"
CHANGES: dict[str, tuple[str, Any]] = {
    "new": ("bad", gettext_lazy("newly banned")),
    "spared": ("good", gettext_lazy("not banned any more")),
    "same": ("plain", gettext_lazy("banned in both")),
}


class ReplayForm(forms.Form):
    """The values to simulate, with a score field for each stored type of violation."""

    days = forms.IntegerField(
        label=gettext_lazy("Days to replay"),
        min_value=1,
        max_value=MAX_DAYS,
        help_text=gettext_lazy("The last 1 to 90 days."),
    )
    interval = forms.FloatField(
        label=gettext_lazy("Points for a ban"),
        min_value=0.01,
        max_value=MAXIMUM,
        help_text=gettext_lazy("BAN_INTERVAL: with 20, a ban falls at 20, 40, 60."),
    )
    half_life = forms.FloatField(
        label=gettext_lazy("Half-life in hours"),
        min_value=0,
        max_value=MAX_HOURS,
        help_text=gettext_lazy("MODERATION_SCORE_HALF_LIFE. 0: scores never fade."),
    )

    def __init__(self, *args: Any, types: list[str], **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.widget.attrs["step"] = "any"
        self.fields["days"].widget.attrs["step"] = "1"
        for name in types:
            self.fields[f"{SCORE}{name}"] = _score_field(name)

    @property
    def main_fields(self) -> list[forms.BoundField]:
        return [field for field in self if not field.name.startswith(SCORE)]

    @property
    def score_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name.startswith(SCORE)]

    def policy(self) -> Policy:
        """The input of a valid form."""
        typed = self.cleaned_data
        scores = {
            name.removeprefix(SCORE): value
            for name, value in typed.items()
            if name.startswith(SCORE) and value is not None
        }
        return Policy(typed["interval"], timedelta(hours=typed["half_life"]), scores)


def _score_field(name: str) -> forms.FloatField:
    field = forms.FloatField(label=type_label(name), required=False, min_value=0, max_value=MAXIMUM)
    field.widget.attrs |= {"step": "any", "placeholder": _("as stored")}
    return field


def replay_page(request: HttpRequest, common: dict[str, Any]) -> HttpResponse:
    """The form with the current values; if it was sent, also what the values would have done."""
    is_sent = "days" in request.GET
    form = ReplayForm(
        request.GET if is_sent else None, types=stored_types(), initial=_current_values()
    )
    result = _result(form) if is_sent and form.is_valid() else None
    context = {
        "title": _("What if: other limits"),
        "form": form,
        "result": result,
        "maximum": MAX_EVENTS,
    }
    return render(request, "admin/moderation/replay.html", common | context)


def _current_values() -> dict[str, Any]:
    hours = settings.MODERATION_SCORE_HALF_LIFE / timedelta(hours=1)
    return {
        "days": DEFAULT_DAYS,
        "interval": f"{float(settings.BAN_INTERVAL):g}",
        "half_life": f"{hours:g}",
    }


def _result(form: ReplayForm) -> dict[str, Any]:
    found = replay(form.policy(), days=form.cleaned_data["days"], now=timezone.now())
    return {
        "replay": found,
        "rows": [_row(one) for one in found.results[:MAX_SHOWN]],
        "hidden": max(0, len(found.results) - MAX_SHOWN),
    }


def _row(result: SubjectResult) -> dict[str, Any]:
    user = result.user
    return {
        "who": user_link(user.pk, user.email) if user else result.network or result.subject,
        "change": badge(*CHANGES[result.change]),
        "would": moments(result.would),
        "was": moments(result.was),
        "events": result.events,
        "highest": points(result.highest),
        "good": moment(result.good_sign_in, empty=""),
    }

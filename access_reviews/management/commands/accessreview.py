"""`manage.py accessreview list|start|status|export`"""

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management import CommandError, CommandParser
from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from access_reviews.models import AccessReview
from access_reviews.records import review_records
from access_reviews.services.exports import export_csv, export_records
from access_reviews.services.reviews import ReviewRequest, start_review
from accounts.actors import SYSTEM
from accounts.commands import END_HELP, AccountCommand
from accounts.roles import Role

Scope = AccessReview.Scope


class Command(AccountCommand):
    """List, start, look at and export access reviews."""

    help = (
        "List, start, look at and export access reviews: accessreview list [--open] [--json], "
        "accessreview start NAME --due DUE --reviewer LOGIN [--scope SCOPE] [--role ROLE] "
        "[--group GROUP] [--disable-undecided], accessreview status REVIEW [--json], "
        "accessreview export REVIEW [FILE] [--json]. REVIEW is the id that `list` shows. People "
        "decide in the admin panel or by API. Safe to repeat: each `start` makes "
        "another review, and no file is overwritten. Exits with 1 if nothing was found, started "
        "or written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(
            dest="what", required=True, help="list, start, status or export"
        )
        listing = actions.add_parser("list", help="list reviews, newest first")
        listing.add_argument("--open", action="store_true", help="only those that are open")
        listing.add_argument(
            "--limit", type=int, default=100, help="the most reviews (default: 100)"
        )
        listing.add_argument("--json", action="store_true", help="print one JSON object per line")
        start = actions.add_parser("start", help="make a list of accounts to decide about")
        start.add_argument("name", help="what the review is called")
        start.add_argument("--due", required=True, metavar="DUE", help=END_HELP)
        start.add_argument(
            "--reviewer",
            action="append",
            default=[],
            metavar="LOGIN",
            help="address or user name of an administrator; may be repeated",
        )
        start.add_argument(
            "--scope",
            choices=Scope.values,
            default=Scope.ALL.value,
            help="which accounts; all by default",
        )
        start.add_argument(
            "--role",
            default="",
            choices=[role.value for role in Role],
            help="the lowest role that is reviewed; sets --scope role",
        )
        start.add_argument(
            "--group", default="", help="the group whose members are reviewed; sets --scope group"
        )
        start.add_argument(
            "--disable-undecided",
            action="store_true",
            help="disable accounts without a decision at the due date, except owners",
        )
        status = actions.add_parser("status", help="how far a review is")
        status.add_argument("review", help="its id")
        status.add_argument("--json", action="store_true", help="print one JSON object")
        export = actions.add_parser("export", help="write the accounts with their decisions")
        export.add_argument("review", help="its id")
        export.add_argument(
            "file", nargs="?", default="-", help="the new file; standard output by default"
        )
        export.add_argument(
            "--json", action="store_true", help="one JSON object per line instead of CSV"
        )

    def act(self, **options: Any) -> None:
        actions = {
            "list": self._list,
            "start": self._start,
            "status": self._status,
            "export": self._export,
        }
        actions[options["what"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        found = AccessReview.objects.open() if options["open"] else AccessReview.objects.all()
        records = review_records(found.order_by("-pk")[: max(1, options["limit"])])
        if not records:
            raise CommandError("No reviews found.")
        for record in records:
            self.stdout.write(_json(record) if options["json"] else _line(record))

    def _start(self, options: dict[str, Any]) -> None:
        due_at = self.parse_end("--due", options["due"])
        if due_at is None:
            raise CommandError("--due is missing.")
        wanted = ReviewRequest(
            name=options["name"],
            due_at=due_at,
            scope=_scope(options),
            min_role=options["role"],
            group=options["group"],
            reviewers=[self.find_user(login).pk for login in options["reviewer"]],
            disable_undecided=options["disable_undecided"],
        )
        review = start_review(actor=SYSTEM, wanted=wanted)
        self.stdout.write(str(review.pk))
        (record,) = review_records([review])
        self.stderr.write(f"{record['items']} accounts to decide until {_time(review.due_at)}.")

    def _status(self, options: dict[str, Any]) -> None:
        (record,) = review_records([_find(options["review"])])
        self.stdout.write(_json(record) if options["json"] else _line(record))

    def _export(self, options: dict[str, Any]) -> None:
        review = _find(options["review"])
        lines = (
            (f"{_json(record)}\n" for record in export_records(actor=SYSTEM, review=review))
            if options["json"]
            else export_csv(actor=SYSTEM, review=review)
        )
        if options["file"] == "-":
            for line in lines:
                self.stdout.write(line, ending="")
            return
        path = Path(options["file"])
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise CommandError(f"{path} exists. Choose another name.") from None
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}.") from error
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
        self.stderr.write(f"Written to {path}.")


def _scope(options: dict[str, Any]) -> str:
    """--role and --group say it by themselves."""
    if options["role"] and options["group"]:
        raise CommandError("Use either --role or --group.")
    if options["group"]:
        return Scope.GROUP.value
    return Scope.ROLE.value if options["role"] else str(options["scope"])


def _find(text: str) -> AccessReview:
    try:
        found = AccessReview.objects.filter(pk=UUID(text)).first()
    except ValueError:
        found = None
    if found is None:
        raise CommandError("There is no review with this id; `accessreview list` shows them.")
    return found


def _json(record: dict[str, Any]) -> str:
    return json.dumps(json.loads(JSONRenderer().render(record)), ensure_ascii=False)


def _line(record: dict[str, Any]) -> str:
    done = record["items"] - record["undecided"]
    state = "closed" if record["closed_at"] else "open"
    if not record["closed_at"] and record["due_at"] <= timezone.now():
        state = "overdue"
    return (
        f"{record['id']} {state:<8} {done} of {record['items']} decided, "
        f"due {_time(record['due_at'])}  {record['name']}"
    )


def _time(moment: Any) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"

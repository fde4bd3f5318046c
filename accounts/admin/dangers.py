"""Which acts of the panel want a fresh proof of who is there: one list, asked by the site itself.

What only takes something away from somebody and can be undone (disable, ban, end sessions) is not
in it: an operator must be able to do that at once.
"""

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest

from accounts.admin.actions import is_dangerous_action

# Names of addresses whose POST gives power, hands a secret over or cannot be undone.
PAGES = frozenset(
    {
        "accounts_user_add",
        "accounts_user_change",
        "accounts_user_delete",
        "accounts_user_reset",
        "accounts_user_reset-factors",
        "accounts_invitation_add",
    }
)
# Names of our own actions of the user list; apps say so of theirs, see actions.user_action().
ACTIONS = frozenset(
    {
        "change_role_of_people",
        "start_reset_of_people",
        "reset_factors_of_people",
        "delete_selected",
    }
)


def is_dangerous(request: HttpRequest) -> bool:
    """Does this request of the panel ask for an act that wants a fresh proof?"""
    if request.method != "POST" or request.resolver_match is None:
        return False
    if request.resolver_match.url_name in PAGES:
        return True
    name = request.POST.get("action", "")
    is_on_people = ACTION_CHECKBOX_NAME in request.POST
    return is_on_people and (name in ACTIONS or is_dangerous_action(name))

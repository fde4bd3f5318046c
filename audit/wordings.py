"""What audit.sentences says about each action: one entry for every action name. Pure.

A new action of the audit log needs an entry here; tests/architecture/test_audit_names.py finds the
names in the source. {actor} and {target} are names of users; the other fields are details of the
event.
"""

from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _


class Wording(NamedTuple):
    """The sentences of one action.

    done: what the actor did. own: if the actor is the target. refused: if the result is not
    `success`; without it, a general sentence says that the action was refused.
    """

    done: Any
    own: Any = None
    refused: Any = None


ROLES = {
    "owner": _("owner"),
    "admin": _("admin"),
    "editor": _("editor"),
    "viewer": _("viewer"),
    "none": _("no access"),
}
# Names of methods, kinds of second factors, sources of accounts, and fields of a profile.
TERMS = {
    "password": _("password"),
    "ldap": _("directory"),
    "passkey": _("passkey"),
    "magic_link": _("sign-in link"),
    "magic-link": _("sign-in link"),
    "invitation": _("invitation"),
    "import": _("import of a file"),
    "set_up": _("set-up link"),
    "totp": _("authenticator app"),
    "recovery_code": _("recovery code"),
    "second_factor": _("second factor"),
    "remembered_browser": _("trusted browser"),
    "code": _("code"),
    "first-run": _("first start"),
    "first-sign-up": _("first sign-up"),
    "sign-up": _("sign-up"),
    "command": _("command line"),
    "operator": _("by an administrator"),
    "panel": _("admin panel"),
    "api": _("API"),
    "scim": _("SCIM"),
    "user_name": _("name at the system"),
    "external_id": _("external id"),
    "given_name": _("given name"),
    "family_name": _("family name"),
    "jwt": _("access token of another issuer"),
    "request": _("sign-in page"),
    "email": _("email address"),
    "username": _("user name"),
    "name": _("name"),
    "role": _("role"),
    "url": _("URL"),
    "event_types": _("events"),
    "is_enabled": _("enabled"),
    "disabled": _("the account was disabled"),
    "expired": _("the access had ended"),
    "ban": _("a ban"),
    "network_ban": _("the ban of a network"),
    "attempts": _("wrong codes"),
    "automatic": _("automatic"),
    "manual": _("by an administrator"),
}
REASONS = {
    "admin panel": "",
    "time is up": _("the time is up"),
    "directory": _("the directory says so"),
    "provider": _("the sign-in provider says so"),
    "scim": _("the system that provisions accounts says so"),
    "account_expired": _("the access of the account has ended"),
    "last owner": _("they are the last active owner"),
    "rate_limited": _("too many attempts"),
    "no account": _("there is no such account"),
    "address changed": _("the address has changed"),
    "banned": _("the person is banned"),
    "account_disabled": _("the account is disabled"),
    "service_account": _("a service account does not sign in"),
    "setup_pending": _("the account has not been set up"),
    "email_unverified": _("the address is not verified"),
    "forbidden": _("the role does not allow it"),
    "not_named": _("the app is only for people whom an owner has named"),
    "second_factor_needed": _("there was no second factor"),
    "group_missing": _("the person is in none of the groups of the app"),
    "network_refused": _("the app opens from other networks only"),
    "closed_now": _("the app is closed at this time"),
    "passkey_invalid": _("the answer of the passkey is not valid"),
    "passkey_unknown": _("the passkey is unknown"),
    "passkey_expired": _("the question had expired"),
    "passkey_copied": _("the passkey may have been copied"),
    "token_spent": _("it was used up"),
    "token_ended": _("it had ended"),
    "webhook_gone": _("the receiver answered 410 Gone"),
    "webhook_failing": _("all deliveries failed for five days"),
}
# Types of violations.
LIMITS = {
    "login": _("Sign-in"),
    "registration": _("Sign-up"),
    "magic_link": _("Sign-in links"),
    "reset_password": _("Password reset"),
    "verify_email": _("Address verification"),
    "second_factor": _("Second factor"),
    "message": _("Messages"),
    "concurrent": _("Messages at once"),
    "non_browser": _("Not from a browser"),
    "api": _("API"),
}
# The names of the files in templates/mail.
MAILS = {
    "magic-link": _("Sign-in link"),
    "invitation": _("Invitation"),
    "reset-password": _("Password reset"),
    "verify-email": _("Address verification"),
    "change-email": _("Address change"),
    "email-changed": _("Address changed"),
    "identity-connected": _("Provider connected"),
    "identity-disconnected": _("Provider disconnected"),
    "passkey-added": _("Passkey added"),
    "passkey-removed": _("Passkey removed"),
    "password-changed": _("Password changed"),
    "factor-added": _("Second factor added"),
    "factor-removed": _("Second factor removed"),
    "factors-reset": _("Second factors reset"),
    "recovery-codes-made": _("Recovery codes made"),
    "recovery-code-used": _("Recovery code used"),
    "key-created": _("API key made"),
    "access-ends": _("Access ends"),
    "access-of-people-ends": _("Access of people ends"),
    "access-review": _("Access review"),
    "approval-asked": _("Request for a second owner"),
    "account-exists": _("Account exists already"),
    "account-removed": _("Account removed"),
    "admin-notice": _("Notice to an administrator"),
}
# The kinds of requests for a second owner; see accounts.services.approvals.acts.
ACTS = {
    "role": _("change of role"),
    "create": _("new account"),
    "invite": _("invitation"),
    "edit": _("new address"),
    "change": _("changes of the account"),
    "expiry": _("end of the access"),
    "role-lock": _("keep the role at sign-ins by a provider"),
    "disable": _("disable"),
    "enable": _("enable"),
    "delete": _("delete"),
    "offboard": _("offboard"),
    "reset-password": _("password reset"),
    "reset-factors": _("reset of second factors"),
    "verify": _("mark the address as verified"),
    "undo": _("undo"),
    "ban": _("ban"),
    "lift-ban": _("lift a ban"),
    "lift-bans": _("lift the bans"),
    "link": _("sign-in link"),
    "disconnect": _("disconnect a sign-in method"),
    "review-take-away": _("take away in an access review"),
}
RULE_FIELDS = {
    "name": _("name"),
    "is_enabled": _("in use"),
    "effect": _("allows"),
    "role": _("role"),
    "host": _("host"),
    "path": _("path"),
    "methods": _("methods"),
    "networks": _("networks"),
    "groups": _("groups"),
    "app": _("app"),
    # Of apps.
    "slug": _("short name"),
    "url": _("address"),
    "description": _("description"),
    "initials": _("initials"),
    "position": _("position"),
    "is_listed": _("on the account page"),
    "label": _("label"),
    "proxy": _("proxy"),
    "upstream": _("where the proxy reaches it"),
    "openid_kind": _("kind for OpenID Connect"),
    "redirect_uris": _("redirect URIs"),
    "logout_uris": _("addresses after signing out"),
    "is_trusted": _("part of the team"),
    "openid_role": _("lowest role"),
    "openid_people": _("only these people"),
    "openid_second_factor": _("only with a second factor"),
    "id_token_algorithm": _("signature of ID tokens"),
    "signed_userinfo": _("signed answers of userinfo"),
    "subject_type": _("ids of people"),
    "backchannel_logout_uri": _("told of the end of a sign-in at"),
    "frontchannel_logout_uri": _("loaded when people sign out"),
    "openid_networks": _("only from these networks"),
    "openid_hours": _("only at these hours"),
    "service_account": _("acts as"),
    "client_authentication": _("proves to be itself"),
    "client_keys": _("public keys"),
    "client_keys_url": _("address of the public keys"),
    "requires_pushed_requests": _("only pushed requests"),
    "allows_device_flow": _("sign-in by a code on another device"),
    "custom_scopes": _("scopes of your own"),
    "is_public": _("in discovery"),
    "audience": _("API"),
    "apps": _("apps"),
    "max_uses": _("apps at most"),
    "until": _("until"),
}

_CHANGE_EMAIL = Wording(
    _("{actor} changed the email address of {target}."),
    _("{actor} changed their email address."),
    _("A change of the email address of {target} was refused."),
)
_CONFIRM_REFUSED = _("{target} could not confirm that it was them.")

WORDINGS: dict[str, Wording] = {
    # Accounts
    "account:user:create": Wording(
        _("{actor} created the account of {target} with the role {role} ({source})."),
        _("{actor} created their account with the role {role} ({source})."),
    ),
    "account:service:create": Wording(
        _("{actor} created the service account {target} with the role {role} ({source})."),
    ),
    "account:service:hand-over": Wording(
        _("{actor} made another person responsible for the service account {target}."),
    ),
    "account:service:team": Wording(
        _("{actor} changed the group that answers for the service account {target}: {after}."),
    ),
    "account:user:edit": Wording(
        _("{actor} changed the profile of {target}: {fields}."),
        _("{actor} changed their profile: {fields}."),
    ),
    "account:user:delete": Wording(
        _("{actor} deleted the account of {target} (role: {role})."),
        _("{actor} deleted their account (role: {role})."),
    ),
    "account:user:disable": Wording(
        _("{actor} disabled the account of {target}."), _("{actor} disabled their account.")
    ),
    "account:user:enable": Wording(
        _("{actor} enabled the account of {target}."), _("{actor} enabled their account.")
    ),
    "account:user:import": Wording(
        _("{actor} imported a file: {created} accounts created, {updated} changed.")
    ),
    "account:user:export": Wording(_("{actor} exported the data of {count} accounts.")),
    "account:user:offboard": Wording(
        _("{actor} took all access away from {target}."), _("{actor} gave up all their access.")
    ),
    "account:user:rescue": Wording(
        _("{actor} made a link that lets {target} in again. Removed from the way: {mended}.")
    ),
    "account:offboarding:verify": Wording(
        _("All that {target} could enter with was tried, and refused."),
        refused=_("Something that {target} could enter with was tried, and is still accepted."),
    ),
    "account:user:sign-up": Wording(
        _("{target} signed up."),
        refused=_("A sign-up with the address of {target} was refused: the account exists."),
    ),
    "account:user:first-sign-up": Wording(
        _("{target} signed up as the first person."),
        refused=_("A sign-up as the first person was refused: the set-up code was wrong."),
    ),
    "account:role:change": Wording(
        _("{actor} changed the role of {target} from {before} to {after}."),
        _("{actor} changed their role from {before} to {after}."),
        _("A change of the role of {target} was refused."),
    ),
    "account:role:limit": Wording(
        _("{actor} gave {target} the role {after} until {until}, then {then} (before: {before})."),
        _("{actor} limited their role {after} until {until}, then {then} (before: {before})."),
    ),
    "account:expiry:set": Wording(
        _("{actor} set the end of the access of {target} to {until}."),
        _("{actor} set the end of their access to {until}."),
    ),
    "account:expiry:clear": Wording(
        _("{actor} removed the end of the access of {target}."),
        _("{actor} removed the end of their access."),
    ),
    "account:role:keep": Wording(
        _("{actor} protected the role of {target} from changes by providers: {kept}."),
        _("{actor} protected their role from changes by providers: {kept}."),
    ),
    "account:group:create": Wording(_("{actor} created the group “{name}”.")),
    "account:group:change": Wording(
        _("{actor} changed the group “{name}” from {before} to {after}.")
    ),
    "account:group:delete": Wording(
        _("{actor} deleted the group “{name}” (people in it: {count}).")
    ),
    "account:group:restore": Wording(
        _("{actor} restored the group “{name}” (people in it: {count}).")
    ),
    "account:membership:add": Wording(
        _("{actor} added {target} to the group “{group}”."),
        _("{actor} joined the group “{group}”."),
    ),
    "account:membership:limit": Wording(
        _("{actor} added {target} to the group “{group}” until {until}."),
        _("{actor} joined the group “{group}” until {until}."),
    ),
    "account:membership:remove": Wording(
        _("{actor} removed {target} from the group “{group}”."),
        _("{actor} left the group “{group}”."),
    ),
    "account:membership:keep": Wording(
        _("Some groups of {target} stay as they are, because {provider} sent only a part."),
        refused=_("Some groups of {target} stay as they are, because {provider} sent only a part."),
    ),
    "account:membership:end": Wording(
        _("{target} is not in the group “{group}” any more: the time is up."),
    ),
    "scim:user:link": Wording(
        _("{actor} began to manage the account of {target} by SCIM."),
    ),
    "scim:user:change": Wording(
        _("{actor} changed what SCIM keeps of {target}: {fields}."),
    ),
    "scim:user:release": Wording(
        _("{actor} deleted {target} by SCIM. The account stays here, disabled."),
    ),
    "scim:group:link": Wording(
        _("{actor} began to manage the group “{name}” by SCIM."),
    ),
    "scim:group:release": Wording(
        _(
            "{actor} deleted the group “{name}” by SCIM. It stays here, without those whom SCIM "
            "had added."
        ),
    ),
    "account:invitation:issue": Wording(
        _("{actor} sent an invitation with the role {role}."),
    ),
    "account:invitation:accept": Wording(
        _("{target} accepted an invitation with the role {role}."),
    ),
    "account:invitation:withdraw": Wording(
        _("{actor} withdrew an invitation with the role {role}."),
    ),
    "account:approval:ask": Wording(
        _("{actor} asked a second owner to confirm “{act}” for {target}."),
        _("{actor} asked a second owner to confirm “{act}” for themselves."),
    ),
    "account:approval:confirm": Wording(
        _("{actor} confirmed “{act}” for {target} as second owner."),
        _("{actor} confirmed “{act}” for themselves as second owner."),
    ),
    "account:approval:decline": Wording(
        _("{actor} declined “{act}” for {target} as second owner."),
        _("{actor} declined “{act}” for themselves as second owner."),
    ),
    "account:approval:withdraw": Wording(
        _("{actor} withdrew the request for “{act}” for {target}."),
        _("{actor} withdrew the request for “{act}” for themselves."),
    ),
    "account:approval:refuse": Wording(
        _("{actor} confirmed “{act}” for {target}, but it could not be carried out."),
        refused=_("{actor} confirmed “{act}” for {target}, but it could not be carried out."),
    ),
    "account:approval:expire": Wording(
        _("No second owner confirmed “{act}” for {target} in time."),
    ),
    "account:data:export": Wording(
        _("{actor} exported the data of {target}."), _("{actor} exported their data.")
    ),
    "account:set-up:issue": Wording(
        _("{actor} issued the link to set up the account of the first owner.")
    ),
    "account:set-up:complete": Wording(
        _("{target} set up their account and became the first owner.")
    ),
    "account:anonymous-mode:on": Wording(_("{actor} switched sign-in off: everyone is {role}.")),
    "account:anonymous-mode:off": Wording(_("{actor} switched sign-in on again.")),
    "account:anonymous-mode:take-over": Wording(
        _("{target} took over what was created while sign-in was off.")
    ),
    "account:directory:sync": Wording(
        _("{actor} updated accounts from the directory: {disabled} disabled, {roles} new roles."),
    ),
    "account:directory:undo": Wording(
        _("{actor} undid an update from the directory: {enabled} enabled, {roles} former roles."),
    ),
    # Sessions and passwords
    "account:session:start": Wording(
        _("{target} signed in ({methods})."),
        refused=_("A sign-in as {target} was refused ({methods})."),
    ),
    "account:session:end": Wording(
        _("{actor} signed {target} out of one device."), _("{actor} signed out of one device.")
    ),
    "account:session:end-all": Wording(
        _("{actor} signed {target} out everywhere (devices: {count})."),
        _("{actor} signed out everywhere (devices: {count})."),
    ),
    "account:password:change": Wording(
        _("{actor} changed the password of {target}."),
        _("{actor} changed their password."),
        _("A change of the password of {target} was refused: the current password was wrong."),
    ),
    "account:password:set": Wording(_("{actor} set the password of {target}.")),
    "account:password:reset-request": Wording(
        _("{target} asked for a link to reset their password."),
        refused=_("A link to reset the password of {target} was asked for and refused."),
    ),
    "account:password:reset-start": Wording(
        _("{actor} removed the password of {target} and made a link to choose a new one.")
    ),
    "account:password:reset": Wording(_("{target} chose a new password by a link.")),
    # Addresses
    "account:email:verify": Wording(_("{target} verified their email address.")),
    "account:email:prove": Wording(_("{target} verified their email address by another link.")),
    "account:email:vouch": Wording(
        _("{actor} marked the email address of {target} as verified."),
        _("{actor} marked their email address as verified."),
    ),
    "account:email:change-request": Wording(
        _("{target} asked to change their email address."),
        refused=_("A request of {target} to change their email address was refused."),
    ),
    "account:email:change": _CHANGE_EMAIL,
    "account:email:release": Wording(
        _("{target} lost the email address {before}, which belongs to another account at {source}.")
    ),
    # Second factors, passkeys, providers
    "account:confirm:done": Wording(_("{target} confirmed that it was them ({method}).")),
    "account:confirm:code": Wording(
        _("{target} confirmed that it was them by a code."), refused=_CONFIRM_REFUSED
    ),
    "account:confirm:passkey": Wording(
        _("{target} confirmed that it was them by a passkey."), refused=_CONFIRM_REFUSED
    ),
    "account:confirm:password": Wording(
        _("{target} confirmed that it was them by the password."), refused=_CONFIRM_REFUSED
    ),
    "account:factor:add": Wording(
        _("{target} set up a second factor ({kind})."),
        refused=_("{target} could not set up a second factor: the code was wrong."),
    ),
    "account:factor:rename": Wording(_("{target} renamed a second factor ({kind}).")),
    "account:factor:remove": Wording(_("{target} removed a second factor ({kind}).")),
    "account:factor:reset": Wording(
        _("{actor} removed all second factors of {target} ({kinds})."),
    ),
    "account:factor:remember-browser": Wording(
        _("{target} chose to trust a browser, which is asked for no second factor.")
    ),
    "account:factor:forget-browser": Wording(
        _("{actor} made a trusted browser of {target} ask for the second factor again."),
        _("{actor} made one of their trusted browsers ask for the second factor again."),
    ),
    "account:factor:forget-browsers": Wording(
        _("{actor} made all {count} trusted browsers of {target} ask for the second factor again."),
        _("{actor} made all {count} of their trusted browsers ask for the second factor again."),
    ),
    "account:recovery-codes:make": Wording(
        _("{actor} made {count} recovery codes for {target}."),
        _("{actor} made {count} recovery codes."),
    ),
    "account:recovery-codes:use": Wording(_("{target} used a recovery code; codes left: {left}.")),
    "account:passkey:add": Wording(
        _("{target} added a passkey."), refused=_("{target} could not add a passkey.")
    ),
    "account:passkey:rename": Wording(_("{target} renamed a passkey.")),
    "account:passkey:remove": Wording(_("{target} removed a passkey.")),
    "account:identity:connect": Wording(
        _("{target} connected their account with {provider}."),
        refused=_("{target} could not connect an account with {provider}."),
    ),
    "account:identity:disconnect": Wording(
        _("{actor} disconnected {target} from {provider}."),
        _("{actor} disconnected their account from {provider}."),
    ),
    "account:identity:move": Wording(
        _("{actor} moved {count} connections from {before} to {after}."),
    ),
    "settings:provider:switch-off": Wording(
        _("{actor} switched off sign-in through {provider}."),
    ),
    "settings:provider:switch-on": Wording(
        _("{actor} switched on sign-in through {provider}."),
    ),
    "settings:provider:test": Wording(
        _("{actor} tested sign-in through {provider}: it would be admitted."),
        refused=_("{actor} tested sign-in through {provider}: it would be refused."),
    ),
    # Sign-in links
    "link:login:request": Wording(
        _("{target} asked for a sign-in link."),
        refused=_("A sign-in link for {target} was asked for and refused."),
    ),
    "link:login:issue": Wording(
        _("{actor} made a sign-in link for {target} ({source})."),
        _("{actor} made a sign-in link for themselves ({source})."),
    ),
    "link:login:withdraw": Wording(
        _("{actor} withdrew a sign-in link of {target}."),
        _("{actor} withdrew a sign-in link of their own."),
    ),
    "link:login:redeem": Wording(
        _("{target} used a sign-in link."), refused=_("A sign-in link of {target} was refused.")
    ),
    # Moderation
    "moderation:violation:score": Wording(
        _("{target} exceeded a limit ({type}): score {score}, {total} in total."),
    ),
    "moderation:ban:start": Wording(
        _("{actor} banned {target} ({kind})."), refused=_("A ban of {target} was refused.")
    ),
    "moderation:ban:lift": Wording(_("{actor} lifted a ban of {target}.")),
    # API keys, tokens, signing keys
    "api:key:create": Wording(
        _("{actor} made the API key {key} for {target} (may: {scopes})."),
        _("{actor} made the API key {key} (may: {scopes})."),
    ),
    "api:key:rotate": Wording(
        _("{actor} replaced the API key {before} of {target} by {key}."),
        _("{actor} replaced their API key {before} by {key}."),
    ),
    "api:key:revoke": Wording(
        _("{actor} revoked the API key {key} of {target}."),
        _("{actor} revoked their API key {key}."),
    ),
    "api:token:end": Wording(
        _("{actor} signed {target} out of one program."), _("{actor} signed out of one program.")
    ),
    "api:token:reuse": Wording(
        _("A refresh token of {target} was used twice."),
        refused=_("A refresh token of {target} was used twice, so that program was signed out."),
    ),
    "api:signing-key:create": Wording(_("{actor} made the first signing key {kid}.")),
    "api:signing-key:rotate": Wording(
        _("{actor} made a new signing key {kid}; it replaces {replaced}.")
    ),
    "api:signing-key:replace-all": Wording(
        _("{actor} replaced all signing keys by {kid}: {replaced}.")
    ),
    # Access rules
    "sso:rule:create": Wording(_("{actor} made the access rule “{name}”: {after}.")),
    "sso:rule:change": Wording(
        _("{actor} changed the access rule “{name}” from {before} to {after}.")
    ),
    "sso:rule:delete": Wording(_("{actor} deleted the access rule “{name}”: {before}.")),
    "sso:rule:move": Wording(
        _("{actor} moved the access rule “{name}” from place {before} to place {after}.")
    ),
    # Webhooks and notices
    "account:notices:choose": Wording(
        _("{actor} chose which notices {target} gets by mail."),
        _("{actor} chose which notices they get by mail."),
    ),
    "webhook:endpoint:create": Wording(_("{actor} made the webhook “{name}” to {host}.")),
    "webhook:endpoint:change": Wording(
        _("{actor} changed the webhook “{name}” to {host}: {fields}.")
    ),
    "webhook:endpoint:delete": Wording(_("{actor} deleted the webhook “{name}” to {host}.")),
    "webhook:endpoint:rotate": Wording(
        _(
            "{actor} replaced the secret of the webhook “{name}”; the old one ends after "
            "{overlap_hours} hours."
        )
    ),
    "webhook:endpoint:test": Wording(_("{actor} sent a test event to the webhook “{name}”.")),
    "webhook:endpoint:disable": Wording(_("{actor} disabled the webhook “{name}” to {host}.")),
    "webhook:delivery:resend": Wording(
        _("{actor} sent the event {event} ({type}) to the webhook “{name}” again.")
    ),
    # Apps
    "sso:app:create": Wording(_("{actor} added the app “{name}”: {after}.")),
    "sso:app:change": Wording(_("{actor} changed the app “{name}” from {before} to {after}.")),
    "sso:app:delete": Wording(_("{actor} deleted the app “{name}”: {before}.")),
    "sso:app:secret-create": Wording(_("{actor} made the secret …{ending} for the app “{name}”.")),
    "sso:app:secret-import": Wording(
        _("{actor} carried the secret of the app “{name}” over from another system.")
    ),
    "sso:app:secret-rotate": Wording(
        _(
            "{actor} replaced the secret …{before} of the app “{name}” by …{ending}; the old one "
            "ends after {overlap_hours} hours."
        )
    ),
    "sso:app:secret-revoke": Wording(
        _("{actor} revoked the secret …{ending} of the app “{name}”.")
    ),
    "sso:app:authenticate": Wording(
        _("The app “{name}” sent its client id and secret."),
        refused=_("A request as the app “{name}” was refused: its secret is wrong or has ended."),
    ),
    # Sign-ins to apps
    "openid:sign-in:start": Wording(
        _("{actor} signed in to the app “{name}”."),
        refused=_("{target} could not sign in to the app “{name}”."),
    ),
    "openid:scope:create": Wording(_("{actor} made the scope “{name}”: {after}.")),
    "openid:scope:change": Wording(
        _("{actor} changed the scope “{name}” from {before} to {after}.")
    ),
    "openid:scope:delete": Wording(_("{actor} deleted the scope “{name}”: {before}.")),
    "openid:app:register": Wording(
        _("The app “{name}” registered itself with the token “{token}”.")
    ),
    "openid:registration-token:create": Wording(
        _("{actor} made the registration token “{name}”: {after}.")
    ),
    "openid:registration-token:delete": Wording(
        _("{actor} deleted the registration token “{name}”.")
    ),
    "openid:registration-token:use": Wording(
        _("An app registered itself with the token “{name}”."),
        refused=_("An app could not register itself with the token “{name}”."),
    ),
    "openid:access:end": Wording(_("{actor} signed {target} out of the app “{name}”.")),
    "openid:grant:end": Wording(_("The app “{name}” ended a sign-in of {target}.")),
    "openid:grant:reuse": Wording(
        _("A used code or token of {target} was sent again by the app “{name}”."),
        refused=_(
            "A used code or token of {target} was sent again by the app “{name}”, and that sign-in "
            "was ended."
        ),
    ),
    # Access reviews
    "review:access:start": Wording(
        _("{actor} started the access review “{name}” of {items} accounts.")
    ),
    "review:access:close": Wording(
        _("{actor} closed the access review “{name}”; not decided: {undecided}.")
    ),
    "review:access:export": Wording(_("{actor} exported the access review “{name}”.")),
    "review:item:confirm": Wording(
        _("{actor} confirmed the access of {target} in the review “{name}” (role: {role})."),
        _("{actor} confirmed their own access in the review “{name}” (role: {role})."),
    ),
    "review:item:take-away": Wording(
        _("{actor} took access away from {target} in the review “{name}” (role before: {role})."),
        _("{actor} took access away from themselves in the review “{name}” (role before: {role})."),
    ),
    # Mail, instance
    "instance:branding:change": Wording(
        _("{actor} changed the appearance from {before} to {after}.")
    ),
    "instance:configuration:apply": Wording(
        _(
            "{actor} applied the configuration file {digest} (created: {created}, changed: "
            "{changed}, removed: {removed})."
        )
    ),
    "mail:outbox:dead": Wording(
        _("A mail to {target} could not be sent ({kind})."),
        refused=_("A mail to {target} could not be sent ({kind})."),
    ),
    "mail:outbox:retry": Wording(
        _("{actor} queued a mail to {target} again ({kind})."),
        _("{actor} queued a mail to themselves again ({kind})."),
    ),
    "mail:test:send": Wording(
        _("{actor} sent a test mail."), refused=_("A test mail of {actor} could not be sent.")
    ),
    "instance:restore": Wording(
        _("{actor} restored a backup; everything older was revoked (people: {people}).")
    ),
}

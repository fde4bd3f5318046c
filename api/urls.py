"""URLs of /api/v1/, without a trailing slash.

ApiMiddleware removes a trailing slash before it resolves a path.
"""

from django.urls import path

from api.views import (
    actions,
    apikeys,
    approvals,
    audit,
    branding,
    bulk,
    groups,
    invitations,
    links,
    mail,
    me,
    moderation,
    offboarding,
    reference,
    service_accounts,
    tokens,
    user_access,
    users,
)

app_name = "api"
urlpatterns = [
    path("me", me.MeView.as_view(), name="me"),
    path("me/sessions", me.OwnSessionsView.as_view(), name="own-sessions"),
    path("me/sessions/<uuid:session_id>", me.OwnSessionView.as_view(), name="own-session"),
    path("me/export", me.OwnExportView.as_view(), name="own-export"),
    path("auth/token", tokens.TokenView.as_view(), name="token"),
    path("auth/token/refresh", tokens.RefreshView.as_view(), name="refresh-token"),
    path("auth/token/revoke", tokens.RevocationView.as_view(), name="revoke-token"),
    path("auth/token/session", tokens.SessionTokenView.as_view(), name="session-token"),
    path("auth/magic-link", links.MagicLinkView.as_view(), name="ask-magic-link"),
    path("api-keys", apikeys.KeysView.as_view(), name="api-keys"),
    path("api-keys/<str:key_id>", apikeys.KeyView.as_view(), name="api-key"),
    path("api-keys/<str:key_id>/rotate", apikeys.KeyRotationView.as_view(), name="rotate-api-key"),
    path("users", users.UsersView.as_view(), name="users"),
    path("users/import", bulk.UserImportView.as_view(), name="import-users"),
    path("users/export", bulk.UserExportView.as_view(), name="export-users"),
    path(
        "service-accounts",
        service_accounts.ServiceAccountsView.as_view(),
        name="service-accounts",
    ),
    path("users/<uuid:user_id>", users.UserView.as_view(), name="user"),
    path("users/<uuid:user_id>/magic-link", users.UserLinkView.as_view(), name="user-magic-link"),
    path("users/<uuid:user_id>/password", users.UserPasswordView.as_view(), name="user-password"),
    path("users/<uuid:user_id>/ban", moderation.UserBanView.as_view(), name="user-ban"),
    path("users/<uuid:user_id>/unban", moderation.UserUnbanView.as_view(), name="user-unban"),
    path(
        "users/<uuid:user_id>/sessions",
        user_access.UserSessionsView.as_view(),
        name="user-sessions",
    ),
    path(
        "users/<uuid:user_id>/sessions/<uuid:session_id>",
        user_access.UserSessionView.as_view(),
        name="user-session",
    ),
    path("users/<uuid:user_id>/api-keys", user_access.UserKeysView.as_view(), name="user-api-keys"),
    path(
        "users/<uuid:user_id>/api-keys/<str:key_id>",
        user_access.UserKeyView.as_view(),
        name="user-api-key",
    ),
    path(
        "users/<uuid:user_id>/second-factors",
        user_access.UserSecondFactorsView.as_view(),
        name="user-second-factors",
    ),
    path(
        "users/<uuid:user_id>/offboard",
        offboarding.UserOffboardView.as_view(),
        name="user-offboard",
    ),
    path("approvals", approvals.ApprovalsView.as_view(), name="approvals"),
    path("approvals/<uuid:approval_id>", approvals.ApprovalView.as_view(), name="approval"),
    path(
        "approvals/<uuid:approval_id>/confirm",
        approvals.ApprovalConfirmView.as_view(),
        name="confirm-approval",
    ),
    path(
        "approvals/<uuid:approval_id>/decline",
        approvals.ApprovalDeclineView.as_view(),
        name="decline-approval",
    ),
    path(
        "approvals/<uuid:approval_id>/withdraw",
        approvals.ApprovalWithdrawView.as_view(),
        name="withdraw-approval",
    ),
    path("invitations/batch", bulk.InvitationListView.as_view(), name="invitation-batch"),
    path("invitations", invitations.InvitationsView.as_view(), name="invitations"),
    path(
        "invitations/<uuid:invitation_id>",
        invitations.InvitationView.as_view(),
        name="invitation",
    ),
    path("groups", groups.GroupsView.as_view(), name="groups"),
    path("groups/<str:group>", groups.GroupView.as_view(), name="group"),
    path("groups/<str:group>/members", groups.GroupMembersView.as_view(), name="group-members"),
    path(
        "groups/<str:group>/members/<uuid:user_id>",
        groups.GroupMemberView.as_view(),
        name="group-member",
    ),
    path("branding", branding.BrandingView.as_view(), name="branding"),
    path("mail/test", mail.TestMailView.as_view(), name="test-mail"),
    path("moderation/violations", moderation.ViolationsView.as_view(), name="violations"),
    path("moderation/bans", moderation.BansView.as_view(), name="bans"),
    path("moderation/bans/<uuid:ban_id>", moderation.BanView.as_view(), name="ban"),
    path("moderation/actions/<str:action>", actions.ActionView.as_view(), name="action"),
    path(
        "moderation/actions/<str:action>/start",
        actions.ActionStartView.as_view(),
        name="action-start",
    ),
    path(
        "moderation/actions/<str:action>/release",
        actions.ActionReleaseView.as_view(),
        name="action-release",
    ),
    path("audit-events", audit.AuditEventsView.as_view(), name="audit-events"),
    path("audit-events/<int:seq>", audit.AuditEventView.as_view(), name="audit-event"),
    path(
        "audit-events/<int:seq>/undo", audit.AuditEventUndoView.as_view(), name="undo-audit-event"
    ),
    path("schema", reference.SchemaView.as_view(), name="schema"),
    path("docs", reference.ReferenceView.as_view(), name="docs"),
]

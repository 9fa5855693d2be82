"""Account pages. Names are without a namespace because settings and templates name `login` everywhere."""

from __future__ import annotations

from django.urls import path

from accounts.views import account, audit, keys, people, registration, sign_in, teams

urlpatterns = [
    path("login/", sign_in.SignIn.as_view(), name="login"),
    path("logout/", sign_in.SignOut.as_view(), name="logout"),
    path("register/", registration.Register.as_view(), name="register"),
    path("password/forgot/", registration.Forgot.as_view(), name="password-forgot"),
    path("password/reset/", registration.Reset.as_view(), name="password-reset"),
    path("account/", account.Account.as_view(), name="account"),
    path("account/name/", account.AccountName.as_view(), name="account-name"),
    path("account/email/", account.AccountEmail.as_view(), name="account-email"),
    path("account/password/", account.AccountPassword.as_view(), name="account-password"),
    path("account/sessions/end/", account.SessionsEnd.as_view(), name="account-sessions-end"),
    path("account/sessions/<uuid:uid>/end/", account.SessionEnd.as_view(), name="account-session-end"),
    path("account/keys/", keys.Keys.as_view(), name="account-keys"),
    path("account/keys/<uuid:uid>/rotate/", keys.KeyRotate.as_view(), name="account-key-rotate"),
    path("account/keys/<uuid:uid>/revoke/", keys.KeyRevoke.as_view(), name="account-key-revoke"),
    path("users/", people.Users.as_view(), name="users"),
    path("users/invite/", people.UserInvite.as_view(), name="user-invite"),
    path("users/<uuid:uid>/change/", people.UserChange.as_view(), name="user-change"),
    path("users/<uuid:uid>/decide/", people.UserDecide.as_view(), name="user-decide"),
    path("users/<uuid:uid>/remove/", people.UserRemove.as_view(), name="user-remove"),
    path("teams/", teams.Teams.as_view(), name="teams"),
    path("teams/<int:pk>/rename/", teams.TeamRename.as_view(), name="team-rename"),
    path("teams/<int:pk>/join/", teams.TeamJoin.as_view(), name="team-join"),
    path("teams/<int:pk>/leave/<uuid:uid>/", teams.TeamLeave.as_view(), name="team-leave"),
    path("teams/<int:pk>/remove/", teams.TeamRemove.as_view(), name="team-remove"),
    path("audit/", audit.Audit.as_view(), name="audit"),
    path("audit/check/", audit.AuditCheck.as_view(), name="audit-check"),
]

"""Account pages. Names are without a namespace because settings and templates name `login` everywhere."""

from __future__ import annotations

from django.urls import path

from accounts.views import account, keys, registration, sign_in

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
]

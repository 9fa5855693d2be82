"""Page routes. Names are without a namespace because templates of all apps name them."""

from __future__ import annotations

from django.urls import URLPattern, path

from connections import views

urlpatterns: list[URLPattern] = [
    path("connections/", views.ConnectionList.as_view(), name="connection-list"),
    path("connections/<slug:slug>/", views.ConnectionDetail.as_view(), name="connection-detail"),
    path("connections/<slug:slug>/test/", views.ConnectionTest.as_view(), name="connection-test"),
    path("connections/<slug:slug>/scan/", views.ConnectionScan.as_view(), name="connection-scan"),
    path("connections/<slug:slug>/query/", views.ConnectionQuery.as_view(), name="connection-query"),
]

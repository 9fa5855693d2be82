"""Page routes. Names are without a namespace because templates of all apps name them."""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts.views import shares
from connections import views
from connections.models import Connection

urlpatterns: list[URLPattern] = [
    path("connections/", views.ConnectionList.as_view(), name="connection-list"),
    path("connections/new/", views.ConnectionNew.as_view(), name="connection-new"),
    path("connections/new/<slug:type>/", views.ConnectionCreate.as_view(), name="connection-create"),
    path("connections/<slug:slug>/", views.ConnectionDetail.as_view(), name="connection-detail"),
    path("connections/<slug:slug>/test/", views.ConnectionTest.as_view(), name="connection-test"),
    path("connections/<slug:slug>/scan/", views.ConnectionScan.as_view(), name="connection-scan"),
    path("connections/<slug:slug>/query/", views.ConnectionQuery.as_view(), name="connection-query"),
    path("connections/<slug:slug>/query/csv/", views.ConnectionExport.as_view(), name="connection-export"),
    path("connections/<slug:slug>/edit/", views.ConnectionEdit.as_view(), name="connection-edit"),
    path("connections/<slug:slug>/archive/", views.ConnectionArchive.as_view(), name="connection-archive"),
    path("connections/<slug:slug>/compare/", views.SnapshotCompare.as_view(), name="connection-compare"),
    path("connections/<slug:slug>/schema.json", views.SchemaIndex.as_view(), name="connection-schema-index"),
    *shares.routes(Connection, "connections"),
]

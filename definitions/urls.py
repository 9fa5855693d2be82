"""Page routes. Names are without a namespace because models and templates of all apps name them."""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts.views import shares
from definitions import views
from definitions.models import Definition

urlpatterns: list[URLPattern] = [
    path("definitions/", views.DefinitionList.as_view(), name="definition-list"),
    path("definitions/<slug:slug>/", views.DefinitionDetail.as_view(), name="definition-detail"),
    *shares.routes(Definition, "definitions"),
]

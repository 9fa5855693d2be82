"""Page routes. Names are without a namespace because settings and templates of all apps name them."""

from __future__ import annotations

from django.urls import URLPattern, path

from monitoring import views

urlpatterns: list[URLPattern] = [
    path("", views.Dashboard.as_view(), name="dashboard"),
    path("search/", views.Search.as_view(), name="search"),
]

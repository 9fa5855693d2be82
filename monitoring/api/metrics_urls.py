"""Routes of metrics; mounted at the root and under /api/v1."""

from __future__ import annotations

from django.urls import path

from monitoring.api import metrics, scrape

urlpatterns = [
    path("metrics", scrape.Scrape.as_view()),
    path("metrics/performance", metrics.Performance.as_view()),
    path("metrics/custom", metrics.Custom.as_view()),
    path("metrics/batch", metrics.Batch.as_view()),
    path("metrics/series", metrics.SeriesPoints.as_view()),
    path("metrics/names", metrics.Names.as_view({"get": "list"}, detail=False)),
]

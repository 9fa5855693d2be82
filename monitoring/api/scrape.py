"""GET /metrics for Prometheus."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from mcp_site.core.http import refuse_unknown_parameters
from monitoring import scrape
from monitoring.permissions import MayScrape, ScrapeToken


class Scrape(APIView):
    """The panel's own counters and gauges."""

    area = "metrics"
    authentication_classes = (ScrapeToken, *APIView.authentication_classes)
    permission_classes = (MayScrape,)

    @extend_schema(
        responses={(200, "text/plain"): OpenApiResponse(OpenApiTypes.STR, "Prometheus text format 0.0.4")},
        operation_id="metrics_scrape",
        auth=[{"bearer": []}, {"key": []}],  # type: ignore[list-item]  # as OpenAPI has it
        tags=["metrics"],
    )
    def get(self, request: Request) -> HttpResponse:
        """Answer everything that the panel counts, for a scraper with METRICS_TOKEN, METRICS_ALLOW, or an Admin."""
        refuse_unknown_parameters(request, ())
        return HttpResponse(scrape.text(), content_type=scrape.CONTENT_TYPE)

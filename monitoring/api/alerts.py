"""Rules and alerts over HTTP."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.permissions import actor
from mcp_site.core.filters import MomentFilter
from mcp_site.core.http import StrictQuery
from mcp_site.core.ids import UUID_PATTERN
from mcp_site.core.once import once
from mcp_site.core.serializers import read_body
from monitoring import services
from monitoring.api import alert_shapes as shapes
from monitoring.models import Alert, AlertRule
from monitoring.rules import Terms
from monitoring.states import AlertState, Severity

TAGS = ["alerts"]


class AlertRoute(StrictQuery):
    """What the routes of alerts share: their area, and that Viewers see them."""

    area = "alerts"
    lookup_field = "uid"
    lookup_value_regex = UUID_PATTERN

    def check_permissions(self, request: Request) -> None:
        """Let those in who may see alerts. Raises NotAuthenticated, Forbidden."""
        super().check_permissions(request)
        access.require(request.user, "alert.view")


class RuleFilter(django_filters.FilterSet):
    """`?metric=&search=`."""

    metric = django_filters.CharFilter(max_length=200)
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", max_length=200)

    class Meta:
        model = AlertRule
        fields: tuple[str, ...] = ()


@extend_schema_view(
    list=extend_schema(tags=TAGS, summary="List rules"), retrieve=extend_schema(tags=TAGS, summary="Show a rule")
)
class RuleViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, AlertRoute):
    """Rules: what must not happen to a series."""

    serializer_class = shapes.RuleSerializer
    filterset_class = RuleFilter
    queryset = AlertRule.objects.select_related("owner").prefetch_related("channels")

    def _answer(self, rule: AlertRule, status: int = 200) -> Response:
        headers = {"Location": reverse("alert-rules-detail", args=[rule.uid])} if status == 201 else None
        shown = self.get_queryset().get(pk=rule.pk)
        return Response(shapes.RuleSerializer(shown).data, status=status, headers=headers)

    @extend_schema(request=shapes.RuleCreate, responses={201: shapes.RuleSerializer}, tags=TAGS, summary="Make a rule")
    @once()
    def create(self, request: Request) -> Response:
        """Make a rule; it is judged within seconds."""
        return self._answer(services.create_rule(by=actor(request), **read_body(shapes.RuleCreate, request)), 201)

    @extend_schema(
        request=shapes.RuleCreate, responses={200: shapes.RuleSerializer}, tags=TAGS, summary="Change a rule"
    )
    def partial_update(self, request: Request, uid: str) -> Response:
        """Change what is given."""
        changes = read_body(shapes.RuleCreate, request, partial=True)
        return self._answer(services.update_rule(by=actor(request), rule=self.get_object(), **changes))

    @extend_schema(responses={204: OpenApiResponse(description="deleted")}, tags=TAGS, summary="Delete a rule")
    def destroy(self, request: Request, uid: str) -> Response:
        """Delete a rule; what is open under it is resolved."""
        services.delete_rule(by=actor(request), rule=self.get_object())
        return Response(status=204)

    @extend_schema(
        request=shapes.PreviewBody, responses={200: shapes.PreviewSerializer}, tags=TAGS, summary="Try a rule"
    )
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Show what a rule would have done over the last week, judged every five minutes. Saves nothing."""
        body = read_body(shapes.PreviewBody, request)
        metric, tags = body.pop("metric"), body.pop("tags", {})
        found, left_out = services.preview_rule(by=actor(request), metric=metric, tags=tags, terms=Terms(**body))
        return Response(shapes.PreviewSerializer({"series": found, "left_out": left_out}).data)


class AlertFilter(django_filters.FilterSet):
    """`?state=open&state=acknowledged&severity=&rule=&after=&before=`; the times are those of opening."""

    state = django_filters.MultipleChoiceFilter(choices=AlertState.choices)
    severity = django_filters.ChoiceFilter(choices=Severity.choices)
    rule = django_filters.UUIDFilter(field_name="rule__uid")
    after = MomentFilter(field_name="opened_at", lookup_expr="gte")
    before = MomentFilter(field_name="opened_at", lookup_expr="lt")

    class Meta:
        model = Alert
        fields: tuple[str, ...] = ()


@extend_schema_view(
    list=extend_schema(tags=TAGS, summary="List alerts"), retrieve=extend_schema(tags=TAGS, summary="Show an alert")
)
class AlertViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, AlertRoute):
    """Alerts: opened by rules or by hand, once each while they last."""

    serializer_class = shapes.AlertSerializer
    filterset_class = AlertFilter
    queryset = Alert.objects.none()

    def get_queryset(self) -> QuerySet[Alert]:
        """Return the alerts that the caller may see."""
        return Alert.objects.visible_to(self.request.user).for_api()

    def _answer(self, alert: Alert, status: int = 200) -> Response:
        headers = {"Location": reverse("alerts-detail", args=[alert.uid])} if status == 201 else None
        shown = Alert.objects.for_api().get(pk=alert.pk)
        return Response(shapes.AlertSerializer(shown).data, status=status, headers=headers)

    @extend_schema(
        request=shapes.AlertCreate,
        responses={201: shapes.AlertSerializer, 200: shapes.AlertSerializer},
        tags=TAGS,
        summary="Raise an alert",
    )
    @once()
    def create(self, request: Request) -> Response:
        """Open an alert by hand; 200 and the one there is while one of this title is open."""
        alert, is_new = services.raise_alert(by=actor(request), **read_body(shapes.AlertCreate, request))
        return self._answer(alert, 201 if is_new else 200)

    @extend_schema(request=None, responses={200: shapes.AlertSerializer}, tags=TAGS, summary="Acknowledge an alert")
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, uid: str) -> Response:
        """Say that somebody looks after it: no more reminders. 409 when it is resolved."""
        return self._answer(services.acknowledge_alert(by=actor(request), alert=self.get_object()))

    @extend_schema(request=None, responses={200: shapes.AlertSerializer}, tags=TAGS, summary="Resolve an alert")
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, uid: str) -> Response:
        """End it. While its series is still bad, its rule opens another. 409 when it is resolved."""
        return self._answer(services.resolve_alert_by_hand(by=actor(request), alert=self.get_object()))

"""Channels and inboxes over HTTP."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access
from accounts.permissions import actor
from mcp_site.core.http import StrictQuery, refuse_unknown_parameters
from mcp_site.core.once import once
from mcp_site.core.serializers import read_body
from monitoring import channels, services
from monitoring.api import channel_shapes as shapes
from monitoring.api.alerts import TAGS, AlertRoute
from monitoring.models import Channel, Delivery, Notification


class ChannelTypes(APIView):
    """What a channel can be."""

    area = "alerts"

    @extend_schema(
        responses={200: shapes.ChannelTypeSerializer(many=True)}, operation_id="channel_types_list", tags=TAGS
    )
    def get(self, request: Request) -> Response:
        """List the types with the JSON Schema of their config."""
        access.require(request.user, "channel.edit")
        refuse_unknown_parameters(request, ())
        shown = [
            {
                "name": kind.name,
                "title": kind.label,
                "description": kind.description,
                "config_schema": kind.Config.model_json_schema(),
            }
            for kind in channels.all_channels()
        ]
        return Response(shapes.ChannelTypeSerializer(shown, many=True).data)


@extend_schema_view(
    list=extend_schema(tags=TAGS, summary="List channels"), retrieve=extend_schema(tags=TAGS, summary="Show a channel")
)
class ChannelViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, AlertRoute):
    """Channels: where alerts are sent. For Editors, since they hold addresses."""

    lookup_field = "slug"
    lookup_value_regex = "[a-z0-9][a-z0-9-]{0,62}"
    serializer_class = shapes.ChannelSerializer
    queryset = Channel.objects.select_related("owner")
    # A test leaves the panel, like a query does.
    rates = {"test": "query"}

    def check_permissions(self, request: Request) -> None:
        """Let Editors in. Raises NotAuthenticated, Forbidden."""
        super().check_permissions(request)
        access.require(request.user, "channel.edit")

    @extend_schema(
        request=shapes.ChannelCreate, responses={201: shapes.NewChannelSerializer}, tags=TAGS, summary="Make a channel"
    )
    @once(secret=True)
    def create(self, request: Request) -> Response:
        """Make a channel; secrets that the panel made for it are in this answer and nowhere else."""
        body = {"config": {}, **read_body(shapes.ChannelCreate, request)}
        channel, generated = services.create_channel(by=actor(request), **body)
        shown = shapes.NewChannelSerializer(channel, context={"generated": generated})
        return Response(shown.data, status=201, headers={"Location": reverse("channels-detail", args=[channel.slug])})

    @extend_schema(
        request=shapes.ChannelUpdate, responses={200: shapes.ChannelSerializer}, tags=TAGS, summary="Change a channel"
    )
    def partial_update(self, request: Request, slug: str) -> Response:
        """Change what is given."""
        changes = read_body(shapes.ChannelUpdate, request)
        channel = services.update_channel(by=actor(request), channel=self.get_object(), **changes)
        return Response(shapes.ChannelSerializer(channel).data)

    @extend_schema(responses={204: OpenApiResponse(description="deleted")}, tags=TAGS, summary="Delete a channel")
    def destroy(self, request: Request, slug: str) -> Response:
        """Delete a channel with its log; rules that named it go on without it."""
        services.delete_channel(by=actor(request), channel=self.get_object())
        return Response(status=204)

    @extend_schema(request=None, responses={200: shapes.DeliverySerializer}, tags=TAGS, summary="Try a channel")
    @action(detail=True, methods=["post"])
    def test(self, request: Request, slug: str) -> Response:
        """Send a test message now; `state` says whether it arrived, `error` why not."""
        delivery = services.test_channel(by=actor(request), channel=self.get_object())
        return Response(shapes.DeliverySerializer(delivery).data)

    @extend_schema(
        responses={200: shapes.DeliverySerializer(many=True)}, tags=TAGS, summary="List what was sent to a channel"
    )
    @action(detail=True, methods=["get"])
    def deliveries(self, request: Request, slug: str) -> Response:
        """List what was sent and what waits, newest first."""
        found = Delivery.objects.filter(channel=self.get_object()).select_related("alert")
        page = self.paginate_queryset(found)
        return self.get_paginated_response(shapes.DeliverySerializer(page, many=True).data)

    @property
    def query_params(self) -> frozenset[str]:  # type: ignore[override]
        """Return what the log reads from the query: it is paged, although it is a detail."""
        return frozenset({"cursor", "page_size"} if self.action == "deliveries" else ())


class NotificationFilter(django_filters.FilterSet):
    """`?unread=true`."""

    unread = django_filters.TypedChoiceFilter(
        field_name="read_at", lookup_expr="isnull", choices=[("true", "true"), ("false", "false")], coerce="true".__eq__
    )

    class Meta:
        model = Notification
        fields: tuple[str, ...] = ()


@extend_schema_view(list=extend_schema(tags=TAGS, summary="List own notifications"))
class NotificationViewSet(mixins.ListModelMixin, StrictQuery):
    """The caller's own inbox."""

    area = "alerts"
    serializer_class = shapes.NotificationSerializer
    filterset_class = NotificationFilter
    queryset = Notification.objects.none()

    def get_queryset(self) -> QuerySet[Notification]:
        """Return the caller's own."""
        return Notification.objects.filter(person=self.request.user.pk).select_related("alert")

    @extend_schema(request=shapes.ReadBody, responses={200: shapes.ReadSerializer}, tags=TAGS, summary="Mark as read")
    @action(detail=False, methods=["post"])
    def read(self, request: Request) -> Response:
        """Mark all as read, or those of `ids`."""
        return Response({"read": services.read_notifications(by=actor(request), **read_body(shapes.ReadBody, request))})

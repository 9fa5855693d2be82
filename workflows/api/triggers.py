"""Triggers over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import PersonSerializer
from accounts.permissions import actor
from mcp_site.core.documents import canonical
from mcp_site.core.http import StrictQuery, unless_stale
from mcp_site.core.ids import UUID_PATTERN
from mcp_site.core.once import once
from mcp_site.core.pagination import NewestFirst
from mcp_site.core.serializers import SlugField, Strict, read_body
from workflows.api.schedules import workflow_named
from workflows.models.trigger import Trigger, TriggerCall
from workflows.services import triggers as services

TAGS = ["triggers"]
MAX_INPUTS = 64 * 1024


@extend_schema_field({"oneOf": [{"type": "object"}, {"type": "string", "description": "one expression"}]})
class MappedField(serializers.JSONField):
    """An object with expressions over `body` and `headers` in its strings, or one expression that gives an object."""

    default_error_messages = {
        "invalid": "must be an object, or one expression such as ${{ body }}",
        "too_large": f"is larger than {MAX_INPUTS} bytes",
    }

    def to_internal_value(self, data: Any) -> Any:
        """Return the mapping as it came; what is in its expressions the service says."""
        if not isinstance(data, dict | str):
            self.fail("invalid")
        if len(canonical(data)) > MAX_INPUTS:
            self.fail("too_large")
        return data


class TriggerChange(Strict):
    """What may be changed of a trigger."""

    inputs = MappedField(required=False)
    version = serializers.CharField(
        max_length=63,
        required=False,
        allow_null=True,
        help_text="number or alias, looked up at each call; null: newest",
    )
    enabled = serializers.BooleanField(required=False)


class TriggerCreate(TriggerChange):
    """A new trigger."""

    workflow = SlugField()


class TriggerSerializer(serializers.ModelSerializer[Trigger]):
    """A trigger in answers, without its token and secret. Needs `for_api()`."""

    id = serializers.UUIDField(source="uid", read_only=True)
    workflow = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    inputs = MappedField(read_only=True)
    version = serializers.SerializerMethodField()
    last_run = serializers.SlugRelatedField[Any](slug_field="uid", read_only=True)
    owner = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Trigger
        fields: ClassVar[tuple[str, ...]] = (
            "id",
            "workflow",
            "prefix",
            "inputs",
            "version",
            "enabled",
            "notice",
            "last_run",
            "last_called_at",
            "owner",
            "created_at",
            "updated_at",
        )

    @extend_schema_field({"type": ["string", "integer", "null"]})
    def get_version(self, trigger: Trigger) -> str | int | None:
        """Return the number or alias that it starts, null for the newest."""
        return int(trigger.version) if trigger.version.isdecimal() else trigger.version or None


class TriggerSecretSerializer(TriggerSerializer):
    """A trigger with its new secret: this once and never again."""

    secret = serializers.SerializerMethodField()

    class Meta(TriggerSerializer.Meta):
        fields = (*TriggerSerializer.Meta.fields, "secret")

    def get_secret(self, trigger: Trigger) -> str:
        """Return with what its calls are signed."""
        return str(self.context["secret"])


class NewTriggerSerializer(TriggerSecretSerializer):
    """A trigger just made, with its token, its secret and where to call: this once and never again."""

    token = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta(TriggerSecretSerializer.Meta):
        fields = (*TriggerSecretSerializer.Meta.fields, "token", "url")

    def get_token(self, trigger: Trigger) -> str:
        """Return what its address ends with."""
        return str(self.context["token"])

    def get_url(self, trigger: Trigger) -> str:
        """Return the address to call."""
        return str(self.context["request"].build_absolute_uri(f"/hooks/{self.context['token']}"))


class CallSerializer(serializers.ModelSerializer[TriggerCall]):
    """What became of one call whose signature was right."""

    run = serializers.SlugRelatedField[Any](slug_field="uid", read_only=True)

    class Meta:
        model = TriggerCall
        fields: ClassVar[tuple[str, ...]] = ("at", "outcome", "run", "detail")


class TriggerFilter(django_filters.FilterSet):
    """`?workflow=&enabled=`."""

    workflow = django_filters.CharFilter(field_name="workflow__slug", max_length=63)
    enabled = django_filters.TypedChoiceFilter(
        choices=[("true", "true"), ("false", "false")], coerce="true".__eq__, empty_value=None
    )

    class Meta:
        model = Trigger
        fields: ClassVar[tuple[str, ...]] = ()


class TriggerViewSet(mixins.ListModelMixin, StrictQuery):
    """Addresses that start a workflow when an outside system calls them."""

    area = "workflows"
    lookup_field = "uid"
    lookup_value_regex = UUID_PATTERN
    serializer_class = TriggerSerializer
    filterset_class = TriggerFilter
    # What changes by itself.
    untagged = frozenset({"token", "secret", "url", "last_run", "last_called_at", "notice", "updated_at"})

    def get_queryset(self) -> QuerySet[Trigger]:
        """Return those of the workflows that the caller may see."""
        return Trigger.objects.visible_to(self.request.user).for_api()

    def _show(self, trigger: Trigger, shape: Any = TriggerSerializer, status: int = 200, **context: Any) -> Response:
        shown = Trigger.objects.for_api().get(pk=trigger.pk)
        headers = {"Location": f"/api/v1/triggers/{shown.uid}"} if status == 201 else {}
        if context:
            headers["Cache-Control"] = "no-store"
        data = shape(shown, context={"request": self.request, **context}).data
        return Response(data, status=status, headers=headers)

    @extend_schema(tags=TAGS, request=TriggerCreate, responses={201: NewTriggerSerializer})
    @once(secret=True)
    def create(self, request: Request) -> Response:
        """Give a workflow an address that starts it, as the caller; token and secret are in this answer only."""
        body = read_body(TriggerCreate, request)
        workflow = workflow_named(request, body.pop("workflow"))
        trigger, token, secret = services.create_trigger(by=actor(request), workflow=workflow, **body)
        return self._show(trigger, NewTriggerSerializer, 201, token=token, secret=secret)

    @extend_schema(tags=TAGS, responses={200: TriggerSerializer})
    def retrieve(self, request: Request, uid: str) -> Response:
        """Answer one trigger."""
        return self._show(self.get_object())

    @extend_schema(tags=TAGS, request=TriggerChange, responses={200: TriggerSerializer})
    @unless_stale
    def partial_update(self, request: Request, uid: str) -> Response:
        """Change it; `{"enabled": false}` pauses."""
        changes = read_body(TriggerChange, request)
        return self._show(services.update_trigger(by=actor(request), trigger=self.get_object(), **changes))

    @extend_schema(tags=TAGS, responses={204: OpenApiResponse(description="removed")})
    @unless_stale
    def destroy(self, request: Request, uid: str) -> Response:
        """Remove it: its address is dead, its runs stay."""
        services.delete_trigger(by=actor(request), trigger=self.get_object())
        return Response(status=204)

    @extend_schema(tags=TAGS, request=None, responses={200: TriggerSecretSerializer})
    @action(detail=True, methods=["post"])
    @once(secret=True)
    def rotate(self, request: Request, uid: str) -> Response:
        """Give it another secret, which is in this answer only; the old one is dead at once, the address stays."""
        trigger, secret = services.rotate_secret(by=actor(request), trigger=self.get_object())
        return self._show(trigger, TriggerSecretSerializer, secret=secret)

    @extend_schema(tags=TAGS, responses={200: CallSerializer(many=True)}, filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=NewestFirst)
    def calls(self, request: Request, uid: str) -> Response:
        """List the calls of the last 90 days whose signature was right, newest first."""
        page = self.paginate_queryset(self.get_object().calls.select_related("run"))
        return self.get_paginated_response(CallSerializer(page, many=True).data)

"""Workflows and their versions over HTTP."""

from __future__ import annotations

import re

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor
from mcp_site.core.errors import Rejected
from mcp_site.core.filters import NamedPages
from mcp_site.core.http import StrictQuery, unless_stale
from mcp_site.core.once import once
from mcp_site.core.pagination import NewestFirst
from mcp_site.core.serializers import read_body
from workflows import services
from workflows.api import serializers as shapes
from workflows.api.filters import WorkflowFilter
from workflows.graph import json_schema
from workflows.models import Workflow, WorkflowVersion

_ALIAS = re.compile(shapes.ALIAS)


class WorkflowViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, StrictQuery):
    """Workflows: named graphs with immutable versions."""

    area = "workflows"
    lookup_field = "slug"
    lookup_value_regex = "[a-z0-9][a-z0-9-]{0,62}"
    serializer_class = shapes.WorkflowSerializer
    filterset_class = WorkflowFilter
    pagination_class = NamedPages
    query_params = frozenset({"force"})
    untagged = frozenset()

    def get_queryset(self) -> QuerySet[Workflow]:
        """Return what the caller may see."""
        return Workflow.objects.visible_to(self.request.user).for_api()

    def _show(self, workflow: Workflow, status: int = 200) -> Response:
        shown = Workflow.objects.for_api().get(pk=workflow.pk)
        return Response(shapes.WorkflowSerializer(shown).data, status=status)

    @extend_schema(request=shapes.WorkflowCreate, responses={201: shapes.WorkflowSerializer})
    @once()
    def create(self, request: Request) -> Response:
        """Make a workflow, with its first version if `graph` is given."""
        return self._show(services.create_workflow(by=actor(request), **read_body(shapes.WorkflowCreate, request)), 201)

    @extend_schema(request=shapes.WorkflowChange, responses={200: shapes.WorkflowSerializer})
    @unless_stale
    def partial_update(self, request: Request, slug: str) -> Response:
        """Change name, description, tags or visibility."""
        changes = read_body(shapes.WorkflowChange, request)
        return self._show(services.update_workflow(by=actor(request), workflow=self.get_object(), **changes))

    @extend_schema(responses={204: OpenApiResponse(description="archived")})
    @unless_stale
    def destroy(self, request: Request, slug: str) -> Response:
        """Archive: it stays readable, and starts no runs."""
        force = "force" in request.query_params
        services.archive_workflow(by=actor(request), workflow=self.get_object(), force=force)
        return Response(status=204)

    @extend_schema(request=shapes.GraphBody, responses={200: OpenApiResponse({"type": "object"})})
    @action(detail=False, methods=["post"])
    def validate(self, request: Request) -> Response:
        """Say everything that is wrong with a graph, without saving it: `{valid, problems}`."""
        problems = services.problems_of_graph(by=actor(request), graph=read_body(shapes.GraphBody, request)["graph"])
        listed = [{"path": p.path, "code": p.code, "detail": p.detail, "line": p.line} for p in problems]
        return Response({"valid": not problems, "problems": listed})

    @extend_schema(responses={200: OpenApiResponse({"type": "object"})}, filters=False)
    @action(detail=False, methods=["get"], url_path="graph-schema", pagination_class=None)
    def graph_schema(self, request: Request) -> Response:
        """Answer the JSON Schema of the graph document."""
        return Response(json_schema())

    @extend_schema(methods=["GET"], responses={200: shapes.WorkflowVersionSerializer(many=True)}, filters=False)
    @extend_schema(methods=["POST"], request=shapes.VersionCreate, responses={201: shapes.WorkflowVersionSerializer})
    @action(detail=True, methods=["get", "post"], filterset_class=None, pagination_class=NewestFirst)
    @once()
    def versions(self, request: Request, slug: str) -> Response:
        """List the versions, newest first; POST saves the next one (200 and the newest if it says the same)."""
        workflow = self.get_object()
        if request.method == "POST":
            body = read_body(shapes.VersionCreate, request)
            version, created = services.save_version(by=actor(request), workflow=workflow, **body)
            return Response(shapes.WorkflowVersionSerializer(version).data, status=201 if created else 200)
        page = self.paginate_queryset(workflow.versions.select_related("created_by"))
        return self.get_paginated_response(shapes.WorkflowVersionSerializer(page, many=True).data)

    @extend_schema(responses={200: shapes.WorkflowVersionSerializer})
    @action(detail=True, methods=["get"], url_path=r"versions/(?P<number>[1-9][0-9]{0,8})")
    def version(self, request: Request, slug: str, number: str) -> Response:
        """Answer one version."""
        versions = WorkflowVersion.objects.select_related("created_by")
        found = get_object_or_404(versions, workflow=self.get_object(), number=int(number))
        return Response(shapes.WorkflowVersionSerializer(found).data)

    @extend_schema(request=shapes.RollbackBody, responses={201: shapes.WorkflowVersionSerializer})
    @action(detail=True, methods=["post"])
    @once()
    def rollback(self, request: Request, slug: str) -> Response:
        """Make the content of an older version the newest one."""
        to = read_body(shapes.RollbackBody, request)["to"]
        version, created = services.rollback(by=actor(request), workflow=self.get_object(), to=to)
        return Response(shapes.WorkflowVersionSerializer(version).data, status=201 if created else 200)

    @extend_schema(methods=["PUT"], request=shapes.AliasBody, responses={200: shapes.WorkflowSerializer})
    @extend_schema(methods=["DELETE"], responses={204: OpenApiResponse(description="removed")})
    @action(detail=True, methods=["put", "delete"], url_path=r"aliases/(?P<name>[^/]+)")
    def alias(self, request: Request, slug: str, name: str) -> Response:
        """Point an alias at a version, or remove it."""
        workflow = self.get_object()
        if request.method == "DELETE":
            services.delete_alias(by=actor(request), workflow=workflow, name=name)
            return Response(status=204)
        if not _ALIAS.fullmatch(name):
            raise Rejected("use small letters, digits and hyphens, starting with a letter", attr="name")
        number = read_body(shapes.AliasBody, request)["version"]
        services.move_alias(by=actor(request), workflow=workflow, name=name, number=number)
        return self._show(workflow)

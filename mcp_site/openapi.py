"""How the API's own description is made (drf-spectacular)."""

from __future__ import annotations

from typing import Any


def settings(version: str) -> dict[str, Any]:
    """Return the settings of drf-spectacular for this `version` of the panel."""
    return {
        "TITLE": "Model Control Panel",
        "DESCRIPTION": "Definitions, workflows, runs and connections of a Model Control Panel.",
        "VERSION": version,
        "OAS_VERSION": "3.1.1",
        "SERVE_INCLUDE_SCHEMA": False,
        "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
        "SERVE_AUTHENTICATION": [],
        "SWAGGER_UI_DIST": "SIDECAR",
        "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
        "REDOC_DIST": "SIDECAR",
        "COMPONENT_SPLIT_REQUEST": True,
        "SCHEMA_PATH_PREFIX": r"/api/v1",
        # Routes that answer at the root too are described once.
        "PREPROCESSING_HOOKS": ["mcp_site.api_urls.described_once"],
        "ENUM_NAME_OVERRIDES": {
            "RunState": "workflows.states.RunState",
            "StepState": "workflows.states.StepState",
            "Visibility": "mcp_site.core.models.Visibility",
        },
    }

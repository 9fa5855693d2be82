"""How the API's own description is made (drf-spectacular)."""

from __future__ import annotations

from typing import Any

# What any route may answer besides what it describes itself, and what only those that write do.
_ALWAYS = {
    "400": "A parameter or a field is not accepted; `attr` names it",
    "401": "No credentials, or none that are good",
    "403": "Known, but not allowed",
    "404": "There is nothing here that you can see",
    "406": "No such representation",
    "429": "Too many requests; `Retry-After` says how long to wait",
}
_WRITING = {
    "409": "The present state does not allow that",
    "412": "It was changed since the `If-Match` was read",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "422": "The system on the other side did not do what it was asked",
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "errors"],
    "properties": {
        "type": {"type": "string", "enum": ["validation_error", "client_error", "server_error"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "detail", "attr"],
                "properties": {
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    "attr": {"type": ["string", "null"], "description": "dotted path from the body's root"},
                },
            },
        },
    },
}


def errors_described(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Describe the errors of every operation, which all have one shape (drf-spectacular calls this)."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        f"Error{code}": {"description": meaning, "content": content} for code, meaning in (_ALWAYS | _WRITING).items()
    }
    for operations in result["paths"].values():
        for method, operation in operations.items():
            codes = _ALWAYS if method == "get" else _ALWAYS | _WRITING
            for code in codes:
                operation["responses"].setdefault(code, {"$ref": f"#/components/responses/Error{code}"})
    return result


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
        "POSTPROCESSING_HOOKS": [
            "drf_spectacular.hooks.postprocess_schema_enums",
            "mcp_site.openapi.errors_described",
        ],
        "ENUM_NAME_OVERRIDES": {
            "RunState": "workflows.states.RunState",
            "StepState": "workflows.states.StepState",
            "Visibility": "mcp_site.core.models.Visibility",
        },
    }

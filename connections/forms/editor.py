"""The form of a connection, made from its connector's config: one field for each setting, secrets never shown again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from django import forms
from django.conf import settings
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from accounts.forms import PanelForm
from connections.connectors import Connector
from connections.models import Connection
from connections.services import MAX_SCAN_HOURS
from mcp_site.core.errors import AppError, Problem, Rejected
from mcp_site.core.models import Visibility

_CONFIG = "config."
_ELSEWHERE, _REMOVE = ".from", ".remove"


class ConnectionForm(PanelForm):
    """Name, who sees it, and the settings of one type. `config.tls.mode` is a field's name, as in the API's errors."""

    name = forms.CharField(max_length=200)
    slug = forms.SlugField(max_length=63, help_text="In addresses and definitions; it can't be changed later.")
    description = forms.CharField(
        required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 2, "class": "c-input"})
    )
    visibility = forms.ChoiceField(
        label="Who may see it", choices=[(Visibility.PRIVATE, "Only I"), (Visibility.ORGANISATION, "Everyone here")]
    )
    scan_every = forms.IntegerField(
        label="Hours between scans by the clock",
        required=False,
        min_value=0,
        max_value=MAX_SCAN_HOURS,
        help_text="0 for none.",
    )

    def __init__(self, connector: Connector, connection: Connection | None, data: Any = None) -> None:
        self.connector, self.connection = connector, connection
        super().__init__(data, initial=_initial(connector, connection))
        if connection is not None:
            del self.fields["slug"]
        if connection is None or "scan" not in connector.capabilities:
            del self.fields["scan_every"]
        for name, field in self._settings():
            field.widget.attrs.setdefault("class", "c-input")
            self.fields[_CONFIG + name] = field

    @property
    def settings(self) -> list[Any]:
        """Return the bound fields of the connector's own settings."""
        return [self[name] for name in self.fields if name.startswith(_CONFIG)]

    @property
    def general(self) -> list[Any]:
        """Return the bound fields that every type has."""
        return [self[name] for name in self.fields if not name.startswith(_CONFIG)]

    def values(self) -> dict[str, Any]:
        """Return what the services take. Call it on a valid form."""
        given = {name: value for name, value in self.cleaned_data.items() if not name.startswith(_CONFIG)}
        if given.get("scan_every") is None:
            given.pop("scan_every", None)
        config: dict[str, Any] = {}
        for path, info in _fields_of(self.connector.Config):
            value = self._secret(path) if _is_secret(info) else self._plain(path)
            if value is not _NOTHING:
                _put(config, path, value)
        return {**given, "config": config}

    def take(self, exc: AppError) -> None:
        """Show each problem beside its field; those of an object's inside beside its first field."""
        problems = exc.problems if isinstance(exc, Rejected) else [Problem(exc.attr or "", exc.code, exc.detail)]
        for problem in problems:
            known = problem.path if problem.path in self.fields else None
            below = next((name for name in self.fields if name.startswith(f"{problem.path}.")), None)
            self.add_error(known or (below if problem.path else None), problem.detail)

    def _settings(self) -> Iterator[tuple[str, forms.Field]]:
        for path, info in _fields_of(self.connector.Config):
            name = ".".join(path)
            if not _is_secret(info):
                yield name, _field_of(path, info)
                continue
            kept = self.connection is not None and (
                name in self.connection.secrets or name in self.connection.references
            )
            yield from _secret_fields(name, path, info, kept=kept)

    def _plain(self, path: tuple[str, ...]) -> Any:
        value = self.cleaned_data.get(_CONFIG + ".".join(path))
        # An emptied field goes back to its default: null says so in a change, absence in a new one.
        if value in (None, "") and self.connection is None:
            return _NOTHING
        return None if value is None else value

    def _secret(self, path: tuple[str, ...]) -> Any:
        name = _CONFIG + ".".join(path)
        if self.cleaned_data.get(name + _REMOVE):
            return None
        if where := self.cleaned_data.get(name + _ELSEWHERE):
            return {"from": where}
        return self.cleaned_data.get(name) or _NOTHING


_NOTHING: Any = object()


def _fields_of(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield path and declaration of every setting, those of inner objects one by one."""
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _fields_of(inner, (*above, name))
        else:
            yield (*above, name), info


def _is_secret(info: FieldInfo) -> bool:
    return isinstance(info.json_schema_extra, dict) and bool(info.json_schema_extra.get("secret"))


def _label(path: tuple[str, ...], info: FieldInfo) -> str:
    own = info.title or path[-1].replace("_", " ")
    label = own if len(path) == 1 else f"{path[0].upper() if len(path[0]) <= 3 else path[0]} {own}"
    return label[:1].upper() + label[1:]


def _field_of(path: tuple[str, ...], info: FieldInfo) -> forms.Field:
    common: dict[str, Any] = {
        "label": _label(path, info),
        "help_text": info.description or "",
        "required": info.is_required(),
    }
    limits = {name: getattr(one, name) for one in info.metadata for name in ("ge", "le") if hasattr(one, name)}
    if get_origin(info.annotation) is Literal:
        return forms.ChoiceField(choices=[(value, value) for value in get_args(info.annotation)], **common)
    if info.annotation is bool:
        return forms.BooleanField(**{**common, "required": False})
    if info.annotation is int:
        return forms.IntegerField(min_value=limits.get("ge"), max_value=limits.get("le"), **common)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    if extra.get("widget") == "textarea":
        widget = forms.Textarea(attrs={"rows": 4, "class": "c-input u-mono", "spellcheck": "false"})
        return forms.CharField(widget=widget, **common)
    return forms.CharField(**common)


def _secret_fields(
    name: str, path: tuple[str, ...], info: FieldInfo, *, kept: bool
) -> Iterator[tuple[str, forms.Field]]:
    """Yield the field of a secret; beside it where it may be found instead, and how to take it away."""
    wanted = info.is_required() and not kept
    may_refer = bool(settings.SECRET_REFERENCES)
    help_text = "Sealed; leave it empty to keep it." if kept else "It is sealed, and shown to nobody again."
    attrs = {"autocomplete": "new-password", "class": "c-input"}
    yield (
        name,
        forms.CharField(
            label=_label(path, info),
            required=wanted and not may_refer,
            strip=False,
            help_text=help_text,
            widget=forms.PasswordInput(attrs=attrs),
        ),
    )
    if may_refer:
        yield (
            name + _ELSEWHERE,
            forms.CharField(
                label=f"{_label(path, info)}: or where it is",
                required=False,
                max_length=1000,
                help_text="env:NAME or file:/path, as the operator allows; read each time it is used.",
            ),
        )
    if kept and not info.is_required():
        yield name + _REMOVE, forms.BooleanField(label=f"Forget the {_label(path, info).lower()}", required=False)


def _initial(connector: Connector, connection: Connection | None) -> dict[str, Any]:
    config: Mapping[str, Any] = connection.config if connection is not None else {}
    values: dict[str, Any] = {"visibility": Visibility.PRIVATE}
    if connection is not None:
        names = ("name", "description", "visibility", "scan_every")
        values = {name: getattr(connection, name) for name in names}
        values |= {f"{_CONFIG}{name}{_ELSEWHERE}": where for name, where in connection.references.items()}
    for path, info in _fields_of(connector.Config):
        if not _is_secret(info):
            values[_CONFIG + ".".join(path)] = _at(config, path, _default(connector.Config, path))
    return values


def _default(model: type[BaseModel], path: tuple[str, ...]) -> Any:
    info = model.model_fields[path[0]]
    found = None if info.is_required() else info.get_default(call_default_factory=True)
    for name in path[1:]:
        found = getattr(found, name, None)
    return found


def _at(config: Mapping[str, Any], path: tuple[str, ...], otherwise: Any) -> Any:
    found: Any = config
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return otherwise
        found = found[name]
    return found


def _put(config: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        config = config.setdefault(name, {})
    config[path[-1]] = value

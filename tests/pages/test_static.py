"""What templates and static files keep to."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
VENDOR = ROOT / "static" / "vendor"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_parses_and_holds_no_inline_style_or_script(path: Path) -> None:
    get_template(str(path.relative_to(ROOT / "templates")))
    text = path.read_text()
    assert not re.search(r"\sstyle\s*=", text), "style attribute"
    assert not re.search(r"<style\b", text), "style element"
    assert not re.search(r"<script(?![^>]*\ssrc=)", text), "inline script"
    assert not re.search(r"\son[a-z]+\s*=", text), "event attribute"
    assert "javascript:" not in text
    assert not re.search(r"\|\s*safe\b|autoescape off", text), "unescaped"
    assert not re.search(r'hx-(?:on|vals=.js)|hx-trigger="[^"]*\[', text), "htmx that needs eval"


@pytest.mark.parametrize("path", sorted((ROOT / "static" / "js").glob("*.js")), ids=lambda path: path.name)
def test_a_module_is_short_and_never_writes_markup(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 120
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert len(re.findall(r"customElements\.define\(", text)) <= 1


def test_vendored_files_are_those_of_the_manifest() -> None:
    packages = json.loads((VENDOR / "MANIFEST.json").read_text())["packages"]
    listed = {name: digest for package in packages for name, digest in package["files"].items()}
    there = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()} - {"MANIFEST.json"}
    assert there == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_the_vendored_htmx_says_the_version_of_the_manifest() -> None:
    packages = {package["name"]: package for package in json.loads((VENDOR / "MANIFEST.json").read_text())["packages"]}
    said = re.search(r'version:"([^"]+)"', (VENDOR / "htmx" / "htmx.min.js").read_text())
    assert said is not None
    assert said[1] == packages["htmx.org"]["version"]


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static" / "img" / "icons.svg").read_text()))
    for path in TEMPLATES:
        named = set(re.findall(r'\{% icon "([^"]+[^"-])"', path.read_text()))
        assert named <= sprite, path.name

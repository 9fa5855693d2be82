"""What templates and styles keep to besides what `test_static` says."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
# Not the admin's: it stands beside Django's own sheets, which have no layers and would win over any.
STYLES = sorted(path for path in (ROOT / "static" / "css").glob("*.css") if path.stem != "admin")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_a_template_is_short_and_a_part_says_first_what_it_is_given(path: Path) -> None:
    text = path.read_text()

    assert text.count("\n") <= 120
    if path.parent.name in ("partials", "components"):
        assert text.startswith("{# context: ")


@pytest.mark.parametrize("path", STYLES, ids=name)
def test_a_style_stands_in_its_layer_and_fetches_nothing(path: Path) -> None:
    text = path.read_text()

    assert f"@layer {path.stem} {{" in text
    assert "url(" not in text
    assert "@import" not in text

"""The shape of the repository: sizes, names, and documents that keep step with the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 300
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common"}
# Where an installation's own folders begin; a path like that in the repository works on one machine only.
MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(?:home|root|Users|work|workspace)/[\w.-]+")


def _files() -> list[Path]:
    """Return what is in the repository or would be added to it; never what the tools or the panel leave behind."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else _without_git()
    return sorted(path for name in names if name and (path := ROOT / name).is_file())


def _without_git() -> list[str]:
    """Return the files of an unpacked archive."""
    skipped = {".venv", "var", "node_modules", "__pycache__", ".git"}
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [str(path) for path in found if not skipped & set(path.parts) and not path.parts[0].startswith(".")]


FILES = _files()


def _is_vendored(path: Path) -> bool:
    return "vendor" in path.parts


def test_no_source_file_is_longer_than_300_lines() -> None:
    source = [path for path in FILES if path.suffix in {".py", ".js", ".html"} and not _is_vendored(path)]
    source = [path for path in source if not {"tests", "migrations"} & set(path.relative_to(ROOT).parts)]

    long = {str(path.relative_to(ROOT)): n for path in source if (n := len(path.read_text().splitlines())) > LONGEST}

    assert long == {}


def test_no_file_or_folder_has_a_vague_name() -> None:
    named = [path.relative_to(ROOT) for path in FILES if not _is_vendored(path)]

    vague = [str(path) for path in named if VAGUE & {Path(part).stem.lower() for part in path.parts}]

    assert vague == []


def test_no_file_names_a_path_of_one_machine() -> None:
    texts = [
        path for path in FILES if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".html", ".js", ".in", ""}
    ]
    # Tests may name what must not be reached.
    texts = [path for path in texts if not _is_vendored(path) and path.relative_to(ROOT).parts[0] != "tests"]

    found = {
        str(path.relative_to(ROOT)): match[0]
        for path in texts
        if (match := MACHINE_PATH.search(path.read_text(errors="replace")))
    }

    assert found == {}


def test_the_readme_names_the_two_commands_and_is_short() -> None:
    readme = (ROOT / "README.md").read_text()

    assert "make run" in readme
    assert "make test" in readme
    assert len(readme.splitlines()) <= 120


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/quickstart.md"])
def test_links_between_documents_lead_somewhere(document: str) -> None:
    path = ROOT / document
    # Pictures are made by hand after a change of the pages.
    links = re.findall(r"(?<!!)\[[^\]]*\]\((?!https?:|#)([^)#\s]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


def _variables() -> set[str]:
    """Return every environment variable that the settings, `up` or its preparation read."""
    settings = (ROOT / "mcp_site/settings.py").read_text()
    found = set(re.findall(r"\benv(?:\.\w+)?\(\s*\"([A-Z][A-Z_]+)\"", settings))
    found |= set(re.findall(r"\"(RATE_[A-Z_]+)\"", settings))
    for path in [*(ROOT / "mcp_site/up").glob("*.py"), *(ROOT / "mcp_site/management").rglob("*.py")]:
        found |= set(re.findall(r"\"(MCP_[A-Z_]+|PUBLIC_URL)\"", path.read_text()))
    return found


def test_every_setting_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/reference/settings.md").read_text(), re.MULTILINE)

    assert sorted(documented) == sorted(_variables())


def test_the_example_environment_lists_every_setting() -> None:
    listed = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(_variables())


def test_decisions_are_numbered_without_gaps_and_say_what_was_rejected() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    assert [page.name for page in pages if "## Rejected alternatives" not in page.read_text()] == []

"""The reference pages say what the program does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import documented
from tests.launcher.runtimes import in_page, table
from tykky.cli import VERBS, build_parser
from tykky.compat.programs import PROGRAMS
from tykky.repos import Repos
from tykky.resources import resource

DOC = Path(__file__).parents[2] / "share/doc"
SOURCES = "".join(path.read_text() for path in (DOC.parents[1] / "tests").rglob("test_*.py"))


@pytest.mark.parametrize(
    "page",
    [
        *sorted(DOC.rglob("*.md")),
        *(DOC.parents[1] / name for name in ("README.md", "CONTRIBUTING.md")),
    ],
    ids=lambda page: page.stem,
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"
    for comment in re.findall(r"<!--(.*?)-->", text, re.DOTALL):
        for name in re.findall(r"\btest_\w+", comment):
            assert f"def {name}(" in SOURCES, f"{page.name} counts on {name}"


def test_every_page_is_in_the_index() -> None:
    index = (DOC / "README.md").read_text(encoding="utf-8")
    pages = {str(page.relative_to(DOC)) for page in DOC.rglob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([^)#:]+\.md)\)", index))


def test_the_page_of_recipes_has_all_that_come_with_tykky() -> None:
    page = (DOC / "reference/recipes.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)
    assert sorted(named) == Repos([resource("repo")]).names()


def test_every_verb_named_in_the_pages_exists() -> None:
    verbs = {verb for group in VERBS.values() for verb in group} | {"activate", "deactivate"}
    for page in DOC.rglob("*.md"):
        for block in re.findall(r"```(?:bash|console)\n(.*?)```", page.read_text(), re.DOTALL):
            for verb in re.findall(r"^(?:\$ )?tykky ([a-z]+)", block, re.MULTILINE):
                assert verb in verbs, f"{page.name}: tykky {verb}"


def test_site_is_built_and_takes_nothing_from_elsewhere(tmp_path: Path) -> None:
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    built = subprocess.run(mkdocs, cwd=DOC.parents[1], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    found = json.loads((tmp_path / "search/search_index.json").read_text())["docs"]
    places = {entry["location"].partition("#")[0] for entry in found}
    pages = {str(page.relative_to(DOC).with_suffix(".html")) for page in DOC.rglob("*.md")}
    assert places >= pages - {"README.html"} | {"index.html", "reference/commands.html"}
    for page in tmp_path.rglob("*.html"):
        tags = re.findall(r"<(?:link|script|img)\b[^>]*>", page.read_text(encoding="utf-8"))
        assert not [tag for tag in tags if re.search(r"(?:src|href)=[\"']?(?:https?:)?//", tag)], (
            page
        )


def test_the_picture_of_the_readme_is_whole_and_shows_verbs_that_exist() -> None:
    text = (DOC / "session.svg").read_text(encoding="utf-8")
    shown = "".join(ElementTree.fromstring(text).itertext()).replace("\u00a0", " ")
    assert not re.search(r"url\(|(?:href|src)=", text.replace("url(#", "("))
    verbs = re.findall(r"\$\s*tykky ([a-z]+)", shown)
    assert len(verbs) > 2
    assert {*verbs} <= {verb for group in VERBS.values() for verb in group}
    assert "error" not in shown


def test_man_pages_say_what_help_says_and_are_clean(tmp_path: Path) -> None:
    made = [sys.executable, DOC.parents[1] / "tools/manpages.py", tmp_path]
    subprocess.run(made, check=True, env={**os.environ, "PYTHONPATH": str(DOC.parents[1])})
    lines = {f"tykky-{verb}": line for group in VERBS.values() for verb, line in group.items()}
    assert {page.stem for page in tmp_path.iterdir()} == {*lines, "tykky", *PROGRAMS}
    parsers = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    for page in sorted(tmp_path.iterdir()):
        # What man does, with all warnings of groff.
        groff = ["groff", "-ww", "-mandoc", "-Tutf8", "-rLL=500n", "-P-cbou", page]
        shown = subprocess.run(groff, capture_output=True, text=True)
        assert (shown.returncode, shown.stderr) == (0, ""), page
        assert f"{page.stem} - {lines.get(page.stem, '')}" in shown.stdout.replace("\u2010", "-")
        if page.stem in lines:
            help = parsers[page.stem.removeprefix("tykky-")].format_help()  # type: ignore[index]
            for word in re.findall(r"(?<![\w-])--[a-z-]+", help):
                assert word in shown.stdout, f"{page.stem}: {word}"
            for example in help.partition("examples:\n")[2].splitlines():
                assert example.strip() in shown.stdout, page


def test_each_command_of_the_pages_is_run_or_marked_with_the_reason() -> None:
    """The running is done by ``tests/system/test_documentation.py``."""
    run = left = 0
    for page in documented.pages():
        found = documented.script(page)
        assert not found.wrong
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^ *```(bash|console)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
        lines = [(kind, line) for kind, block in blocks for line in block.splitlines() if line]
        typed = [line for kind, line in lines if kind == "bash" or line.startswith("$ ")]
        assert found.run + len(found.left) == len(typed), page
        for line, reason in found.left:
            assert len(reason) > 10, f"{page.name}: {line} has no reason"
        run, left = run + found.run, left + len(found.left)
    assert run > 3 * left, "what cannot be run is the exception"


def test_table_of_what_differs_between_the_runtimes_is_that_of_the_tests() -> None:
    page = DOC / "reference/isolation.md"
    text = page.read_text(encoding="utf-8")
    assert in_page(text, table()) == text, (
        f"make it anew: python -m tests.launcher.runtimes {page.relative_to(DOC.parents[1])}"
    )


def test_behind_each_sentence_about_security_is_a_test() -> None:
    page = (DOC / "explanation/security.md").read_text(encoding="utf-8")
    promised, _, _ = page.partition("## What is not promised")
    items = re.findall(r"^- (.*?)(?=^- |^#|\Z)", promised, re.MULTILINE | re.DOTALL)
    assert len(items) > 12
    for item in items:
        named = re.findall(r"test_\w+", item)
        assert named, f"nothing shows that {item}"
        for name in named:
            assert f"def {name}(" in SOURCES, name

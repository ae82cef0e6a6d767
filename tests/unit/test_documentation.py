"""The reference pages say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.launcher.runtimes import in_page, table
from tykky.cli import VERBS
from tykky.repos import Repos
from tykky.resources import resource

DOC = Path(__file__).parents[2] / "share/doc"


@pytest.mark.parametrize("page", sorted(DOC.rglob("*.md")), ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"


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


def test_table_of_what_differs_between_the_runtimes_is_that_of_the_tests() -> None:
    page = DOC / "reference/isolation.md"
    text = page.read_text(encoding="utf-8")
    assert in_page(text, table()) == text, (
        f"make it anew: python -m tests.launcher.runtimes {page.relative_to(DOC.parents[1])}"
    )


def test_behind_each_sentence_about_security_is_a_test() -> None:
    page = (DOC / "explanation/security.md").read_text(encoding="utf-8")
    promised, _, _ = page.partition("## What is not promised")
    sources = "".join(path.read_text() for path in (DOC.parents[1] / "tests").rglob("test_*.py"))
    items = re.findall(r"^- (.*?)(?=^- |^#|\Z)", promised, re.MULTILINE | re.DOTALL)
    assert len(items) > 12
    for item in items:
        named = re.findall(r"test_\w+", item)
        assert named, f"nothing shows that {item}"
        for name in named:
            assert f"def {name}(" in sources, name

"""The reference pages say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.launcher.runtimes import in_page, table
from tykky.cli import VERBS

DOC = Path(__file__).parents[2] / "share/doc"


@pytest.mark.parametrize("page", sorted(DOC.rglob("*.md")), ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_page_is_in_the_index() -> None:
    index = (DOC / "README.md").read_text(encoding="utf-8")
    pages = {str(page.relative_to(DOC)) for page in DOC.rglob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([^)#:]+\.md)\)", index))


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

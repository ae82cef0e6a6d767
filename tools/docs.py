"""What MkDocs asks to make the site: the navigation, and a page of all verbs (see mkdocs.yml)."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))
COMMANDS = "reference/commands.md"
#: A link from a page to a file of the checkout that is no page.
_OUTSIDE = re.compile(r"\]\(\.\./\.\./\.\./((?:configs|builds|repo)/[^)#]+)\)")


def on_config(config: Any) -> Any:
    """Take the navigation from the index, whose rooms are its lines in bold letters."""
    nav: list[dict[str, Any]] = [{"Tykky": "README.md"}]
    rooms: list[dict[str, Any]] = []
    for line in (TOP / "share/doc/README.md").read_text(encoding="utf-8").splitlines():
        if room := re.fullmatch(r"\*\*.*: (\S+)\*\*", line):
            rooms = []
            nav.append({room[1].capitalize(): rooms})
        elif page := re.match(r"- \[(.+?)\]\(([^)#:]+\.md)\)", line):
            rooms.append({page[1]: page[2]})
    reference = next(entry["Reference"] for entry in nav if "Reference" in entry)
    reference.insert(0, {"Commands": COMMANDS})
    config["nav"] = nav
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the page of verbs, made of the text that ``-h`` shows."""
    from tykky.cli import VERBS, build_parser

    parser = build_parser()
    (verbs,) = (a.choices for a in parser._actions if isinstance(a.choices, dict))
    text = "# Commands\n\nWhat each verb says of itself; `man tykky-install` shows the same.\n"
    for group, lines in VERBS.items():
        text += f"\n## {group}\n"
        for verb in lines:
            text += f"\n### tykky {verb}\n\n```text\n{verbs[verb].format_help()}```\n"
    files.append(File.generated(config, COMMANDS, content=text))
    pages = [path.read_text(encoding="utf-8") for path in (TOP / "share/doc").rglob("*.md")]
    for name in sorted({name for page in pages for name in _OUTSIDE.findall(page)}):
        source = str(TOP / name)
        files.append(File.generated(config, f"files/{name}", abs_src_path=source))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links to files of the checkout lead to their copies in the site."""
    return _OUTSIDE.sub(r"](../files/\1)", markdown)

"""What the pages of the documentation tell people to type, as scripts that can be run.

A script has a page's commands in the lines in which the page has them, so that an error names the
page's own line. All blocks of ``bash`` and ``console`` are run, one after the other in one shell.
Comments in the source of a page, which readers do not see, tell what else there is to know:

``<!-- first: COMMANDS -->``
    what has to be there is made by these.
``<!-- not run: REASON -->``
    the next block cannot be run here; or, with ``lines`` in backquotes before the reason, only
    the lines of it that begin so.
``<!-- file: PATH -->``
    the next block is the contents of a file that people write.

A line whose own comment begins with ``fails`` has to fail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
DOC = TOP / "share/doc"
_COMMENT = re.compile(r"<!-- (first|not run|file): (.*?)(-->)?$")
_MARKED = re.compile(r"(?:`[^`]+`,? ?)+: ")
_RUN = ("bash", "console")


@dataclass(frozen=True)
class Script:
    """The commands of a page; how many lines of it are run, and the others with the reasons."""

    text: str
    run: int
    left: tuple[tuple[str, str], ...]
    #: What is wrong with the comments: marks that are for nothing.
    wrong: tuple[str, ...] = ()


def pages() -> list[Path]:
    """All pages that tell people to type something."""
    every = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted(DOC.rglob("*.md"))]
    return [page for page in every if re.search(r"^```(bash|console)$", page.read_text(), re.M)]


def script(page: Path) -> Script:
    """What is to be run of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    out, left, wrong, run = [""] * len(lines), [], [], 0
    mark, file, number = "", "", 0
    while number < len(lines):
        line = lines[number]
        if found := _COMMENT.match(line):
            kind, text, end = found.groups()
            begin = number
            while not end and "-->" not in lines[number]:
                number += 1
            inner = [text, *lines[begin + 1 : number + 1]] if not end else [text]
            inner = [each.partition("-->")[0].rstrip() for each in inner]
            if kind == "first":
                out[begin : number + 1] = inner
            elif kind == "file":
                file = inner[0]
            else:
                mark = " ".join(inner)
        elif fence := re.match(r"```(\w*)$", line):
            end_of = lines.index("```", number + 1)
            body = lines[number + 1 : end_of]
            if file:
                out[number] = f"mkdir -p $(dirname {file}); cat >{file} <<'END-OF-FILE'"
                out[number + 1 : end_of + 1] = [*body, "END-OF-FILE"]
            elif fence[1] in _RUN:
                if fence[1] == "console":
                    body = [each[2:] if each.startswith("$ ") else "" for each in body]
                kept, gone, problems = _of_block(body, mark)
                out[number + 1 : end_of] = kept
                left += gone
                run += sum(1 for each in kept if each.strip() not in ("", ":"))
                wrong += [f"{page.name}:{number + 1}: {problem}" for problem in problems]
            elif mark:
                wrong.append(f"{page.name}:{number + 1}: a mark on a block that is not run anyway")
            mark = file = ""
            number = end_of
        number += 1
    if mark or file:
        wrong.append(f"{page.name}: a mark without a block after it")
    return Script("\n".join(out) + "\n", run, tuple(left), tuple(wrong))


def _of_block(body: list[str], mark: str) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """The lines of a block that are run, those that are not, and marks that name no line."""
    some = _MARKED.match(mark)
    if mark and not some:
        return [""] * len(body), [(line, mark) for line in body if line.strip()], []
    reason = mark[some.end() :] if some else ""
    begins = re.findall(r"`([^`]+)`", some[0]) if some else []
    wrong = [f"no line begins with '{b}'" for b in begins if not any(x.startswith(b) for x in body)]
    wrong += ["no reason is given"] if some and len(reason) < 5 else []
    kept, left = [], []
    for line in body:
        if any(line.startswith(begin) for begin in begins):
            left.append((line, reason))
            kept.append(":")
        elif found := re.match(r"(.+?)\s+# fails\b", line):
            kept.append(f"! {found[1]} || {{ echo 'it should fail' >&2; false; }}")
        else:
            kept.append(line)
    return kept, left, wrong

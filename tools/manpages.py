"""Writes the man pages of all programs, from the same text that ``-h`` shows.

usage: python tools/manpages.py DIRECTORY

``hatch_build.py`` calls this when a wheel is made, so that nothing has to be committed and no page
can say anything else than the program does; ``make man`` calls it in a checkout.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import tykky
from tykky.cli import VERBS, build_parser
from tykky.compat.programs import PROGRAMS, parser_of

#: What is special to roff, or set as something that a shell does not know.
_SPECIAL = {"\\": r"\(rs", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
_ENVIRONMENT = {
    "TYKKY_ROOT": "the root of the installs",
    "TYKKY_REPOS": "the repositories of recipes, as a list with colons",
    "TYKKY_SITE_CONFIG": "the configuration file of the site",
    "TYKKY_PINS": "which generations this session keeps; modules set it",
}


def pages() -> dict[str, str]:
    """The text of each page by its name, such as ``tykky-install``."""
    lines = {verb: line for group in VERBS.values() for verb, line in group.items()}
    parser = build_parser()
    made = {"tykky": _page("tykky", "software stacks for HPC systems", parser, _top())}
    for verb, child in _children(parser).items():
        made[f"tykky-{verb}"] = _page(f"tykky-{verb}", lines[verb], child, ["tykky"])
    for program in PROGRAMS:
        child = parser_of(program)
        line = str(child.description).rstrip(".")
        line = line[0].lower() + line[1:]
        made[program] = _page(program, line, child, ["tykky", *PROGRAMS])
    return made


def _page(name: str, line: str, parser: argparse.ArgumentParser, more: list[str]) -> str:
    """A page; ``more`` are the pages to see also, or, of ``tykky``, its further sections."""
    text = [f'.TH "{_roff(name.upper())}" 1 "" "Tykky {tykky.__version__}" "Tykky"']
    text += [".nh", ".ad l", ".SH NAME", rf"{_roff(name)} \- {_roff(line)}"]
    text += [".SH SYNOPSIS", *_usage(parser)]
    text += [".SH DESCRIPTION", *_paragraphs(parser.description or "")]
    text += [".SH OPTIONS", *_options(parser)]
    if actions := _children(parser):
        text.append(".SH ACTIONS" if name.startswith("tykky-") else ".SH COMMANDS")
        if name == "tykky":
            text += more
            return "\n".join([*text, ""])
        for action, child in actions.items():
            text += [f'.SS "{_roff(action)}"', *_usage(child)]
            text += [".PP", *_paragraphs(child.description or _help(parser, action))]
            text += _options(child, shown=_names(parser))
    if parser.epilog:
        _, _, examples = parser.epilog.partition("examples:\n")
        text += [".SH EXAMPLES", ".nf", *(_line(each) for each in examples.splitlines()), ".fi"]
    return "\n".join([*text, *_see_also([each for each in more if each != name]), ""])


def _top() -> list[str]:
    """What ``tykky(1)`` has of its own: the verbs in their groups, variables, further pages."""
    text: list[str] = []
    for group, verbs in VERBS.items():
        text.append(f'.SS "{group}"')
        for verb, line in verbs.items():
            text += [".TP 14", rf"\fB{_roff(verb)}\fR", _line(line)]
    text.append(".SH ENVIRONMENT")
    for variable, line in _ENVIRONMENT.items():
        text += [".TP", rf"\fB{variable}\fR", _line(line)]
    text += [".PP", r"Any key of the configuration may be set so; \fBtykky config\fR shows them."]
    text += [".SH EXIT STATUS", "0 if all was done, 2 if the command line is wrong, others by what"]
    text += [r"failed; each error says what to do, and \fB\-\-json\fR has its code."]
    return [*text, *_see_also([*(f"tykky-{v}" for group in VERBS.values() for v in group)])]


def _see_also(names: list[str]) -> list[str]:
    links = ",\n".join(rf"\fB{_roff(name)}\fR(1)" for name in sorted(names))
    return [".SH SEE ALSO", links]


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    words = " ".join(parser.format_usage().removeprefix("usage: ").split())
    program = parser.prog
    return [rf"\fB{_roff(program)}\fR {_roff(words.removeprefix(program).strip())}"]


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs; what is indented, or has columns, keeps its lines."""
    for number, block in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        lines = block.splitlines()
        kept = any(re.match(r" |- |\* ", line) or "  " in line.strip() for line in lines)
        yield from [".nf"] * kept
        yield from (_line(line) for line in lines)
        yield from [".fi"] * kept


def _options(parser: argparse.ArgumentParser, shown: frozenset[str] = frozenset()) -> Iterator[str]:
    """What may be given, but for options that were ``shown`` above."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or shown & {*action.option_strings}:
            continue
        value = action.metavar or action.dest
        value = " ".join(value) if isinstance(value, tuple) else value
        if action.option_strings:
            head = ", ".join(rf"\fB{_roff(name)}\fR" for name in action.option_strings)
            head += rf" \fI{_roff(value)}\fR" * (action.nargs != 0)
        elif action.choices:
            head = ", ".join(rf"\fB{_roff(str(choice))}\fR" for choice in action.choices)
        else:
            head = rf"\fI{_roff(value)}\fR"
        yield from (".TP", head, _line(formatter._expand_help(action) if action.help else "-"))


def _children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the words after a program or a verb."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _help(parser: argparse.ArgumentParser, name: str) -> str:
    """The one line of help of a word after a program or a verb."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return next((str(c.help) for c in action._choices_actions if c.dest == name), "")
    return ""


def _names(parser: argparse.ArgumentParser) -> frozenset[str]:
    return frozenset(name for action in parser._actions for name in action.option_strings)


def _roff(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _line(text: str) -> str:
    """A line of text, which a dot at its beginning would make a request."""
    return rf"\&{_roff(text)}" if text[:1] in (".", "'") else _roff(text)


def main() -> None:
    """Write all pages into the directory that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["NO_COLOR"] = "1"  # newer Pythons colour what argparse says
    for name, text in pages().items():
        (folder / f"{name}.1").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

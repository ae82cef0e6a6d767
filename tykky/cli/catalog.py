"""Make web pages that tell what is installed: to read, to search, and for programs.

They need no server: any web server can offer the directory, and a browser can open it. A page of
each stack has its versions, how it is loaded and used in jobs, its packages with licences, what has
changed, and how to cite it. What is hidden, or for a group only, is left out. With 'catalog.output'
in the configuration, they are made again after each change of an install.
"""

from __future__ import annotations

import os
from pathlib import Path

from tykky import console
from tykky.cli.common import Call, Result, flag, option
from tykky.errors import Exit, TykkyError

EXAMPLES = """\
  tykky catalog --output /var/www/software --title "Software of the centre"
  tykky catalog --output pages --url https://software.centre.example/
  tykky catalog --output pages --also project            the root 'project' as well
  tykky catalog                                          where 'catalog.output' says
"""

ARGUMENTS = (
    option("--output", metavar="DIR", help="the directory for the pages (catalog.output)"),
    option("--title", help="what they are called (catalog.title)"),
    option("--url", metavar="BASE", help="where others will find them (catalog.url)"),
    option(
        "--also",
        metavar="ROOT",
        action="append",
        default=[],
        help="another root to tell of, by name or path; may be given again (catalog.roots)",
    ),
    flag("--hidden", help="tell of what is hidden, or for a group only, as well"),
)

#: What of a root is no place for pages.
_OWN = ("store", "db", "modules", "trash")


def run(call: Call) -> Result:
    """Make the pages, or what has changed of them."""
    from tykky.publish import catalog
    from tykky.publish.catalog.text import link

    args, wanted = call.args, call.config.catalog
    output = Path(os.path.abspath(args.output)) if args.output else wanted.output  # noqa: PTH100
    if output is None:
        remedy = "name one: --output DIR, or 'tykky config set catalog.output DIR'"
        raise TykkyError("no directory for the pages is named", remedy=remedy, code=Exit.USAGE)
    roots = (call.store.root, *(path for _, path in call.config.roots))
    if output in (Path.home(), *roots) or any(
        root / name in (output, *output.parents) for root in roots for name in _OWN
    ):
        cause = f"{output} has other things in it, which are not for pages"
        raise TykkyError(cause, remedy="name an empty directory: --output DIR", code=Exit.USAGE)
    if args.url and not link(args.url):
        cause = f"'{args.url}' is no address that pages of the web may be at"
        raise TykkyError(cause, remedy="--url https://HOST/PATH/", code=Exit.USAGE)
    hidden = args.hidden or wanted.hidden
    url = wanted.url if args.url is None else args.url
    wish = catalog.Wish(output, args.title or wanted.title, url, wanted.contact, hidden)
    shown = catalog.roots_of(call.config, call.store, [_root(call, each) for each in args.also])
    made = catalog.make(wish, shown)
    for problem in made.problems:
        console.warn(problem)
    counts = {"stack": made.stacks, "version": made.versions, "new file": made.written}
    told = ", ".join(console.plural(count, what) for what, count in counts.items())
    console.note(f"{output / 'index.html'}: {told}")
    value = {"output": str(output), "stacks": made.stacks, "versions": made.versions}
    value |= {"written": made.written, "removed": made.removed, "problems": made.problems}
    return Result(value)


def _root(call: Call, words: str) -> Path:
    """A root by its name or path. Raises ``TykkyError``."""
    path = dict(call.config.roots).get(words) or Path(os.path.abspath(words))  # noqa: PTH100
    if not (path / "db").is_dir():
        remedy = "'tykky config get roots' lists those that have names"
        raise TykkyError(f"there is no root '{words}'", remedy=remedy, code=Exit.NOT_FOUND)
    return path

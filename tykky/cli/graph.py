"""Tell who stands on whom: installs on others and on their bases; packages on packages.

Each line is below what needs it. With --reverse, it is the other way round: below each base and
each install is what would be gone without it.
"""

from __future__ import annotations

from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, flag, option, place_of, positional, said
from tykky.contents import Installed, of_install, own
from tykky.errors import Exit, SpecError, StoreError
from tykky.inventory import drawing
from tykky.inventory import graph as graphs
from tykky.inventory.graph import Graph
from tykky.inventory.wanted import wanted
from tykky.store import roots

EXAMPLES = """\
  tykky graph                                all installs, what they need, their bases
  tykky graph python-data                    what one stands on
  tykky graph --reverse cuda                 what stands on it
  tykky graph --packages python-data         what each of its packages requires
  tykky graph --why numpy python-data        what brings numpy in
  tykky graph --format svg                   a picture; dot: for Graphviz
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION]; default: all", "*"),
    flag("--reverse", help="turn it round: what stands on each"),
    flag("--packages", help="the packages of one install, and what they require"),
    option("--why", metavar="GLOB", help="which packages of one install bring such a package in"),
    option("--format", choices=("text", "dot", "svg"), default="text", help="default: text"),
)


def run(call: Call) -> Result:
    """Print the graph."""
    args = call.args
    tops: list[str] = []
    if args.packages or args.why:
        graph = _of_packages(call)
    else:
        records = [call.having(word).store.generation(word) for word in args.install]
        tops = [f"{record.prefix}#{record.generation}" for record in records]
        entries, _ = roots.match(call.stores, None)
        call.warn_of_unreadable()
        graph = graphs.of_installs(entries, tops)
    graph = graph.reverse() if args.reverse else graph
    if tops:
        graph = graph.only(graph.reach(tops))
    lines = {
        "text": lambda: drawing.tree(graph, tops or graph.tops()),
        "dot": lambda: drawing.dot(graph),
        "svg": lambda: drawing.svg(graph),
    }
    facts: dict[str, Any] = {
        "nodes": [vars(node) for node in graph.nodes.values()],
        "edges": [[one, other] for one, others in graph.edges.items() for other in others],
    }
    if not graph.nodes:
        return Result(facts, lambda: console.note(f"nothing is installed in {call.where}"))
    return Result(facts, said([*lines[args.format]()]))


def _of_packages(call: Call) -> Graph:
    args = call.args
    if len(args.install) != 1:
        raise SpecError("packages are those of one install", remedy="name one", code=Exit.USAGE)
    record = call.having(args.install[0]).store.generation(args.install[0])
    packages = own(of_install(place_of(record).generation(record.generation)))
    _check(record.title, packages)
    graph = graphs.of_packages(packages)
    if not args.why:
        return graph
    found = graphs.why(graph, packages, wanted(args.why))
    if not found.nodes:
        cause = f"{record.title} has no package '{args.why}' of its own"
        raise StoreError(cause, remedy=f"'tykky which {args.why}' tells where there is one")
    return found


def _check(title: str, packages: tuple[Installed, ...]) -> None:
    """Say what is not known. Raises ``StoreError`` if that is everything."""
    if not packages:
        raise StoreError(f"nothing is known of the packages of {title}")
    if not any(package.why for package in packages):
        refresh = "'tykky refresh' finds it out"
        console.warn(
            f"what the packages of {title} require was not noted when it was made; {refresh}"
        )

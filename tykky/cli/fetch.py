"""Fetch what stacks are built from, ahead of time: then they are installed without a network.

Packages of the locks and what recipes download go into the cache ('cache_dir'), images to the
others. A recipe without a lock is resolved now; 'tykky lock' keeps what was chosen beside it. For
other machines, 'tykky bundle --inputs' writes the same into one file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, check_named, listed, option, said, specs, specs_of
from tykky.exchange.inputs import Fetcher, Inputs, put_on_mirror, shown
from tykky.spec import Spec

EXAMPLES = """\
  tykky fetch python-data fireworks            then 'tykky install' asks no network
  tykky fetch --list builds/site.yaml          for all that a stack list names
  tykky fetch gromacs --mirror /appl/mirror    'mirrors: [file:///appl/mirror]' then has it
"""

ARGUMENTS = (
    specs("what is to be built later", "*"),
    option("--list", metavar="FILE", help="what a stack list names for this machine"),
    option("--mirror", type=Path, metavar="DIR", help="put what recipes download into a mirror"),
)


def run(call: Call) -> Result:
    """Fetch for one spec after the other; what was fetched stays, whatever fails later."""
    inputs = fetched(call, wanted(call))
    for remark in inputs.remarks:
        console.warn(remark)
    if call.args.mirror:
        put_on_mirror(inputs, call.args.mirror.expanduser().absolute(), call.store)
    answer: dict[str, Any] = {"specs": inputs.specs, "bytes": inputs.size}
    answer["files"] = sorted(name for name, _ in inputs.files.values())
    answer["images"] = [pulled.file for pulled in inputs.images.values()]
    return Result(answer, said([f"fetched {shown(inputs)}"]))


def wanted(call: Call) -> list[Spec]:
    """The specs of the command line, and those of a list. Raises ``TykkyError``."""
    check_named(call)
    own = specs_of(call.args.spec) if call.args.spec else []
    return [*own, *(each.spec for each in listed(call, here=True))]


def fetched(call: Call, wished: list[Spec]) -> Inputs:
    """What stacks are built from."""
    fetcher = Fetcher(call.config, call.repos, call.store)
    for spec in wished:
        with console.step("fetch", str(spec)) as line:
            fetcher.fetch(spec, line.update)
            line.update(str(spec))
    return fetcher.inputs

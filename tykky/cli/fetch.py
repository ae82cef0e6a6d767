"""Fetch what stacks are built from, ahead of time: then they are installed without a network.

Packages of the locks and what recipes download go into the cache ('cache_dir'), images to the
others. A recipe without a lock is resolved now; 'tykky lock' keeps what was chosen beside it. With
--mirror they are also laid out as a mirror that others may name in 'mirrors' and 'pip.index_url'.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, option, said, specs, specs_of
from tykky.errors import Exit, StoreError, explained
from tykky.exchange.inputs import Fetcher, Inputs, shown
from tykky.spec import Spec

EXAMPLES = """\
  tykky fetch python-data fireworks            then 'tykky install' asks no network
  tykky fetch --list builds/site.txt           specs in a file, one a line
"""

ARGUMENTS = (
    specs("what is to be built later", "*"),
    option("--list", type=Path, metavar="FILE", help="a file with a spec in each line"),
)


def run(call: Call) -> Result:
    """Fetch for one spec after the other; what was fetched stays, whatever fails later."""
    inputs = fetched(call, wanted(call))
    for remark in inputs.remarks:
        console.warn(remark)
    answer: dict[str, Any] = {"specs": inputs.specs, "bytes": inputs.size}
    answer["files"] = sorted(name for name, _ in inputs.files.values())
    answer["images"] = [pulled.file for pulled in inputs.images.values()]
    return Result(answer, said([f"fetched {shown(inputs)}"]))


def wanted(call: Call) -> list[Spec]:
    """The specs of the command line, and those of a list. Raises ``TykkyError``."""
    words, path = list(call.args.spec), call.args.list
    if path is not None:
        with explained(f"read {path}"):
            lines = path.read_text(encoding="utf-8").splitlines()
        words += [line.partition("#")[0].strip() for line in lines]
    if not any(words):
        cause = "nothing says for what to fetch"
        raise StoreError(cause, remedy="name it, or give --list FILE", code=Exit.USAGE)
    return specs_of([word for word in words if word])


def fetched(call: Call, wished: list[Spec]) -> Inputs:
    """What stacks are built from."""
    fetcher = Fetcher(call.config, call.repos, call.store)
    for spec in wished:
        with console.step("fetch", str(spec)) as line:
            fetcher.fetch(spec, line.update)
            line.update(str(spec))
    return fetcher.inputs

"""Build an install again from what it was built from, and compare: a proof. Nothing is changed.

The recipe, what lies beside it, and the lock are those that the generation has kept, so that the
repository need not be there. What else it was built from has to be: the base, what it needs,
downloads, and files of the host that it has read. If the image is not the same, the files that
differ are named, with where they do; the exit code is 18 then.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tykky import console
from tykky.build.rebuilding import Proof, rebuild
from tykky.cli.common import Call, Result, flag, positional
from tykky.errors import Exit, StoreError

EXAMPLES = """\
  tykky rebuild --check python-data/26.11
  tykky rebuild --check python-data/26.11#6    an earlier generation
"""

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION]"),
    flag("--check", help="build in a scratch directory, and compare"),
)
#: So many files that differ are shown; programs are told all.
_SHOWN = 20


def run(call: Call) -> Result:
    """Tell whether the digest is the same; if not, exit 18."""
    args = call.args
    if not args.check:
        cause = "'tykky rebuild' only proves something, and is to be told so"
        remedy = f"'tykky rebuild --check {args.install}'; 'tykky install --force' builds anew"
        raise StoreError(cause, remedy=remedy, code=Exit.USAGE)
    call = call.having(args.install)
    proof = rebuild(call.store.generation(args.install), call.config, call.store)
    code = Exit.OK if proof.is_same else Exit.DIFFERENT
    return Result(_answer(proof), lambda: _show(proof), code)


def _answer(proof: Proof) -> dict[str, Any]:
    return {
        "title": proof.record.title,
        "same": proof.is_same,
        "installed": proof.installed,
        "rebuilt": proof.sha256,
        "differences": [asdict(each) for each in proof.differences],
        "inputs": [*proof.other],
    }


def _show(proof: Proof) -> None:
    title = proof.record.title
    if proof.is_same and proof.sha256 != proof.installed:
        console.say(f"{title} has the files that its recipe and its lock give, in layers")
        return
    if proof.is_same:
        console.say(f"{title} is what its recipe and its lock give: sha256 {proof.sha256}")
        return
    count = console.plural(len(proof.differences), "file")
    many = "s" if len(proof.differences) == 1 else ""
    console.say(f"{title} is not what was built again: {count} of the image differ{many}")
    for each in proof.differences[:_SHOWN]:
        console.say(f"  {each.path} {each.what}")
        for side, shown in zip(("installed", "built again"), each.sides, strict=False):
            console.say(f"    {side:11}  {shown}")
    if len(proof.differences) > _SHOWN:
        console.say(f"  and {len(proof.differences) - _SHOWN} more; --json names all")
    if not proof.differences:
        console.say("  all files are the same: another mksquashfs has packed them otherwise")
    for line in proof.other:
        console.note(line)

"""Offer the kernels of stacks to Jupyter: for notebooks in any JupyterLab, central or your own.

A kernel gets a name of its own, such as 'python-data-26.11', and beside it the notebooks' other
kernels stay what they are. It runs the command of the stack, with the variables that its module
sets, and follows updates. It goes when its stack is uninstalled, if whoever does that may write to
it; 'kernel remove --gone' removes those whose stack is not there any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Action, Call, Result, flag, option, place_of, positional
from tykky.cli.exec import meant
from tykky.errors import Exit, StoreError, TykkyError
from tykky.publish import kernels
from tykky.publish.kernels import Found, Kernel
from tykky.store import Permissions, Place, Record

EXAMPLES = """\
  tykky kernel add python-data                       for yourself
  tykky kernel add r-env --shared /appl/jupyter      for all whose JUPYTER_PATH has that folder
  tykky kernel add python-data --course /appl/courses/ml.yml
  tykky kernel list
  tykky kernel remove python-data                    all of that stack
  tykky kernel remove --gone                         those whose stack is not there any more
"""


def _folder(call: Call) -> Path:
    if shared := call.args.shared:
        return Path(os.path.abspath(shared)) / "kernels"  # noqa: PTH100 - links stay
    return kernels.own_folder(os.environ)


def _add(call: Call) -> Result:
    args = call.args
    if args.user + bool(args.shared) + bool(args.course) > 1:
        cause = "--user, --shared and --course exclude each other"
        raise TykkyError(cause, code=Exit.USAGE)
    call = call.having(args.install)
    record = meant(call, args.install)
    if "#" in args.install:
        cause = "a kernel follows the generation that is current, and cannot be of another one"
        raise StoreError(cause, remedy=f"tykky kernel add {record.module}", code=Exit.USAGE)
    found = kernels.offered(record)
    # What is for others has the site's modes; what is a user's own, those of the user.
    permissions = call.store.permissions if args.shared or args.course else Permissions()
    made = _course(call, record, found) if args.course else _specs(call, record, found, permissions)
    place = place_of(record)
    if os.access(place.hidden, os.W_OK):
        with call.changing(place, record.module):
            kernels.note(place, made, call.store.permissions)
    for path in made:
        console.note(f"made {path}")
    answers = [{"name": k.name, "argv": k.spec["argv"], "env": k.spec["env"]} for k in found]
    value = {"module": record.module, "kernels": answers, "paths": [str(path) for path in made]}
    return Result(value, lambda: None)


def _specs(
    call: Call, record: Record, found: Sequence[Kernel], permissions: Permissions
) -> dict[Path, Any]:
    folder = _folder(call)
    for kernel in found:
        kernels.check_free(folder / kernel.name, record)
    made = {kernels.write(kernel, folder, permissions): kernel.spec for kernel in found}
    if folder not in kernels.searched(os.environ):
        remedy = f"JUPYTER_PATH={folder.parent} makes them seen"
        console.note(f"your Jupyter does not look into {folder}: {remedy}")
    return made


def _course(call: Call, record: Record, found: Sequence[Kernel]) -> dict[Path, Any]:
    path = Path(os.path.abspath(call.args.course))  # noqa: PTH100 - links stay
    if path.suffix not in (".yaml", ".yml"):
        cause = f"{path} is to be a file of a course, and does not end with .yml"
        raise StoreError(cause, remedy="tykky kernel add ... --course NAME.yml", code=Exit.USAGE)
    kernels.check_free(path, record)
    text = kernels.course(record, found, call.config.module_path)
    kernels.write_course(path, text, call.store.permissions)
    return {path: text}


def _all(call: Call) -> list[Found]:
    """The kernels of ours that can be known of here, but for those in homes of others."""
    more = [
        path
        for store in call.stores
        for entry in store.open_entries()
        for path in kernels.noted(place_of(entry))
        if os.access(path.parent, os.W_OK)
    ]
    return list(kernels.present(kernels.searched(os.environ), more))


def _list(call: Call) -> Result:
    found = _all(call)

    def show() -> None:
        rows = [(each.name, each.module, _state(each), str(each.path)) for each in found]
        if rows:
            console.table(rows, ("KERNEL", "MODULE", "", "WHERE"))
        else:
            console.note("there are none: 'tykky kernel add NAME' makes one")

    value = [
        {"name": f.name, "module": f.module, "prefix": f.prefix, "path": str(f.path)}
        | {"gone": f.gone, "shadowed": f.shadowed}
        for f in found
    ]
    return Result(value, show)


def _state(found: Found) -> str:
    if found.gone:
        return "its stack is gone"
    return f"hidden by {found.shadowed}" if found.shadowed else ""


def _remove(call: Call) -> Result:
    args = call.args
    if bool(args.name) == args.gone:
        remedy = "name them, or give --gone (and not both)"
        raise StoreError("nothing says which kernels to remove", remedy=remedy, code=Exit.USAGE)
    found, chosen = _all(call), dict[Path, Found]()
    if args.gone:
        chosen = {each.path: each for each in found if each.gone}
    for name in args.name:
        meant_by = [f for f in found if name in (f.name, f.module, f.prefix, str(f.path))]
        meant_by = meant_by or [f for f in found if f.module.partition("/")[0] == name]
        if not meant_by:
            remedy = "'tykky kernel list' shows those that there are"
            raise StoreError(f"there is no kernel '{name}' of Tykky", remedy=remedy)
        chosen |= {each.path: each for each in meant_by}
    for path, each in chosen.items():
        kernels.remove(path)
        place = Place(Path(each.prefix))
        if path in kernels.noted(place) and os.access(place.hidden, os.W_OK):
            with call.changing(place, each.module):
                kernels.note(place, {path: None}, call.store.permissions)
        console.note(f"removed {path}")
    return Result([str(path) for path in chosen])


ACTIONS = {
    "add": Action(
        _add,
        "make kernelspecs of the kernels of a stack",
        (
            positional("INSTALL", "NAME[/VERSION], or a path"),
            flag("--user", help="for yourself, in your home (this is what is done otherwise)"),
            option("--shared", metavar="DIR", help="for others: in DIR/kernels"),
            option("--course", metavar="FILE", help="a file for a JupyterHub or Open OnDemand"),
        ),
        "Make kernelspecs of the kernels of a stack: for Python, R, and whatever it has.",
    ),
    "list": Action(_list, "list the kernels of stacks"),
    "remove": Action(
        _remove,
        "remove kernels",
        (
            positional("NAME", "kernels, modules or paths", "*"),
            flag("--gone", help="those whose stack is not there any more"),
        ),
        "Remove kernelspecs and files of courses that Tykky has made.",
    ),
}

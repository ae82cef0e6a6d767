"""Write stacks, or what builds them, into one file for a network that nothing is pulled into.

'tykky import FILE' installs them there. With --inputs, the file has packages, images, recipes with
their locks, and the site's advisories, and 'tykky install' builds there. With 'signing.key' set, it
is signed. The file is an archive of an OCI layout, which skopeo and oras read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, check_named, flag, listed, named, option, said, specs
from tykky.cli.fetch import fetched, wanted
from tykky.cli.push import chosen
from tykky.errors import Exit, StoreError
from tykky.exchange import archive, inputs
from tykky.exchange.archive import Named
from tykky.exchange.artifact import build_tag, tag_of
from tykky.exchange.pushing import artifact_of, needed
from tykky.host import host_name
from tykky.lists import reading
from tykky.lists.difference import Looker
from tykky.store import Record, signatures

EXAMPLES = """\
  tykky bundle python-data fireworks -o stacks.tar     as they are installed here
  tykky bundle --inputs python-data -o inputs.tar      what builds them
  tykky import stacks.tar                              on the other machine
"""

ARGUMENTS = (
    specs("what to write", "*"),
    option("--list", metavar="FILE", help="also what a stack list names for this machine"),
    option("-o", "--output", type=Path, metavar="FILE", required=True, help="the file to write"),
    flag("--inputs", help="what builds them, and not the installs"),
)


def run(call: Call) -> Result:
    """Write the file, whole or not at all."""
    signatures.check_key(call.config)
    sign, path = signatures.signer(call.config), call.args.output.absolute()
    made: dict[str, Named] = {}
    places: dict[str, str] = {}
    check_named(call)
    if not call.args.spec and not listed(call, here=True):
        remedy = "'tykky apply FILE --dry-run' tells what it names for which machine"
        raise StoreError(f"{call.args.list} names nothing for this machine", remedy=remedy)
    if call.args.inputs:
        found = fetched(call, wanted(call))
        for remark in found.remarks:
            console.warn(remark)
        made["inputs"] = Named("inputs", ("inputs",), inputs.artifact_of(found, call.config))
    for record in () if call.args.inputs else _installs(call):
        for each in (*needed(record), record):
            tags = tag_of(f"{each.version}{each.suffix}", each.arch), build_tag(each.build)
            if places.setdefault(each.title, each.prefix) != each.prefix:
                cause = f"{each.title} is in {places[each.title]} and in {each.prefix}"
                remedy = "a file has one of them: write one for each root"
                raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
            if each.title not in made:
                made[each.title] = Named(each.name, tags, artifact_of(each, call.config, sign))
    with console.step("bundle", path.name) as line:
        size = archive.write(path, [*made.values()], sign, line.update)
        line.update(f"{path}, {console.size(size)}")
    answer: dict[str, Any] = {"file": path, "bytes": size, "has": sorted(made)}
    answer["signed"] = sign is not None
    return Result(answer, said([f"wrote {path}: {', '.join(sorted(made))}"]))


def _installs(call: Call) -> list[Record]:
    """The generations of the command line, and those that a list means. Raises ``TykkyError``."""
    words, file = named(call.args.spec), call.args.list
    own = chosen(call, words) if words else []
    if not file:
        return own
    found = reading.read(Path(file), host_name(), call.config.cache_dir)
    return [*own, *Looker(call.args.flags, call.repos, lambda _: None).installs(found)]

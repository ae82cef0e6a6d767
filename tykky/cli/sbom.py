"""Print the bill of materials of an install: all that is in it, for other programs.

It tells each package with version, origin, digest and licence, and what requires it; what the stack
runs on, and the stacks that it needs. Each generation has its own in CycloneDX, sbom.cdx.json
beside its record.
"""

from __future__ import annotations

import json
from pathlib import Path

from tykky import console
from tykky.cli.common import Call, Result, option, place_of, positional
from tykky.contents import of_install
from tykky.errors import explained
from tykky.inventory import bill, cyclonedx, spdx

EXAMPLES = """\
  tykky sbom python-data                                  in CycloneDX 1.6
  tykky sbom python-data/26.11#6                          of an earlier generation
  tykky sbom python-data --format spdx --output py.spdx.json
"""

_FORMATS = ("cyclonedx", "spdx")

ARGUMENTS = (
    positional("INSTALL", "NAME[/VERSION][#GENERATION], or a path"),
    option("--format", choices=_FORMATS, default=_FORMATS[0], help="CycloneDX 1.6, or SPDX 2.3"),
    option("--output", metavar="FILE", help="write it to a file"),
)


def run(call: Call) -> Result:
    """Print the bill of one generation, or write it."""
    args = call.args
    record = call.having(args.install).store.generation(args.install)
    packages = of_install(place_of(record).generation(record.generation))
    found = bill.of_generation(record, packages)
    text = spdx.text(found) if args.format == "spdx" else cyclonedx.checked(found)
    if not packages:
        console.warn(f"nobody knows what is in {record.title}: 'tykky refresh' may find it")
    if args.output:
        with explained(f"write {args.output}"):
            Path(args.output).expanduser().write_text(text, encoding="utf-8")
    value = {"format": args.format, "file": args.output or "", "bill": json.loads(text)}

    def show() -> None:
        if args.output:
            console.note(f"the bill of materials of {record.title} is in {args.output}")
        else:
            console.say(text.rstrip("\n"))

    return Result(value, show)

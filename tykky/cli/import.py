"""Take in a file that 'tykky bundle' has made.

Everything in it is checked before anything of it is seen, its signature as 'signing.policy' says.
Stacks are installed, at whatever root; what builds stacks goes into the cache and among the images,
recipes into 'recipes' below the root.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Call, Result, flag, positional, said
from tykky.exchange import inputs
from tykky.exchange.archive import reading
from tykky.exchange.artifact import INPUTS, read
from tykky.exchange.pulling import Puller, opened, shown, trusted

EXAMPLES = """\
  tykky import stacks.tar
  tykky import stacks.tar --list               only say what is in it
"""

ARGUMENTS = (
    positional("FILE", "what 'tykky bundle' has made"),
    flag("--list", help="say what is in it, and do nothing"),
)


def run(call: Call) -> Result:
    """Take in one thing after the other; each is whole before the next begins."""
    path = Path(call.args.file).absolute()
    answers: list[dict[str, Any]] = []
    lines: list[str] = []
    with reading(path, call.config) as archive:
        trusted(str(path), archive.index, archive.signature, call.config)
        puller = Puller([archive], call.config, call.store, call.publisher)
        for name, tag, text in archive.named():
            artifact = read(text, f"{name}:{tag} in {path}")
            size = console.size(artifact.size)
            if call.args.list:
                answers.append({"name": name, "tag": tag, "kind": artifact.kind, "size": size})
                lines.append(f"{name} {tag}: {size}")
                continue
            with console.step("import", f"{name} ({size})") as line:
                if artifact.kind == INPUTS:
                    call.store.prepare()
                    done = inputs.take(archive, artifact, call.store, call.config, line.update)
                    answers.append({"did": "imported", **done})
                    lines += _told(done, call)
                    continue
                got = puller.pull(opened(archive, name, text, call.config), line.update)
                line.update(shown(got).removeprefix("pulled "))
                answers.append({"did": got.did, **asdict(got.record)})
                lines.append(shown(got).replace("pulled ", "imported ", 1).partition(":")[0])
    return Result(answers, said(lines))


def _told(done: dict[str, Any], call: Call) -> list[str]:
    files, images = (console.plural(done[key], key[:-1]) for key in ("files", "images"))
    lines = [f"imported {files} and {images}, for {', '.join(done['specs'] or ())}"]
    known = {str(path) for path in call.config.repos}
    if new := [folder for folder in done["recipes"] if folder not in known]:
        every = ":".join([*new, *(str(path) for path in call.config.repos[:-1])])
        lines.append(f"the recipes are in {', '.join(new)}: tykky config set repos {every}")
    if done["advisories"]:
        lines.append(f"advisories: tykky config set advisories.osv {done['advisories']}")
    return lines

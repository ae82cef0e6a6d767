"""Install what others have built, from a registry.

It is checked against its digests, and its signature as 'signing.policy' says, before anything of it
is seen. Images that are here already are not fetched again; what it needs comes with it. The recipe
need not be here. 'tykky install' does the same for what it would build, if 'registries' is set.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tykky import bases, console
from tykky.cli.common import Call, Result, option, said, specs, specs_of
from tykky.errors import Exit, SpecError, StoreError
from tykky.exchange.artifact import tag_of
from tykky.exchange.pulling import Got, Puller, find, shown
from tykky.exchange.registries import Registry
from tykky.exchange.sources import Remote
from tykky.spec import Spec

EXAMPLES = """\
  tykky pull python-data/26.11                 as its module is named
  tykky pull python-data@26.11 +jupyter --from ghcr.io/centre/stacks
  tykky registry list                          what there is
"""

ARGUMENTS = (
    specs("what to pull"),
    option("--from", metavar="HOST/PATH", dest="source", help="the registry; else the configured"),
)


def run(call: Call) -> Result:
    """Pull one after the other."""
    registries = Registry.configured(call.config, call.args.source)
    sources = [Remote(registry, call.config) for registry in registries]
    puller = Puller(sources, call.config, call.store, call.publisher)
    got = [_pull(puller, spec, call) for spec in specs_of(call.args.spec)]
    answers: list[dict[str, Any]] = [
        {
            "did": each.did,
            "bytes_fetched": each.fetched,
            "bytes_there": each.there,
            "from": each.title,
            "digest": each.digest,
            **asdict(each.record),
        }
        for each in got
    ]
    return Result(answers, said([shown(each) for each in got]))


def _pull(puller: Puller, spec: Spec, call: Call) -> Got:
    version = _version(spec, call)
    with console.step("pull", f"{spec.name}/{version}" if version else spec.name) as line:
        for source in puller.sources:
            assert isinstance(source, Remote)
            tag = tag_of(version, bases.arch()) if version else _only(source, spec.name)
            found = find([source], spec.name, tag, call.config) if tag else None
            if found is not None:
                got = puller.pull(found, line.update)
                line.update(shown(got).removeprefix("pulled "))
                return got
        there = ", ".join(source.title for source in puller.sources)
        what = f"{spec.name}/{version}" if version else spec.name
        raise StoreError(
            f"there is no {what} for {bases.arch()} at {there}",
            remedy=f"'tykky registry list {spec.name}' tells what is; 'tykky install' builds it",
        )


def _version(spec: Spec, call: Call) -> str:
    """The version with its suffix that a spec means, as far as that can be told without asking.

    A recipe that is here tells it; without one, it is what modules are called by.
    """
    if spec.name in call.repos.names():
        try:
            recipe = call.repos.select(spec)
            return f"{recipe.version}{recipe.suffix}"
        except SpecError:  # others may have versions that the recipe here has not
            if spec.choices or not spec.version:
                raise
    if spec.choices:
        raise SpecError(
            f"there is no recipe '{spec.name}' here, which would tell what '{spec}' is called",
            remedy=f"write it as its module is named: 'tykky registry list {spec.name}' shows that",
        )
    return spec.version or ""


def _only(source: Remote, name: str) -> str:
    """The tag of the only version for this machine, or nothing. Raises ``StoreError``."""
    end = f"-{bases.arch()}"
    tags = [tag for tag in source.registry.tags(name) if tag.endswith(end)]
    if len(tags) > 1:
        names = ", ".join(f"{name}/{tag.removesuffix(end)}" for tag in tags)
        raise StoreError(
            f"there are several of {name} at {source.title}: {names}",
            remedy=f"name one: 'tykky pull {name}/{tags[-1].removesuffix(end)}'",
            code=Exit.CONFLICT,
        )
    return tags[0] if tags else ""

"""The pages of a catalogue, from templates in ``share/catalog``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tykky.console import size
from tykky.publish.catalog.feeds import page_of
from tykky.publish.catalog.text import digest
from tykky.resources import resource

if TYPE_CHECKING:
    from jinja2 import Environment

#: The files that are the same in each catalogue.
FIXED = ("catalog.css", "catalog.js", "icon.svg")
#: What runs a user's script, by the command that is there.
_SCRIPTS = {"python3": "my_script.py", "python": "my_script.py", "Rscript": "my_script.R"}
_SCRIPTS |= {"julia": "my_script.jl", "octave": "my_script.m"}
#: Of commands, those that are no example of anything.
_DULL = re.compile(
    r"list-packages|activate|deactivate|conda|pip[0-9.]*|python[0-9.]*-config|2to3.*"
)


@dataclass(frozen=True)
class Pages:
    """Makes pages; ``site`` has what all of them say: title, url, contact, module_path."""

    site: Mapping[str, str]

    @cached_property
    def _environment(self) -> Environment:
        import jinja2

        loader = jinja2.FileSystemLoader(resource("share") / "catalog")
        strict = jinja2.StrictUndefined
        made = jinja2.Environment(
            loader=loader, undefined=strict, autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        made.filters.update(size=size, day=lambda when: str(when)[:10])
        made.globals.update(site=self.site, page_of=page_of, job=job, citation=citation)
        made.globals.update(bibtex=bibtex, main_packages=main_packages)
        return made

    @cached_property
    def digest(self) -> str:
        """A digest of all that every page depends on."""
        import tykky

        folder = resource("share") / "catalog"
        texts = [path.read_text() for path in sorted(folder.iterdir()) if path.is_file()]
        return digest(tykky.__version__, dict(self.site), texts)

    def fixed(self, name: str) -> str:
        """A file that is the same in each catalogue."""
        return (resource("share") / "catalog" / name).read_text(encoding="utf-8")

    def render(self, template: str, up: str, **values: Any) -> str:
        """A page; ``up`` leads from it to the start page's folder."""
        return self._environment.get_template(f"{template}.j2").render(up=up, **values)

    def maker(self, template: str, up: str, **values: Any) -> Callable[[], str]:
        """What makes a page, once it is needed."""
        return lambda: self.render(template, up, **values)


def example(facts: Mapping[str, Any]) -> str:
    """A command line that shows how a stack is used."""
    commands = set(facts["commands"])
    for program, script in _SCRIPTS.items():
        if program in commands:
            return f"{program} {script}"
    name = facts["module"].partition("/")[0]
    rest = (each for each in facts["commands"] if not _DULL.fullmatch(each))
    chosen = name if name in commands else next(rest, "")
    return f"{shlex.quote(chosen)} --help" if chosen else ""


def job(facts: Mapping[str, Any]) -> str:
    """The script of a job that uses a stack."""
    name = facts["module"].partition("/")[0]
    lines = ["#!/bin/bash", f"#SBATCH --job-name={name}", "#SBATCH --time=00:15:00"]
    if facts["mpi"]:
        lines += ["#SBATCH --nodes=1", "#SBATCH --ntasks-per-node=4"]
    else:
        lines += ["#SBATCH --ntasks=1", "#SBATCH --cpus-per-task=4"]
    lines += ["#SBATCH --mem=8G"]
    if facts["gpu"]:
        lines += ["#SBATCH --gpus=1"]
    run = example(facts)
    lines += ["", f"module load {facts['module']}"]
    if run:
        lines += [f"srun {run}" if facts["mpi"] else run]
    return "\n".join(lines)


def main_packages(facts: Mapping[str, Any], most: int = 8) -> list[str]:
    """The packages that were asked for, with their versions: the first of them."""
    asked = [p for p in facts["packages"] if p["asked"] and p["name"] not in ("pip", "python")]
    return [f"{each['name']} {each['version']}" for each in asked[:most]]


def citation(facts: Mapping[str, Any], title: str) -> str:
    """A line for the acknowledgements of a paper."""
    name = facts["module"].partition("/")[0]
    home = f", {facts['homepage']}" if facts["homepage"] else ""
    packages = main_packages(facts)
    within = f", with {', '.join(packages)}" if packages else ""
    where = f"; module {facts['module']} of {title}, built {facts['installed'][:10]}"
    return f"{name} {facts['version']}{home}{within}{where}"


def bibtex(facts: Mapping[str, Any], title: str) -> str:
    """The same for BibTeX."""
    name = facts["module"].partition("/")[0]
    key = re.sub(r"[^A-Za-z0-9]+", "_", facts["module"])
    rows = {"title": name, "version": facts["version"], "year": facts["installed"][:4]}
    rows |= {"url": facts["homepage"], "note": f"Module {facts['module']} of {title}"}
    lines = [f"  {field:<7} = {{{_tex(text)}}}" for field, text in rows.items() if text]
    return f"@software{{{key},\n" + ",\n".join(lines) + "\n}"


def _tex(text: str) -> str:
    plain = re.sub(r"[{}\\]", "", text)
    return plain if "://" in plain else re.sub(r"([%#&_$])", r"\\\1", plain)


def near(
    versions: Sequence[Mapping[str, Any]], number: int
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """The newer and the older one of a version."""
    newer = versions[number - 1] if number else None
    return newer, versions[number + 1] if number + 1 < len(versions) else None

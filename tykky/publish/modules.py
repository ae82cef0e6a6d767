"""Modulefiles: what ``module load`` reads, made from one template.

The first line of a modulefile names the install it belongs to, so that nothing of somebody
else's is ever overwritten or removed. The rest is derived from the record of a generation and the
configuration.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import trust
from tykky.errors import ConfigError, Exit, StoreError, Where
from tykky.files import text_at
from tykky.store import Entry, Record, default

if TYPE_CHECKING:
    from tykky.config import Config

_OWNER = re.compile(r"-- Made by Tykky for (.+); do not edit")
_TEMPLATE = "module.lua.j2"


def path_of(config: Config, module: str) -> Path:
    """The modulefile of a module name such as ``python-data/26.11``."""
    return config.module_path / f"{module}.lua"


def owner_of(path: Path) -> str | None:
    """The prefix a modulefile was made for; empty if it is foreign, ``None`` if not there."""
    if not os.path.lexists(path):
        return None
    found = _OWNER.match(text_at(path))
    return found[1] if found else ""


def lua(text: object) -> str:
    """A text as a Lua string: every byte that could mean something is escaped."""
    escaped = re.sub(r'[\\"\x00-\x1f\x7f]', lambda found: f"\\{ord(found[0]):03d}", str(text))
    return f'"{escaped}"'


def lua_text(text: str) -> str:
    """A text of several lines as a Lua string that people can read, too."""
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text):
        return lua(text)
    level = ""
    while f"]{level}]" in text or text.endswith(f"]{level}"):
        level += "="
    return f"[{level}[\n{text}]{level}]"  # Lua leaves out the first line break


def render(record: Record, config: Config) -> str:
    """The text of a modulefile. Raises ``ConfigError`` for a broken template of the site."""
    import jinja2

    from tykky.resources import resource

    own, shipped = config.module.templates, resource("share") / "modules"
    for path in (own, *own.rglob("*")) if own else ():
        trust.check(path, "the template", ConfigError, config.owners("module.templates"))
    by_name = jinja2.FileSystemLoader([own, shipped] if own else shipped)
    extended = jinja2.PrefixLoader({"tykky": jinja2.FileSystemLoader(shipped)})
    loader = jinja2.ChoiceLoader([by_name, extended])
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
    environment.filters.update(lua=lua, lua_text=lua_text)
    same = ("name", "version", "suffix", "module", "prefix", "commands")
    values = {
        **record.shown,
        **{name: getattr(record, name) for name in same},
        "place": os.path.realpath(record.prefix),
        "family": record.shown.get("family") or config.module.family,
        "packages": [f"{name}/{version}" for name, version in record.packages],
        "help": _help(record),
    }
    remedy = "'tykky config why module.templates' says where it was set"
    try:
        text = environment.get_template(_TEMPLATE).render(values)
    except jinja2.TemplateSyntaxError as error:
        cause = f"the template of the modulefile is wrong: {error.message}"
        where = Where(Path(error.filename or own or _TEMPLATE), error.lineno)
        raise ConfigError(cause, where=where) from None
    except jinja2.TemplateError as error:
        cause = f"the template of the modulefile cannot be used: {error}"
        raise ConfigError(cause, remedy=remedy) from None
    except Exception as error:  # whatever an expression in the template may raise
        cause = f"the template of the modulefile fails: {type(error).__name__}: {error}"
        # The line of the site's template that raised, as Jinja writes it into the traceback.
        frames = [(Path(f.filename), f.lineno) for f in traceback.extract_tb(error.__traceback__)]
        places = [Where(path, line or 0) for path, line in frames if path.parent == own]
        raise ConfigError(cause, remedy=remedy, where=places[-1] if places else None) from None
    # Always the first line, whatever the site's template says: by it we know what is ours.
    owner = f"-- Made by Tykky for {record.prefix}; do not edit, it is made anew with the install."
    return f"{owner}\n" + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _help(record: Record) -> str:
    some = record.commands if len(record.commands) <= 12 else (*record.commands[:12], "...")
    parts = [record.shown.get("about") or record.description, f"Commands: {', '.join(some)}"]
    if any(name == "pip" for name, _ in record.packages):
        parts.append(
            "To add packages of your own, make a virtual environment on top of it:\n"
            "    python -m venv --system-site-packages my-venv\n"
            "    my-venv/bin/pip install PACKAGE"
        )
    if record.homepage:
        parts.append(f"More: {record.homepage}")
    if record.maintainers:
        parts.append(f"Maintained by: {', '.join(record.maintainers)}")
    parts.append(f"Licence: {record.license}\nInstalled: {record.installed[:10]}")
    return "\n\n".join(parts)


def default_of(name: str, config: Config, entries: Sequence[Entry]) -> str:
    """The text that marks the default version of a name; empty if nothing is published.

    Lmod itself would choose by the whole string, so that a variant's suffix would win.
    """
    there = [entry for entry in entries if path_of(config, entry.module).exists()]
    if not there:
        return ""
    return (
        f"-- Made by Tykky; do not edit, it is made anew with every install of {name}.\n"
        f'module_version({lua(default.default_of(there).module)}, "default")\n'
    )


def check_loads(name: str, loads: Sequence[str]) -> None:
    """Find out whether the modules that a recipe ``loads`` are there. Raises ``StoreError``.

    Without Lmod on this machine nobody can tell, and nothing is said.
    """
    programs = filter(None, (os.environ.get("LMOD_CMD"), "/usr/share/lmod/lmod/libexec/lmod"))
    lmod = next(filter(shutil.which, programs), None)
    for load in loads if lmod else ():
        command = [str(lmod), "bash", "is-avail", load]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            cause = f"the recipe '{name}' loads the module '{load}', which is not there"
            remedy = "'module spider' shows what is; 'module use' adds a directory of modules"
            raise StoreError(cause, remedy=remedy, code=Exit.NOT_FOUND)

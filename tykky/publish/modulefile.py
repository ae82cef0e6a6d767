"""The texts of modulefiles: what ``module load`` reads, made from one template for each language.

The first lines of a modulefile name the install it belongs to, so that nothing of somebody
else's is ever overwritten or removed. The rest is derived from the record of a generation, from
what was decided about its version, and from the configuration.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import trust
from tykky.errors import ConfigError, Where
from tykky.store import Entry, Record, state
from tykky.store.default import default_of

if TYPE_CHECKING:
    from tykky.config import Config

_OWNER = re.compile(r"(?:#%Module.*\n)?(?:--|#) Made by Tykky for (.+); do not edit")
#: What Lmod takes as the name or the version of an extension.
_EXTENSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Form:
    """A language of modulefiles: how its files are called, and how their text begins."""

    name: str
    suffix: str
    rc: str
    comment: str
    magic: str = ""

    @property
    def template(self) -> str:
        """The name of the template."""
        return f"module.{self.name}.j2"


LUA = Form("lua", ".lua", ".modulerc.lua", "--")
TCL = Form("tcl", "", ".modulerc", "#", "#%Module\n")
FORMS = (LUA, TCL)


def owner_in(text: str) -> str:
    """The prefix that a modulefile was made for; empty if it is foreign."""
    found = _OWNER.match(text)
    return found[1] if found else ""


def tcl(text: object) -> str:
    """A text as a Tcl word: every byte that could mean something is escaped."""
    special = r'[\\"$\[\]{};#\x00-\x1f\x7f]'
    escaped = re.sub(special, lambda found: f"\\{ord(found[0]):03o}", str(text))
    return f'"{escaped}"'


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


def render(record: Record, config: Config, form: Form = LUA, only_for: str = "") -> str:
    """The text of a modulefile, ``only_for`` a group or for everybody.

    Raises ``ConfigError`` for a broken template of the site.
    """
    closed = f"{record.module} is for members of the group '{only_for}'" if only_for else ""
    same = ("name", "version", "suffix", "module", "prefix", "commands")
    values = {
        **record.shown,
        **{name: getattr(record, name) for name in same},
        "place": os.path.realpath(record.prefix),
        "family": record.shown.get("family") or config.module.family,
        "packages": _extensions(record, config),
        "gpu": record.launch.get("gpu", ""),
        "help": _help(record),
        **leaving(record),
        "restricted": closed,
    }
    return _headed(record.prefix, _filled(values, config, form), form)


def leaving(entry: Entry) -> dict[str, str]:
    """What is said of a version that is to be left, before a day (``until``) and from then on.

    ``deprecation`` and ``closed`` are empty if there is nothing to say.
    """
    mark = entry.marks.get(state.DEPRECATED)
    ours = entry.shown.get("deprecation", "") if isinstance(entry, Record) else ""
    if mark is None:
        said = f"{entry.module} is deprecated: {ours}" if ours else ""
        return {"deprecation": said, "until": "", "closed": ""}
    until, why = mark.get("until", ""), mark.get("why") or ours
    more = (f": {why}" if why else "") + (f"; use {mark['use']}" if mark.get("use") else "")
    before = f"{entry.module} is deprecated" + (f", and gone from {until} on" if until else "")
    after = f"{entry.module} is deprecated, and cannot be loaded since {until}" if until else ""
    return {"deprecation": before + more, "until": until, "closed": after and after + more}


def tombstone(module: str, prefix: str, facts: Mapping[str, str], form: Form) -> str:
    """The text of a modulefile that tells what has become of a retired version."""
    said = gone(module, facts)
    if form is LUA:
        text = f'whatis({lua(said)})\nif mode() == "load" then LmodError({lua(said)}) end'
    else:
        load = "[module-info mode load]"
        text = f"module-whatis {tcl(said)}\nif {{{load}}} {{ error {tcl(said)} }}"
    return _headed(prefix, text, form)


def gone(module: str, facts: Mapping[str, str]) -> str:
    """The sentence for who looks for a retired version."""
    why = f": {facts['why']}" if facts.get("why") else ""
    use = f"; use {facts['use']}" if facts.get("use") else ""
    return f"{module} was retired on {facts.get('when', '')[:10]}{why}{use}"


def _headed(prefix: str, text: str, form: Form) -> str:
    # Always the first lines, whatever the site's template says: by them we know what is ours.
    told = "do not edit, it is made anew with the install."
    owner = f"{form.comment} Made by Tykky for {prefix}; {told}"
    return f"{form.magic}{owner}\n" + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _extensions(record: Record, config: Config) -> list[str]:
    """The packages that a module tells of: ``NAME/VERSION``, as the site wants them."""
    asked, which = {plain_name(name) for name in record.asked}, config.module.extensions
    every = [
        (name, version)
        for name, version in record.packages
        if which == "all" or (which == "asked" and plain_name(name) in asked)
    ]
    good = [f"{n}/{v}" for n, v in every if _EXTENSION.fullmatch(n) and _EXTENSION.fullmatch(v)]
    return good[: config.module.extensions_max]


def plain_name(name: str) -> str:
    """The name of a package as indexes and channels compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _filled(values: Mapping[str, Any], config: Config, form: Form) -> str:
    """The template with these values. Raises ``ConfigError``."""
    import jinja2

    from tykky.resources import resource

    own, shipped = config.module.templates, resource("share") / "modules"
    for path in (own, *own.rglob("*")) if own else ():
        trust.check(path, "the template", ConfigError, config.owners("module.templates"))
    by_name = jinja2.FileSystemLoader([own, shipped] if own else shipped)
    extended = jinja2.PrefixLoader({"tykky": jinja2.FileSystemLoader(shipped)})
    loader = jinja2.ChoiceLoader([by_name, extended])
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
    environment.filters.update(lua=lua, lua_text=lua_text, tcl=tcl)
    remedy = "'tykky config why module.templates' says where it was set"
    try:
        return environment.get_template(form.template).render(values)
    except jinja2.TemplateSyntaxError as error:
        cause = f"the template of the modulefile is wrong: {error.message}"
        where = Where(Path(error.filename or own or form.template), error.lineno)
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


@dataclass(frozen=True)
class Left:
    """Modules of a name that cannot be asked now, and the text that marked them ``before``."""

    modules: Sequence[str] = ()
    before: str = ""


def rc(
    name: str, there: Sequence[Entry], retired: Sequence[str], form: Form, left: Left | None = None
) -> str:
    """The text that marks the default of a name, and what is hidden; empty if nothing is there.

    Lmod itself would choose by the whole string, so that a variant's suffix would win. Lmod 8.7.52
    and later know ``hide`` and ``forbid``; before, the modulefile itself refuses to be loaded when
    its day has come. The day is compared here: with the luaposix of Debian 12 and EPEL, all of
    ``module avail`` ends with an error of Lmod 8.7.60 where ``forbid`` has a time in it. What is
    ``left`` stays marked as it was, also as the default.
    """
    before = left.before.splitlines() if left else []
    kept = [line for line in before if left and any(lua(each) in line for each in left.modules)]
    if not (there or retired or kept):
        return ""
    is_kept = any(line.startswith(("module_version(", "module-version ")) for line in kept)
    chosen = [default_of(there)] if there and not is_kept else []
    # Where all are hidden, none is marked: Lmod lists what is marked.
    default = [entry.module for entry in chosen if state.HIDDEN not in entry.marks]
    hidden = [*(entry.module for entry in there if state.HIDDEN in entry.marks), *retired]
    dated = {entry.module: leaving(entry) for entry in there if leaving(entry)["until"]}
    lines = _lua_rc(default, hidden, dated) if form is LUA else _tcl_rc(default, hidden, dated)
    made = f"Made by Tykky; do not edit, it is made anew with every install of {name}."
    if kept:  # in the order that they had, so that nothing changes where nothing has
        lines = sorted(
            (*kept, *lines), key=lambda each: before.index(each) if each in before else len(before)
        )
    return f"{form.magic}{form.comment} {made}\n" + "".join(f"{line}\n" for line in lines)


_Dated = Mapping[str, Mapping[str, str]]


def _lua_rc(default: Sequence[str], hidden: Sequence[str], dated: _Dated) -> list[str]:
    lines = [f'module_version({lua(each)}, "default")' for each in default]
    lines += [
        f"if hide then hide{{name={lua(each)}}} else hide_version({lua(each)}) end"
        for each in hidden
    ]
    for module, said in dated.items():
        facts = f"name={lua(module)}, message={lua(said['closed'])}"
        due = f'os.date("%Y-%m-%d") >= {lua(said["until"])}'
        lines.append(f"if forbid and {due} then forbid{{{facts}}} end")
    return lines


def _tcl_rc(default: Sequence[str], hidden: Sequence[str], dated: _Dated) -> list[str]:
    lines = [f"module-version {tcl(each)} default" for each in default]
    # Environment Modules has the first, Lmod the second.
    hiding = "if {{[catch {{module-hide {0}}}]}} {{ catch {{hide-version {0}}} }}"
    lines += [hiding.format(tcl(each)) for each in hidden]
    for module, said in dated.items():
        due = f"{{[clock format [clock seconds] -format %Y-%m-%d] >= {tcl(said['until'])}}}"
        forbid = f"module-forbid --message {tcl(said['closed'])} {tcl(module)}"
        lines.append(f"if {due} {{ catch {{ {forbid} }} }}")
    return lines


def admin_list(entries: Sequence[Entry]) -> list[str]:
    """The lines of Lmod's ``admin.list`` for all that is to be left, in Lua's patterns."""
    lines = []
    for entry in entries:
        if said := leaving(entry)["deprecation"]:
            pattern = re.sub(r"[^A-Za-z0-9/_]", lambda found: f"%{found[0]}", entry.module)
            lines.append(f"^{pattern}$: {said}\n")
    return lines

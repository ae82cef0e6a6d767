"""Reading stack lists: YAML with includes and conditions; what is wrong has a file and a line."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tykky import jobs
from tykky.config import check_key
from tykky.errors import ConfigError, TykkyError, Where, did_you_mean
from tykky.host import expanded
from tykky.repos.loading import check_trusted
from tykky.spec import Spec, parse_one
from tykky.text import compose, decoded, read_text
from tykky.tools import git

if TYPE_CHECKING:
    import yaml

ARCHITECTURES = ("x86_64", "aarch64")
#: What a list may set for builds: nothing that decides whose code is run, or where it goes.
SETTINGS = re.compile(
    r"(squash|pip|conda|python|keep)\..*|module\.(format|extensions|extensions_max|family)"
    r"|base|runtime|isolation|mount_points|mirrors|registry_mirrors|timeout|jobs|idle"
)
_TOP = ("include", "root", "arch", "settings", "slurm", "stacks")
_STACK = ("spec", "root", "arch", "when", "settings", "slurm", "default", "hidden", "deprecated")
_INCLUDE = ("path", "git", "commit", "when")
_DEPRECATED = ("until", "use", "reason")
#: More lists than anybody includes in one.
_DEEPEST = 20


@dataclass(frozen=True)
class Wanted:
    """One stack of a list, and where that says so.

    ``arch`` are the architectures that it is for: those that the conditions leave; none if nothing
    is said, which means that of the machine. ``here`` tells whether the conditions hold on this
    host. ``slurm`` is said for it alone. ``deprecated`` has ``until``, ``use`` and ``reason``, as
    far as they are said.
    """

    spec: Spec
    where: Where
    arch: tuple[str, ...] = ()
    root: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    slurm: Mapping[str, str] = field(default_factory=dict)
    slurm_of_list: Mapping[str, str] = field(default_factory=dict)
    default: bool = False
    hidden: bool = False
    deprecated: Mapping[str, str] | None = None
    here: bool = True

    def root_for(self, arch: str) -> str:
        """The root that it goes into, a name or a path; empty for the configured one."""
        return self.root.get(arch, self.root.get("", "")).replace("{arch}", arch)


@dataclass(frozen=True)
class StackList:
    """What a list wants, with what it includes."""

    path: Path
    stacks: tuple[Wanted, ...]


class _Common(NamedTuple):
    """What a list says once for all its stacks."""

    arch: tuple[str, ...] = ()
    root: Mapping[str, str] = {}
    settings: Mapping[str, str] = {}
    slurm: Mapping[str, str] = {}
    here: bool = True


@dataclass(frozen=True)
class _Source:
    """A list that is read: a file, or one of a commit of a repository."""

    path: Path
    repository: git.Mirror | None = None
    commit: str = ""
    name: str = ""

    def text(self, by: Where | None) -> str:
        """What it says. Raises ``ConfigError``; ``by`` is what has included it."""
        if self.repository is None:
            text = read_text(self.path, "stack list", where=by)
            check_trusted(self.path, "the stack list")
            return text
        content = replace(self.repository, where=by).content(self.commit, self.name)
        return decoded(content, self.path)

    def beside(self, name: str, where: Where) -> _Source:
        """Another list, whose name counts from this one."""
        if self.repository is None:
            return _Source(self.path.parent / expanded(name))
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.name), name))
        if path.startswith(("../", "/")):
            raise ConfigError(
                f"'{name}' leads out of the repository",
                remedy="a list of a repository includes others of the same commit",
                where=where,
            )
        return replace(self, path=_shown(self.commit, path), name=path)


def _shown(commit: str, name: str) -> Path:
    return Path(f"{commit[:12]}:{name}")


@dataclass(frozen=True)
class _Reader:
    """What all lists that belong together share: the machine, and where repositories are kept."""

    host: str
    cache: Path

    def read(self, source: _Source, common: _Common, by: tuple[Where, ...]) -> Iterator[Wanted]:
        """The stacks of a list: first those that it includes, then its own."""
        if len(by) > _DEEPEST:
            raise ConfigError(
                f"{source.path} is included by itself, or by too many lists",
                remedy="take out one of the includes",
                where=by[-1],
            )
        top = compose(source.text(by[-1] if by else None), source.path, ConfigError)
        look = _Look(source.path)
        entries = look.mapping(top, _TOP, "a stack list") if top is not None else {}
        common = _merged(common, look, entries)
        for node in look.sequence(entries.get("include")):
            yield from self._included(source, look, node, common, by)
        own: dict[tuple[object, ...], Where] = {}
        for node in look.sequence(entries.get("stacks")):
            wanted = self._stack(look, node, common)
            # The same under other conditions, or elsewhere, is another one.
            told = (str(wanted.spec), wanted.arch, *sorted(wanted.root.items()), wanted.here)
            if told in own and wanted.here:
                first = f"{own[told].path}:{own[told].line}"
                raise ConfigError(
                    f"'{wanted.spec}' is in the list twice, first at {first}",
                    remedy="remove one of the two",
                    where=wanted.where,
                )
            own[told] = wanted.where
            yield wanted

    def _included(
        self,
        source: _Source,
        look: _Look,
        node: yaml.Node,
        common: _Common,
        by: tuple[Where, ...],
    ) -> Iterator[Wanted]:
        where = look.where(node)
        if look.is_text(node):
            yield from self.read(source.beside(look.text(node), where), common, (*by, where))
            return
        entries = look.mapping(node, _INCLUDE, "an include")
        if "path" not in entries:
            raise ConfigError("the include has no path", remedy="add: path: FILE", where=where)
        name = look.text(entries["path"])
        if "git" in entries:
            commit = look.text(entries["commit"]) if "commit" in entries else ""
            if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
                raise ConfigError(
                    "a list of a repository is included at a commit, by its full number",
                    remedy="add: commit: " + 40 * "0" + ", as 'git rev-parse HEAD' prints it",
                    where=look.where(entries.get("commit", entries["git"])),
                )
            address = look.text(entries["git"])
            if source.repository is None and re.match(r"\.{0,2}/|~", address):
                address = str(source.path.parent / expanded(address))
            path = posixpath.normpath(name)
            repository = git.Mirror(address, self.cache, look.where(entries["git"]))
            repository.fetch(commit)
            found = _Source(_shown(commit, path), repository, commit, path)
        else:
            found = source.beside(name, where)
        common = self._limited(common, look, entries.get("when"))
        yield from self.read(found, common, (*by, where))

    def _stack(self, look: _Look, node: yaml.Node, common: _Common) -> Wanted:
        where = look.where(node)
        entries = {} if look.is_text(node) else look.mapping(node, _STACK, "a stack")
        named = entries.get("spec", node)
        if not look.is_text(named):
            remedy = "add: spec: NAME@VERSION"
            raise ConfigError("the stack has no spec", remedy=remedy, where=where)
        try:
            spec = parse_one(look.text(named))
        except TykkyError as error:
            where, details = look.where(named), error.details
            raise ConfigError(
                error.cause, remedy=error.remedy, where=where, details=details
            ) from None
        own = {name: node for name, node in entries.items() if name != "slurm"}
        here = self._limited(_merged(common, look, own), look, entries.get("when"))
        slurm = look.resources(entries["slurm"]) if "slurm" in entries else {}
        deprecated = None
        if "deprecated" in entries:
            deprecated = look.deprecation(entries["deprecated"])
        default, hidden = (look.switch(entries.get(name)) for name in ("default", "hidden"))
        if default and hidden:
            where, cause = look.where(entries["hidden"]), "what is hidden is not the default"
            raise ConfigError(cause, remedy="take out 'default' or 'hidden'", where=where)
        return Wanted(
            spec,
            look.where(named),
            here.arch,
            here.root,
            here.settings,
            slurm,
            here.slurm,
            default,
            hidden,
            deprecated,
            here.here,
        )

    def _limited(self, common: _Common, look: _Look, node: yaml.Node | None) -> _Common:
        """What conditions leave of where something is wanted."""
        if node is None:
            return common
        entries = look.mapping(node, ("host", "arch"), "a condition")
        here, arch = common.here, common.arch
        if "host" in entries:
            globs = [look.text(each) for each in look.some(entries["host"])]
            names = (self.host, self.host.partition(".")[0])
            here = here and any(fnmatchcase(n, glob) for n in names for glob in globs)
        if "arch" in entries:
            only = look.architectures(entries["arch"])
            arch = tuple(each for each in arch or only if each in only)
            here = here and bool(arch)
        return common._replace(here=here, arch=arch)


def read(path: Path, host: str, cache: Path) -> StackList:
    """The list in a file, as it is for a host; what is included from git is kept in ``cache``.

    Of a stack that several lists name for the same place, what the including one says counts.
    Raises ``ConfigError``, ``RecipeError`` for a file that others may write.
    """
    found: dict[tuple[object, ...], Wanted] = {}
    for each in _Reader(host, cache).read(_Source(path), _Common(), ()):
        key = (str(each.spec), each.arch, *sorted(each.root.items()))
        if each.here or key not in found:
            found[key] = each
    return StackList(path, tuple(found.values()))


def _merged(common: _Common, look: _Look, entries: Mapping[str, yaml.Node]) -> _Common:
    """What was said before, with what is said here."""
    if "arch" in entries:
        common = common._replace(arch=look.architectures(entries["arch"]))
    if "root" in entries:
        common = common._replace(root=look.roots(entries["root"]))
    if "settings" in entries:
        found = look.settings(entries["settings"])
        common = common._replace(settings={**common.settings, **found})
    if "slurm" in entries:
        found = look.resources(entries["slurm"])
        common = common._replace(slurm={**common.slurm, **found})
    return common


@dataclass(frozen=True)
class _Look:
    """Takes the nodes of one file apart, and knows their places."""

    path: Path

    def where(self, node: yaml.Node) -> Where:
        """The place of a node."""
        start, end = node.start_mark, node.end_mark
        width = end.column - start.column if end.line == start.line else 1
        return Where(self.path, start.line + 1, start.column, max(1, width))

    def is_text(self, node: yaml.Node) -> bool:
        """Whether it is one word."""
        return isinstance(node.value, str) and not str(node.tag).endswith(":null")

    def text(self, node: yaml.Node) -> str:
        """A word; it must be one, and plain."""
        value = node.value
        if not self.is_text(node) or not value.strip() or not value.isprintable():
            raise self.wrong(node, "is not a plain text", "write one line of text")
        return str(value).strip()

    def wrong(self, node: yaml.Node, problem: str, remedy: str) -> ConfigError:
        """The error for a value; ``problem`` continues a sentence."""
        shown = f"'{node.value}'" if isinstance(node.value, str) else "this"
        return ConfigError(f"{shown} {problem}", remedy=remedy, where=self.where(node))

    def mapping(
        self, node: yaml.Node, known: tuple[str, ...] | None, what: str
    ) -> dict[str, yaml.Node]:
        """The entries of a mapping; with ``known``, no others are allowed."""
        if not str(node.tag).endswith(":map") or isinstance(node.value, str):
            told = f"it has {', '.join(known)}" if known else "write 'name: value' lines below it"
            cause = f"{what} is written as 'name: value', one below the other"
            raise ConfigError(cause, remedy=told, where=self.where(node))
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key.value, str) else "..."
            if known and name not in known:
                remedy = did_you_mean(name, [*known]) or f"it has {', '.join(known)}"
                cause = f"{what} has no '{name}'"
                raise ConfigError(cause, remedy=remedy, where=self.where(key))
            if name in found:
                raise ConfigError(
                    f"'{name}' is there twice", remedy="remove one", where=self.where(key)
                )
            found[name] = value
        return found

    def sequence(self, node: yaml.Node | None) -> list[yaml.Node]:
        """The items of a list; nothing is an empty one."""
        if node is None or str(node.tag).endswith(":null"):
            return []
        if isinstance(node.value, str) or not str(node.tag).endswith(":seq"):
            remedy = "write '- ITEM' lines below the name"
            raise ConfigError("a list is wanted here", remedy=remedy, where=self.where(node))
        return [*node.value]

    def some(self, node: yaml.Node) -> list[yaml.Node]:
        """One word or several."""
        return [node] if self.is_text(node) else self.sequence(node)

    def switch(self, node: yaml.Node | None) -> bool:
        """A truth value; nothing is false."""
        if node is None:
            return False
        words = {"true": True, "yes": True, "false": False, "no": False}
        word = self.text(node).lower()
        if word not in words:
            raise self.wrong(node, "is neither true nor false", "write true or false")
        return words[word]

    def architectures(self, node: yaml.Node) -> tuple[str, ...]:
        """One architecture or several."""
        found = self.some(node)
        for each in found:
            if self.text(each) not in ARCHITECTURES:
                near = did_you_mean(self.text(each), [*ARCHITECTURES])
                told = f"there are {', '.join(ARCHITECTURES)}"
                raise self.wrong(each, "is no architecture", near or told)
        return tuple(dict.fromkeys(map(self.text, found)))

    def roots(self, node: yaml.Node) -> dict[str, str]:
        """A root for all architectures, by the empty name, or one for each."""
        if self.is_text(node):
            return {"": self._root(node)}
        entries = self.mapping(node, ARCHITECTURES, "a root by architecture")
        return {arch: self._root(value) for arch, value in entries.items()}

    def _root(self, node: yaml.Node) -> str:
        text = self.text(node)
        if re.match(r"\.{1,2}(/|$)", text):
            return str((self.path.parent / text).absolute())
        if "/" in text and not text.startswith(("/", "~", "$", "{")):
            raise self.wrong(node, "is a relative path", f"write it in full, or as ./{text}")
        return text

    def settings(self, node: yaml.Node) -> dict[str, str]:
        """Keys of the configuration, with values as ``-c`` takes them."""
        found = {}
        for key, value in self.mapping(node, None, "settings").items():
            where = self.where(value)
            check_key(key, where=where)
            if not SETTINGS.fullmatch(key):
                raise ConfigError(
                    f"a stack list does not set {key}",
                    remedy="set it in the configuration: 'tykky config set'",
                    where=where,
                )
            separator = ":" if key == "mount_points" else " "
            found[key] = separator.join(map(self.text, self.some(value))) or "[]"
        return found

    def resources(self, node: yaml.Node) -> dict[str, str]:
        """What the job of a build gets."""
        found = {}
        for name, value in self.mapping(node, tuple(jobs.RESOURCES), "slurm").items():
            found[name] = self.text(value)
            if problem := jobs.problem(name, found[name]):
                raise self.wrong(value, problem, f"write it as Slurm does: {name}")
        return found

    def deprecation(self, node: yaml.Node) -> dict[str, str] | None:
        """Until when, and what to use instead; nothing for ``false``."""
        if self.is_text(node):
            return {} if self.switch(node) else None
        found = {}
        for key, value in self.mapping(node, _DEPRECATED, "a deprecation").items():
            found[key] = self.text(value)
        if "until" in found:
            _day(self, node, found["until"])
        return found


def _day(look: _Look, node: yaml.Node, text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"'{text}' is no day", remedy="write it as 2027-06-30", where=look.where(node)
        ) from None

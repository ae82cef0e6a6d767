"""Recipe files as text: which code is a recipe's, where a line is, what a file amounts to.

The loader puts the source of a recipe file into its module under :data:`MARK`. That one mark
tells a recipe from a kind, finds the recipe's own line in a traceback, and keeps the text that
was really run for the digest.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from tykky.errors import Where

MARK = "__tykky_recipe__"

#: Fields that change nothing of what is built: what is only told of it, and how it is entered.
#: Their values have a digest of their own (see :mod:`tykky.build.plan`).
PUBLISHED = frozenset(
    {"versions", "homepage", "license", "maintainers", "deprecated", "keywords", "family"}
    | {"loads", "setenv", "env", "isolation", "runtime", "binds", "gpu", "commands", "user_site"}
    | {"slurm"}
)


def recipe_source(cls: type) -> bytes | None:
    """The text of the recipe file that defines ``cls``; None for a class of Tykky's own."""
    module = sys.modules.get(cls.__module__)
    source: bytes | None = vars(module).get(MARK) if module else None
    return source


def is_recipe(cls: type) -> bool:
    """Whether the class was written in a recipe file (otherwise it is a kind)."""
    return recipe_source(cls) is not None


def kind_of(cls: type) -> type:
    """The kind that a recipe class derives from, perhaps through other recipes."""
    return next(base for base in cls.__mro__ if not is_recipe(base))


def recipe_file(cls: type) -> Path:
    """The file that defines a recipe class."""
    return Path(str(sys.modules[cls.__module__].__file__))


def class_place(cls: type) -> Where:
    """The line of a recipe class, with its name marked."""
    node = _class_node(cls)
    return _name_place(cls, node.lineno, cls.__name__) if node else Where(recipe_file(cls))


def attribute_place(cls: type, name: str, path: Sequence[int | str] | None = None) -> Where:
    """The place of an attribute in the recipe class, or base recipe class, that sets it.

    The carets are below the name; with ``path``, below the value, or what that leads to in a
    written-out value: indices of a tuple, keys of a mapping.
    """
    owner = next((base for base in cls.__mro__ if name in vars(base) and is_recipe(base)), cls)
    node = _class_node(owner)
    found = [s for s in _statements(node.body if node else []) if name in _assigned(s)]
    if not found:
        return class_place(owner)
    value = getattr(found[-1], "value", None)
    if path is None or value is None:
        return _name_place(owner, found[-1].lineno, name)
    inner = _inner(value, path)
    end = inner.end_col_offset if inner.end_lineno == inner.lineno else None
    source = recipe_source(owner) or b""
    return _span(recipe_file(owner), source, inner.lineno, inner.col_offset, end)


def failing_place(traceback: TracebackType | None) -> Where | None:
    """The innermost line of a recipe file in a traceback; None if no recipe was running."""
    place = None
    while traceback is not None:
        frame, line = traceback.tb_frame, traceback.tb_lineno
        if MARK in frame.f_globals:
            file = Path(frame.f_code.co_filename)
            place = Where(file, line)
            # Where in its line the failing expression is; known from Python 3.11 on.
            if positions := getattr(frame.f_code, "co_positions", None):
                first, last, start, end = list(positions())[traceback.tb_lasti // 2]
                if first == last == line and start is not None:
                    place = _span(file, frame.f_globals[MARK], line, start, end)
        traceback = traceback.tb_next
    return place


def _span(file: Path, source: bytes, line: int, start: int, end: int | None) -> Where:
    """A part of a line, to its end without ``end``; the parser counts columns in bytes."""
    text = source.splitlines()[line - 1].rstrip()
    column = len(text[:start].decode(errors="replace"))
    return Where(file, line, column, len(text[:end].decode(errors="replace")) - column)


def _name_place(cls: type, line: int, name: str) -> Where:
    text = (recipe_source(cls) or b"").decode(errors="replace").splitlines()[line - 1]
    match = re.search(rf"\b{re.escape(name)}\b", text)
    return Where(recipe_file(cls), line, match.start() if match else None, len(name))


def _class_node(cls: type) -> ast.ClassDef | None:
    found = None
    for node in ast.walk(ast.parse(recipe_source(cls) or b"")):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            found = node
    return found


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements that run in a class body, also below ``if`` or ``for``."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for part in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, part, []))


def _assigned(statement: ast.stmt) -> set[str]:
    """The names that a statement of a class body gives a value to."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return {n.id for t in targets if t for n in ast.walk(t) if isinstance(n, ast.Name)}


def _inner(node: ast.expr, path: Sequence[int | str]) -> ast.expr:
    """Follow indices and keys into a literal, as far as it is written out."""
    for step in path:
        if isinstance(node, ast.Tuple | ast.List) and isinstance(step, int):
            if step >= len(node.elts) or any(isinstance(e, ast.Starred) for e in node.elts):
                return node
            node = node.elts[step]
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            if step not in keys:
                return node
            node = node.values[keys.index(step)]
    return node


def source_digest(cls: type) -> str:
    """A SHA-256 over what the recipe's file, and those of the recipes it extends, say.

    Comments, docstrings and formatting do not count, nor where the files are, nor the fields in
    :data:`PUBLISHED` unless other code of these files reads them; helpers and constants beside the
    class do. The digest is the same under every Python.
    """
    files = {recipe_file(c): recipe_source(c) or b"" for c in cls.__mro__ if is_recipe(c)}
    trees = [ast.parse(source) for source in files.values()]
    silent = PUBLISHED.difference(*map(_read_names, trees))
    digest = hashlib.sha256()
    for tree in trees:
        digest.update(hashlib.sha256(_canonical(tree, silent).encode()).digest())
    return digest.hexdigest()


def _read_names(tree: ast.Module) -> Iterator[str]:
    """The names that code reads, perhaps: as attributes, in a class body, or by ``getattr``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _canonical(tree: ast.Module, silent: frozenset[str]) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and body
            and ast.get_docstring(node, clean=False) is not None
        ):
            del body[0]
        if isinstance(node, ast.ClassDef):
            node.body = [part for part in node.body if not _sets_only(part, silent)]
    # A name that is imported in vain changes nothing, and one that is used stands where it is.
    tree.body = [part for part in tree.body if getattr(part, "module", None) != "tykky"]
    return repr(_plain(tree))


def _sets_only(statement: ast.stmt, names: frozenset[str]) -> bool:
    """Whether a statement of a class body does nothing but give values to some of the names."""
    if isinstance(statement, ast.Assign):
        if not all(isinstance(target, ast.Name) for target in statement.targets):
            return False
    elif not isinstance(statement, ast.AnnAssign | ast.FunctionDef):
        return False
    return _assigned(statement) <= names


def _plain(node: object) -> object:
    """A syntax tree as nested tuples, without what only some versions of Python write down."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    kept = [
        (name, plain)
        for name, value in ast.iter_fields(node)
        if name not in ("ctx", "kind", "type_comment")
        and (plain := _plain(value)) not in (None, [])
    ]
    return (type(node).__name__, kept)

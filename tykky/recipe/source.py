"""Recipe files as text: which code is a recipe's, where a line is, what a file amounts to.

The loader puts the source of a recipe file into its module under :data:`MARK`. That one mark
tells a recipe from a kind, finds the recipe's own line in a traceback, and keeps the text that
was really run for the digest.

Public names: ``MARK``, ``PUBLISHED``, ``recipe_source``, ``is_recipe``, ``kind_of``,
``class_place``, ``attribute_place``, ``failing_place``, ``source_digest``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tykky.errors import Where

if TYPE_CHECKING:
    import ast

MARK = "__tykky_recipe__"

#: Fields that change nothing of what is built: what is only told of it, and how it is entered.
#: Their values have a digest of their own (see :mod:`tykky.build.plan`).
PUBLISHED = frozenset(
    {"versions", "homepage", "license", "maintainers", "deprecated", "keywords", "family"}
    | {"loads", "setenv", "env", "isolation", "runtime", "binds", "gpu", "commands"}
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
    file = recipe_file(cls)
    node = _class_node(cls)
    return _name_place(file, _lines(cls), node.lineno, cls.__name__) if node else Where(file)


def attribute_place(cls: type, name: str, path: Sequence[int | str] = ()) -> Where:
    """The place of an attribute in the recipe class, or base recipe class, that sets it.

    ``path`` leads into a written-out value: indices of a tuple, keys of a mapping; the carets
    are then below that value. Without it, they are below the name.
    """
    owner = next((base for base in cls.__mro__ if name in vars(base) and is_recipe(base)), cls)
    return _attribute_place(owner, name, path, value=False)


def value_place(cls: type, name: str, path: Sequence[int | str] = ()) -> Where:
    """Like :func:`attribute_place`, with the carets below the value that is assigned."""
    owner = next((base for base in cls.__mro__ if name in vars(base) and is_recipe(base)), cls)
    return _attribute_place(owner, name, path, value=True)


def failing_place(traceback: TracebackType | None) -> Where | None:
    """The innermost line of a recipe file in a traceback; None if no recipe was running."""
    place = None
    while traceback is not None:
        frame = traceback.tb_frame
        if MARK in frame.f_globals:
            file, line = Path(frame.f_code.co_filename), traceback.tb_lineno
            column, width = _columns(traceback, frame.f_globals[MARK])
            place = Where(file, line, column, width)
        traceback = traceback.tb_next
    return place


def _columns(traceback: TracebackType, source: bytes) -> tuple[int | None, int]:
    """Where in its line the failing expression is; known from Python 3.11 on."""
    positions = getattr(traceback.tb_frame.f_code, "co_positions", None)
    if positions is None:
        return None, 1
    spans = list(positions())
    first, last, start, end = spans[traceback.tb_lasti // 2]
    if first is None or first != last or start is None or first != traceback.tb_lineno:
        return None, 1
    line = source.splitlines()[first - 1]
    column = len(line[:start].decode(errors="replace"))
    return column, len(line[:end].decode(errors="replace")) - column


def _lines(cls: type) -> list[str]:
    return (recipe_source(cls) or b"").decode(errors="replace").splitlines()


def _class_node(cls: type) -> ast.ClassDef | None:
    import ast

    nodes = [
        node
        for node in ast.walk(ast.parse(recipe_source(cls) or b""))
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    ]
    return nodes[-1] if nodes else None


def _attribute_place(cls: type, name: str, path: Sequence[int | str], *, value: bool) -> Where:
    import ast

    file, lines = recipe_file(cls), _lines(cls)
    node = _class_node(cls)
    found = [s for s in _statements(node.body if node else []) if name in _assigned(s)]
    if not found:
        return class_place(cls)
    statement = found[-1]
    if value and isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
        return _node_place(file, lines, _inner(statement.value, path))
    return _name_place(file, lines, statement.lineno, name)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements that run in a class body, also below ``if`` or ``for``."""
    import ast

    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for part in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, part, []))


def _assigned(statement: ast.stmt) -> set[str]:
    """The names that a statement of a class body gives a value to."""
    import ast

    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign | ast.For):
        targets = [statement.target]
    return {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}


def _inner(node: ast.expr, path: Sequence[int | str]) -> ast.expr:
    """Follow indices and keys into a literal, as far as it is written out."""
    import ast

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


def _node_place(file: Path, lines: list[str], node: ast.expr) -> Where:
    """The first line of an expression; the parser counts columns in bytes."""
    text = lines[node.lineno - 1]
    start = len(text.encode()[: node.col_offset].decode(errors="replace"))
    end = len(text.rstrip())
    if node.end_lineno == node.lineno and node.end_col_offset is not None:
        end = len(text.encode()[: node.end_col_offset].decode(errors="replace"))
    return Where(file, node.lineno, start, end - start)


def _name_place(file: Path, lines: list[str], line: int, name: str) -> Where:
    match = re.search(rf"\b{re.escape(name)}\b", lines[line - 1])
    return Where(file, line, match.start() if match else None, len(name))


def source_digest(cls: type) -> str:
    """A SHA-256 over what the recipe's file, and those of the recipes it extends, say.

    Comments, docstrings and formatting do not count, nor where the files are, nor the fields in
    :data:`PUBLISHED` unless other code of these files reads them; helpers and constants beside the
    class do. The digest is the same under every Python.
    """
    import ast
    import hashlib

    files = {recipe_file(c): recipe_source(c) or b"" for c in cls.__mro__ if is_recipe(c)}
    trees = [ast.parse(source) for source in files.values()]
    silent = PUBLISHED.difference(*map(_read_names, trees))
    digest = hashlib.sha256()
    for tree in trees:
        digest.update(hashlib.sha256(_canonical(tree, silent).encode()).digest())
    return digest.hexdigest()


def _read_names(tree: ast.Module) -> Iterator[str]:
    """The names that code reads, perhaps: as attributes, in a class body, or by ``getattr``."""
    import ast

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _canonical(tree: ast.Module, silent: frozenset[str]) -> str:
    import ast

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
    tree.body = [part for part in tree.body if not _imports_tykky(part)]
    return repr(_plain(tree))


def _imports_tykky(statement: ast.stmt) -> bool:
    import ast

    return isinstance(statement, ast.ImportFrom) and statement.module == "tykky"


def _sets_only(statement: ast.stmt, names: frozenset[str]) -> bool:
    """Whether a statement of a class body does nothing but give values to some of the names."""
    import ast

    if isinstance(statement, ast.Assign):
        if not all(isinstance(target, ast.Name) for target in statement.targets):
            return False
    elif not isinstance(statement, ast.AnnAssign | ast.FunctionDef):
        return False
    return _assigned(statement) <= names


def _plain(node: object) -> object:
    """A syntax tree as nested tuples, without what only some versions of Python write down."""
    import ast

    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    fields = [(name, _plain(value)) for name, value in ast.iter_fields(node)]
    kept = [
        (name, value)
        for name, value in fields
        if value not in (None, []) and name not in ("ctx", "kind", "type_comment")
    ]
    return (type(node).__name__, kept)

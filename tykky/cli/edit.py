"""Open a recipe in your editor, check it afterwards, and say what is next.

The editor is $VISUAL, else $EDITOR, with its arguments. A recipe that is not yours to change is
first copied into the first repository that you may write to, which has to come before its own.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tykky import console
from tykky.cli import audit
from tykky.cli.common import Call, Result, flag, selected, specs
from tykky.errors import ConfigError, Exit, LockError, TykkyError, explained
from tykky.files import discard, walk
from tykky.repos.loading import RECIPE_FILE, is_own
from tykky.resources import resource
from tykky.spec import parse_one

EXAMPLES = """\
  tykky edit my-stack
  tykky edit python-data --copy           a copy of your own, without asking
  EDITOR='code --wait' tykky edit my-stack
  tykky edit my-stack --print             only where it is
"""

ARGUMENTS = (
    specs("the recipe"),
    flag("--copy", help="edit a copy in the first repository that you may write to"),
    flag("--print", help="print the path of the file, and open nothing"),
)


def run(call: Call) -> Result:
    """Edit one recipe; exit 4 if something is wrong with it afterwards."""
    args = call.args
    name = parse_one(" ".join(args.spec)).name
    folder, copied = call.repos.find(name), False
    editor = [] if args.print else _editor(folder / RECIPE_FILE)
    if args.copy or not (args.print or _is_own(folder)):
        target = _target(folder, call)
        if target != folder.parent:
            folder, copied = _copy(folder, target, ask=not args.copy), True
            call = Call(args, call.config)  # which finds the copy
    file = folder / RECIPE_FILE
    answer = {"name": name, "file": file, "copied": copied}
    if args.print:
        return Result(answer, lambda: console.say(str(file)))
    before = _digest(folder)
    try:
        _open(editor, file)
    finally:
        changed = _digest(folder) != before
        if copied and not changed:
            discard(folder)
    if not changed:
        console.note(f"{file} was not changed{', and the copy is not kept' if copied else ''}")
        if copied:
            console.note("  an editor that does not wait has an option for that: 'code --wait'")
        return Result({**answer, "changed": False})
    problems, unlocked = _check(call, name)
    steps = [f"tykky lock {'--all ' if len(unlocked) > 1 else ''}{name}"] if unlocked else []
    steps = [f"tykky edit {name}"] if problems else [*steps, f"tykky install {name}"]

    def show() -> None:
        state = "is not right yet" if problems else "is right"
        console.note(f"{file} {state}")
        if unlocked and not problems:
            console.note(f"  {console.plural(len(unlocked), 'selection')} without a lock that fits")
        console.note(f"next: {' && '.join(steps)}")

    answer |= {"changed": True, "problems": problems, "unlocked": unlocked, "next": steps}
    return Result(answer, show, Exit.RECIPE if problems else Exit.OK)


def _is_own(folder: Path) -> bool:
    """Whether a recipe may be changed where it is; also one of Tykky's, in its own repository."""
    shipped = resource("repo")
    is_developed = folder.parent == shipped and (shipped.parent / ".git").exists()
    # Editors write a new file beside the old one.
    is_writable = all(os.access(path, os.W_OK) for path in (folder, folder / RECIPE_FILE))
    return is_writable and (is_developed or is_own(folder.parent))


def _target(folder: Path, call: Call) -> Path:
    """The repository that a copy goes to. Raises ``ConfigError`` if there is none."""
    paths = call.repos.paths
    own = [path for path in paths if is_own(path)]
    if own and paths.index(own[0]) <= paths.index(folder.parent):
        return own[0]
    cause, remedy = "no repository is yours to write to", "'tykky repo add DIR' adds a directory"
    if own:
        cause = f"{own[0]} comes after {folder.parent}, so that a copy there would not count"
        remedy = f"move it to the front: tykky repo add {shlex.quote(str(own[0]))}"
    raise ConfigError(
        f"the recipe {folder} is not yours to change, and {cause}",
        remedy=remedy,
        code=Exit.NOT_WRITABLE,
    )


def _copy(folder: Path, repository: Path, *, ask: bool) -> Path:
    """The copy of a recipe's folder, made beside and renamed. Raises ``TykkyError``."""
    target = repository / folder.name
    if ask:
        cause = f"the recipe {folder} is not yours to change"
        remedy = f"--copy copies it to {target}, which counts from then on"
        if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigError(cause, remedy=remedy, code=Exit.NOT_WRITABLE)
        console.note(f"{cause}; a copy in {repository} would count instead")
        sys.stderr.write("copy it? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise ConfigError("nothing was copied", remedy=remedy, code=Exit.NOT_WRITABLE)
    with explained(f"copy the recipe to {target}", "repos"):
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=repository))
        try:
            shutil.copytree(folder, new / folder.name, symlinks=True, copy_function=shutil.copyfile)
            for path in (new / folder.name, *(Path(e.path) for e in walk(new / folder.name))):
                if not path.is_symlink():  # the modes are those of new files
                    path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask())
            (new / folder.name).rename(target)
        except shutil.Error as error:
            raise OSError(None, str(error.args[0][0][2]), str(target)) from error
        finally:
            discard(new)
    console.note(f"copied {folder} to {target}")
    return target


def _umask() -> int:
    os.umask(mask := os.umask(0o077))
    return mask


def _editor(file: Path) -> list[str]:
    """The editor, with its arguments. Raises ``ConfigError``."""
    for name in ("VISUAL", "EDITOR"):
        text = os.environ.get(name, "").strip()
        try:
            words = shlex.split(text)
        except ValueError as error:
            cause = f"${name} cannot be read: {error}"
            remedy = "write the program and its arguments, with quotes as in a shell"
            raise ConfigError(cause, remedy=remedy) from None
        if words and shutil.which(words[0]) is None:
            cause = f"the editor {words[0]} is not there"
            raise ConfigError(cause, remedy=f"correct ${name}", code=Exit.MISSING_TOOL)
        if words:
            return words
    remedy = f"export EDITOR=nano, say; or edit {file}, then 'tykky audit {file.parent.name}'"
    raise ConfigError("neither $VISUAL nor $EDITOR is set", remedy=remedy)


def _open(editor: list[str], file: Path) -> None:
    """Have a file edited. Raises ``TykkyError`` if the editor fails."""
    # Ctrl-C is the editor's; a handler, other than 'ignore', is not passed on to it.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with explained(f"start {editor[0]}"):
            status = subprocess.run([*editor, str(file)], check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    if status:
        cause = f"the editor {editor[0]} ended with {status}"
        remedy = f"what it has written, if anything, is kept: {file}"
        raise TykkyError(cause, remedy=remedy, code=Exit.CONFIG)


def _digest(folder: Path) -> str:
    """Of all files of a recipe."""
    digest = hashlib.sha256()
    with explained(f"read {folder}", "repos"):
        for path in sorted(p for e in walk(folder) if (p := Path(e.path)).is_file()):
            digest.update(bytes(path) + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _check(call: Call, name: str) -> tuple[list[str], list[str]]:
    """What is wrong with a recipe, which is told; and the selections without a lock that fits."""
    problems: list[str] = []
    unlocked: list[str] = []
    try:
        chosen = selected(call.repos, name)
    except TykkyError as error:
        console.error(error)
        return [error.cause], []
    for recipe in chosen:
        try:
            audit.visit(recipe, call.config, console.warn)
        except LockError:
            unlocked.append(str(recipe.spec))
        except TykkyError as error:
            if error.cause not in problems:
                console.error(error)
            problems.append(error.cause)
    return problems, unlocked

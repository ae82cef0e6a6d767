"""Whatever people write is read, or refused with a cause: no traceback, no hang, no exit code 1.

What is tried is the same in every run, and nothing is kept of it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import platform
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.recipe_files import HEAD
from tykky import lock as locks
from tykky.cli import answering, main
from tykky.compat import settings as classic
from tykky.compat.programs import wrap_install
from tykky.conda import environment
from tykky.config import KEYS, Config
from tykky.errors import Exit, TykkyError
from tykky.recipe import guarded, read_all, recipe_code, selections, source_digest
from tykky.repos import Repos, loading
from tykky.spec import parse
from tykky.tools import indexes

ARCH = platform.machine()


def fuzz(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,  # the machine may be busy; what hangs is ended by ``soon``
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def soon(seconds: float = 30) -> Iterator[None]:
    """Let what takes longer than that fail."""

    def late(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"took more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Let what is refused be refused: with a cause, a code of its own, and nothing else."""
    with soon():
        try:
            yield
        except TykkyError as error:
            assert error.cause
            assert error.code != Exit.FAILED, error.cause
            assert str(error.where) and error.details is not None  # can be shown


# -- what is tried ------------------------------------------------------------------------

#: Half characters, control characters, marks, names that no file can have.
ODD = st.sampled_from(
    (
        *("\ud800", "\udcff", "\0", "\n", "\r\n", "\x1b[2J", "\ufeff", "\u2028", "é", "a" * 300),
        *("/", "..", "~", "~nobody-there", "$HOME", "${", "{root}", "{", "%", "-", "--", "=", "#"),
        *("null", "~:", "!!python/object:x", "&a [*a]", "*a", "<<", "2024-99-99", "1e999", "0x"),
    )
)
WORD = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=6) | ODD
LINES = st.lists(st.lists(WORD, max_size=4).map(" ".join), max_size=6).map("\n".join)


def encoded(text: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Texts as files hold them, in the encodings there are, whole or cut; and what is no text."""
    codecs = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-16-le", "utf-32"])

    def encode(made: str, codec: str, cut: int) -> bytes:
        return made.encode(codec, "replace" if codec == "latin-1" else "surrogatepass")[cut:]

    return st.builds(encode, text, codecs, st.sampled_from([0, 0, 0, 0, 1])) | st.binary(
        max_size=99
    )


SCALARS = WORD | st.none() | st.booleans() | st.integers() | st.floats() | st.dates()
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(WORD, below, max_size=3)
)


def yaml_of(keys: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """YAML files with keys that mean something, and values that need not."""

    def dump(tree: Any, tail: str) -> str:
        lines = [f"{key}: {_flow(value)}" for key, value in tree.items()]
        return "\n".join([*lines, tail])

    trees = st.dictionaries(keys | WORD, TREES, max_size=4)
    return encoded(st.builds(dump, trees, st.just("") | LINES) | LINES)


def _flow(value: Any) -> str:
    """A value in the flow style of YAML; texts are in quotes, or are whatever they are."""
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    return json.dumps(value) if isinstance(value, str) and len(value) % 2 else str(value)


DEEP = b"a: " + b"[" * 3000
BLOCKS = b"a:\n" + b"".join(b" " * k + b"- \n" for k in range(1, 900))
BOMB = b"x: &a0 [y, y]\n" + b"".join(
    b"x%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n" % (k, k, k - 1, k - 1, k - 1, k - 1)
    for k in range(1, 30)
)


def bombs(key: str) -> list[bytes]:
    """What would take all time or memory, as the value of a key."""
    return [DEEP, BLOCKS, BOMB + f"{key}: *a29\n".encode(), b"a: &b {<<: [*b, *b]}", b"\xff\xfea"]


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# -- specs, recipes -----------------------------------------------------------------------


@fuzz(400)
@given(st.lists(st.text("ab1@/+~=. -_\ud800é\0", max_size=12) | WORD, max_size=4))
def test_specs(words: list[str]) -> None:
    with answered():
        for spec in parse(words):
            assert parse([str(spec)]) == [spec]


NAMES = """
versions homepage license maintainers deprecated base runtime isolation binds commands env setenv
family keywords needs loads gpu network python packages requirements source big variants suffix
_helper __slots__ __module__ __name__ __class__ __getattr__ __init__ __doc__ name spec test finish
assemble beside
"""
FIELDS = st.sampled_from(NAMES.split())
VALUES = (
    TREES.map(lambda tree: ascii(tree) if "date" not in repr(tree) else "()")
    | st.sampled_from(
        (
            *(
                "Version('1', x=2)",
                "variant(True)",
                "variant('a', 'b')",
                "variant()",
                "lambda s: 1",
            ),
            *(
                "property()",
                "staticmethod(len)",
                "iter('ab')",
                "(x for x in 1)",
                "object()",
                "type",
            ),
            *("float('nan')", "{1: 2}", "b'x'", "{'a'}", "range(3)", "__import__('os')", "1 / 0"),
            *("'numpy=>2'", "'a', '-r x'", "'a @ file:///x'", "'nump y'", "'cow@1 cow@2'", "...'"),
        )
    )
    | WORD.map(ascii)
)
PROPERTIES = st.sampled_from(
    (
        *("@property\ndef {}(self): return {}", "@property\ndef {}(): return {}"),
        *("@property\ndef {}(self): yield {}", "@property\ndef {}(self): raise {}"),
        *("@property\ndef {}(self): return self.{{}}", "@classmethod\ndef {}(cls): return {}"),
        *("@property\ndef {}(self): import yaml; return {}", "@staticmethod\ndef {}(): return {}"),
        *("@property\ndef {}(self): raise SystemExit({})", "{} = {}", "{}: str = {}", "{} += {}"),
        *("@property\ndef {}(self): raise BaseException({})", "class {}: x = {}"),
        *("async def {}(self): {}", "def {}(self): {}", "def {}(): {}"),
    )
)
MEMBERS = st.builds(lambda form, name, value: form.format(name, value), PROPERTIES, FIELDS, VALUES)


def visit(repository: Path) -> None:
    """What audits, plans and listings ask of a recipe before anything is resolved."""
    with answered():
        repos = Repos([repository])
        with contextlib.suppress(TykkyError):
            repos.description("tool")
        cls = repos.load("tool")
        assert cls.name == "tool" and source_digest(cls)
        config = Config.load({}, {"HOME": "/nonexistent"})
        for recipe in list(selections(cls))[:4]:
            assert recipe.spec and recipe.deprecation is not None
            read_all(recipe)
            for name in ("packages", "requirements", "big"):
                guarded(recipe, name) if hasattr(type(recipe), name) else None
            with recipe_code(recipe, "packages"):
                assert json.dumps(recipe.asked(config, ARCH))  # type: ignore[attr-defined]


@fuzz(400)
@given(st.lists(MEMBERS, min_size=1, max_size=3), st.sampled_from(["PipStack", "CondaStack"]))
def test_recipes(tmp_path: Path, members: list[str], kind: str) -> None:
    body = "\n".join("    " + line for member in members for line in member.split("\n"))
    text = HEAD.replace("PipStack", kind) + "    packages = 'numpy'\n" + body + "\n"
    written(tmp_path / "repo", "tool/recipe.py", text.encode("utf-8", "surrogatepass"))
    visit(tmp_path / "repo")


@fuzz(150)
@given(encoded(LINES.map(lambda text: f"{HEAD}    {text}") | LINES))
@example(HEAD.encode() + b"    _x = " + b"(" * 3000)
@example(HEAD.encode() + b"    _x = " + b"-" * 3000 + b"1")
@example(b"[" * 100_000)
def test_recipe_files(tmp_path: Path, content: bytes) -> None:
    written(tmp_path / "repo", "tool/recipe.py", content)
    visit(tmp_path / "repo")


@fuzz(150)
@given(yaml_of(st.just("namespace")))
@example(bombs("namespace")[0])
@example(bombs("namespace")[2])
def test_descriptions_of_repositories(tmp_path: Path, content: bytes) -> None:
    written(tmp_path, "repo.yaml", content)
    with answered():
        loading.register(tmp_path)


# -- files of packages --------------------------------------------------------------------

REQUIREMENT = st.sampled_from(
    (
        *("numpy", "numpy>=2", "numpy=>2", "-r other.txt", "-e .", "--index-url http://u:p@h/"),
        *("six # é", "a @ file:///x", "./x.whl", "numpy[x", "conda-forge::x=1=2", "x [build='a']"),
        *("@EXPLICIT", "http://h/x-1-0.conda#" + "0" * 32, "http://h/x-1-0.conda", "a b c d"),
        *("- x", "- pip:", "dependencies:", "channels: [x]"),
    )
)
PACKAGES = encoded(st.lists(REQUIREMENT | WORD, max_size=5).map("\n".join))


@fuzz(300)
@given(PACKAGES)
def test_requirements_files(tmp_path: Path, content: bytes) -> None:
    text = HEAD + '    requirements = "r.txt"\n'
    written(tmp_path / "repo", "tool/recipe.py", text.encode())
    path = written(tmp_path / "repo", "tool/r.txt", content)
    visit(tmp_path / "repo")
    with answered():
        assert indexes.installing(path, tmp_path, Config.load({}, {"HOME": "/nonexistent"}), [])


@pytest.mark.parametrize("name", ["e.yml", "e.txt"])
@fuzz(300)
@given(
    PACKAGES | yaml_of(st.sampled_from(["name", "channels", "dependencies", "variables", "prefix"]))
)
@example("\udcff".encode("utf-32", "surrogatepass"))
@example(bombs("dependencies")[0])
@example(bombs("dependencies")[1])
@example(bombs("dependencies")[2])
@example(BOMB + b"dependencies:\n- pip: *a29\n")
@example(bombs("x")[3])
def test_environment_files(tmp_path: Path, name: str, content: bytes) -> None:
    path = written(tmp_path, name, content)
    for locked in (True, False):
        with answered():
            found = environment.read(path, ARCH, locked=locked)
            json.dumps([found.specs, found.channels, found.pip]).encode()


@fuzz(200)
@given(encoded(TREES.map(lambda tree: json.dumps(tree, default=str))), TREES)
@example(b"[" * 100_000, None)
@example(b'{"a":' * 100_000, None)
def test_locks(tmp_path: Path, content: bytes, packages: Any) -> None:
    fields = {"recipe": "a", "version": "1", "suffix": "", "arch": "x", "asked": {}}
    whole = {"format": 1, **fields, "packages": packages}
    for text in (content, json.dumps(whole, default=str).encode()):
        path = written(tmp_path, "lock.json", text)
        with answered():
            assert locks.read(path).digest


# -- configurations -----------------------------------------------------------------------


@fuzz(400)
@given(yaml_of(st.sampled_from([*KEYS, *{key.partition(".")[0] for key in KEYS}])))
@example(bombs("mount_points")[0])
@example(bombs("mount_points")[1])
@example(bombs("mount_points")[2])
@example(bombs("x")[3])
def test_configuration_files(tmp_path: Path, content: bytes) -> None:
    with answered():
        assert Config.check("user", content, {"HOME": str(tmp_path)})


@fuzz(200)
@given(st.sampled_from([*KEYS]), WORD.filter(lambda word: "\0" not in word))
def test_values_of_flags_and_variables(tmp_path: Path, key: str, value: str) -> None:
    with answered():
        Config.load({key: value}, {"HOME": str(tmp_path)})
    with answered():
        name = "TYKKY_" + key.replace(".", "_").upper()
        assert Config.load({}, {"HOME": str(tmp_path), name: value})


@fuzz(300)
@given(yaml_of(st.sampled_from([*classic.KNOWN, *classic._PARTS])))
@example(bombs("mount_points")[0])
@example(bombs("mount_points")[1])
@example(bombs("mount_points")[2])
def test_classic_configurations(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, "c.yaml", content)
    with answered():
        user = classic.read_user(path)
        values = classic.merge(classic.read_site(), user)
        classic.settle_path(values)
    with answered(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("CW_GLOBAL_YAML", str(path))
        assert classic.merge(classic.read_site(), {})


# -- command lines ------------------------------------------------------------------------

VERBS = (
    "list|info|lock|audit|install --plan|rollback|uninstall|gc|find|find --format|diff|history|log|"
    "module|base|base list|refresh|refresh --check|verify|reindex|config|config get|config why|"
    "config set|completion|activate|--root|-c|nonsense|"
)
#: What is in the file system of each call, besides what no path leads to.
PATHS = ["fifo", "folder", "file", "loop", "secret", "a" * 300, "\udcff", "new\nline", "no/such"]
ARGUMENT = WORD | st.sampled_from([*PATHS, "tool", "tool@2.1", "tool/2.1", "tool#1", "--json"])
DOCUMENTED = {int(code) for code in Exit} - {Exit.FAILED}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user with a repository, odd files in the working directory, and nothing installed."""
    for name in [name for name in os.environ if re.match("TYKKY_|CW_|XDG_", name)]:
        monkeypatch.delenv(name)
    written(tmp_path, "repo/tool/recipe.py", HEAD.encode() + b'    packages = "numpy"\n')
    work = tmp_path / "work"
    (work / "folder").mkdir(parents=True)
    os.mkfifo(work / "fifo")
    (work / "file").write_text("x")
    (work / "loop").symlink_to("loop")
    (work / "secret").touch(mode=0)
    monkeypatch.chdir(work)
    for name, value in {"HOME": tmp_path, "PWD": work, "TYKKY_BUILD_DIR": tmp_path / "b"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("TYKKY_REPOS", str(tmp_path / "repo"))
    monkeypatch.setenv("TYKKY_BUILTIN_REPO", "false")
    kept = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path
    for each, handler in kept.items():
        signal.signal(each, handler)


def can_be_given(*words: str) -> bool:
    """Whether a command line can have these words: it has bytes, and no byte 0."""
    return not re.search("[\0\ud800-\udc7f\udd00-\udfff]", "".join(words))


def assert_documented(work: Callable[[], int]) -> None:
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with soon(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = work()
        except SystemExit as ended:  # of argparse: --help, or what it refuses
            code = int(ended.code or 0)
    err.seek(0)
    assert code in DOCUMENTED, (code, err.read())


@fuzz(300)
@given(st.sampled_from(VERBS.split("|")), st.lists(ARGUMENT, max_size=3))
def test_command_lines(place: Path, verb: str, words: list[str]) -> None:
    if can_be_given(*words):
        root = [] if verb == "--root" else ["--root", str(place / "t")]
        assert_documented(lambda: main([*root, *verb.split(), *words]))


@fuzz(100)
@given(
    st.sampled_from(
        ["root", "module_path", "build_dir", "cache_dir", "repos", "hooks", "bases_dir"]
    ),
    st.sampled_from(PATHS) | WORD,
    st.sampled_from(["find", "list", "install --plan tool", "verify", "log tool", "gc", "reindex"]),
)
def test_paths_of_settings(place: Path, key: str, path: str, verb: str) -> None:
    if can_be_given(path):
        value = str(place / "work" / path) if path in PATHS else path
        assert_documented(lambda: main(["-c", f"{key}={value}", *verb.split()]))


@fuzz(80)
@given(ARGUMENT, ARGUMENT, ARGUMENT)
def test_classic_command_lines(place: Path, source: str, prefix: str, script: str) -> None:
    words = [source, "-w", "no-such-program", "--prefix", prefix, "--post-install", script]
    if can_be_given(*words):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["wrap-install", *words])
            assert_documented(wrap_install)


def test_the_fuzz_would_notice(tmp_path: Path) -> None:
    def broken() -> int:
        raise OSError(errno.ENOTTY, "what nobody has foreseen")

    with pytest.raises(AssertionError):
        assert_documented(lambda: answering(broken))
    with pytest.raises(RecursionError), answered():
        raise RecursionError

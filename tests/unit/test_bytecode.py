"""Byte code that was compiled elsewhere: the same as what is compiled where it is."""

from __future__ import annotations

import email
import json
import marshal
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tykky.kinds import seal

SCRIPT = Path(seal.__file__).with_name("compiling.py")
#: Modules of all sorts: more than one process compiles, in folders, empty, none at all.
STANDARD = Path(email.__file__).parent.parent
MODULES = {
    **{f"std/{path.name}": path.read_text() for path in sorted(STANDARD.glob("[a-s]*.py"))},
    **{f"email/{path.name}": path.read_text() for path in (STANDARD / "email").glob("*.py")},
    "x-1.data/purelib/moved.py": "def f(): return lambda: 1 in {1, 2}\n",
    "empty.py": "",
    "warned.py": "x = '\\d'\n",
    "wrong.py": "def f(:\n",
    "two.py": "a, b = '/tykky-byte-code-of/two.py', 1\n",
    "x-1.data/scripts/s.py": "no module",
}


pytestmark = pytest.mark.filterwarnings("ignore:invalid escape")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the byte code of a wheel."""
    top = tmp_path_factory.mktemp("wheel")
    with ZipFile(top / "x.whl", "w") as wheel:
        for name, text in MODULES.items():
            wheel.writestr(name, text)
    for jobs in ("1", "3"):
        line = [sys.executable, "-I", "-S", SCRIPT, top / "x.whl", top / jobs, jobs]
        done = subprocess.run(line, check=True, capture_output=True, text=True)
        assert done.stdout + done.stderr == ""
    assert (top / "1").read_bytes() == (top / "3").read_bytes()
    return top / "1"


def unpacked(folder: Path) -> Path:
    """What the wheel installs."""
    for name, text in MODULES.items():
        path = folder / name.removeprefix("x-1.data/purelib/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def compiled(folder: Path, files: list[str]) -> tuple[dict[str, bytes], set[str]]:
    """All byte code of what is in a folder; and which of it was ready."""
    known, put = seal.all_ready(files, folder), set()
    for source in folder.rglob("*.py"):
        if seal.is_put(str(source), known.get(str(source))):
            put.add(str(source.relative_to(folder)))
        else:
            seal.compile_one(str(source), None, new=True)
    found = {path: path.read_bytes() for path in folder.rglob("*.pyc")}
    # Without the marks of what is named again, which depend on what else this process has.
    plain = {
        str(path.relative_to(folder)): data[:16] + marshal.dumps(marshal.loads(data[16:]), 2)
        for path, data in found.items()
    }
    return plain, put


def test_what_is_ready_is_what_would_be_compiled(ready: Path, tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "p")
    here, none = compiled(folder, [])
    for path in folder.rglob("*.pyc"):
        path.unlink()
    there, put = compiled(folder, [str(ready)])
    assert none == set() and there == here
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.py")}
    assert names - put == {"wrong.py", "two.py", "x-1.data/scripts/s.py"}
    assert len(put) > 100 and "moved.py" in put and "std/ast.py" in put


def test_what_is_ready_for_something_else_is_not_taken(ready: Path, tmp_path: Path) -> None:
    head, _, rest = ready.read_bytes().partition(b"\n")
    values = json.loads(head)
    other, broken = tmp_path / "other", tmp_path / "broken"
    other.write_bytes(json.dumps({**values, "magic": "0000"}).encode() + b"\n" + rest)
    broken.write_bytes(head + b"\n" + bytes(len(rest)))
    cases = {
        "of another Python": ("p", other, "x"),
        "damaged": ("p", broken, "x"),
        "another source": ("p", ready, "x = 1"),
        "a path in other letters": ("p\xe9", ready, "x"),
        "a long path": ("p" * 200 + "/" + "p" * 100, ready, "x"),
    }
    for case, (name, file, text) in cases.items():
        source = tmp_path / case / name / "moved.py"
        source.parent.mkdir(parents=True)
        source.write_text(text if "=" in text else MODULES["x-1.data/purelib/moved.py"])
        known = seal.all_ready([str(file)], source.parent).get(str(source))
        assert not seal.is_put(str(source), known), case
        seal.compile_one(str(source), known, new=True)
        assert seal.is_good(str(source)), case

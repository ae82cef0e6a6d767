"""What ``tykky create`` makes of what people have: formats, one by one, and the recipe's text."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tykky.bring import exact, formats, imports, writing
from tykky.bring.found import Found, Left
from tykky.config import Config
from tykky.errors import TykkyError, masked
from tykky.lock import Lock, Package

HASH = "0" * 64
SECRET = "s3cret"


def found_in(path: Path) -> Found:
    return formats.read(str(path), Config.load({}))[1]


def lines(found: Found, name: str) -> list[str]:
    """The requirements of a recipe, in its text or in a file beside it."""
    inline = found.fields.get(name, ())
    text = found.files.get(f"{name}.txt", b"").decode().replace(" \\\n    ", " ")
    return (
        [inline]
        if isinstance(inline, str) and name == "packages"
        else ([*inline] if name in found.fields and name == "packages" else text.splitlines())
    )


# Of each line: what is asked for (None: nothing), and words of why something is left out (or none).
LINES: list[tuple[str, str | None, str]] = [
    ("numpy>=2,<3  # arrays", "numpy>=2,<3", ""),
    ('requests[socks] ; python_version > "3"', 'requests[socks] ; python_version > "3"', ""),
    ("numpy \\\n  >=2", "numpy >=2", ""),
    (f"six==1.17.0 \\\n    --hash=sha256:{HASH} \\\n    --hash=md5:1",
     f"six==1.17.0 --hash=sha256:{HASH}", ""),
    ("numpy=2", None, "no requirement"),
    ("-e .", None, "a directory"),
    ("./gone-1.0-py3-none-any.whl", None, "no such file"),
    ("certifi @ file:///croot/certifi_1690232220950/work/certifi", None, "no such file"),
    ("git+https://github.com/kim/tool.git@main#egg=tool", None, "version control"),
    ("tool @ git+ssh://git@github.com/kim/tool@v1", None, "version control"),
    ("-e git+https://kim:s3cret@git.site/tool.git#egg=tool", None, "version control"),
    ("a @ https://kim:s3cret@site.org/a-1.0-py3-none-any.whl",
     "a @ https://site.org/a-1.0-py3-none-any.whl", ".netrc"),
    ("https://site.org/b_c-1.0-py3-none-any.whl",
     "b-c @ https://site.org/b_c-1.0-py3-none-any.whl", ""),
    ("a @ https://site.org/a-1.0-py3-none-any.whl?token=s3cret", None, "token"),
    ("a @ https://s.org/a-1.0-py3-none-any.whl?X-Amz-Signature=s3cret", None, "token"),
    ("a @ https://s.org/a-1.0-py3-none-any.whl?sv=1&sig=s3cret%3D", None, "token"),
    ("a @ https://s.org/a-1.0-py3-none-any.whl?AccessKeyId=s3cret", None, "token"),
    ("a @ https://s.org/a-1.0-py3-none-any.whl#access_token=s3cret", None, "token"),
    ("-i https://pypi.org/simple/", None, ""),
    ("--extra-index-url=https://kim:s3cret@pypi.site.org/simple", None, ".netrc"),
    ("--index-url https://s3cret@pypi.site.org/simple --pre", None, "pre-releases"),
    ("--find-links /wheels", None, "index"),
    ("--trusted-host pypi.site.org", None, "certificate"),
    ("--no-binary :all:", None, "source"),
    ("tool==${VERSION}", None, "environment"),
    ("private --config-settings=x=1", "private", "build"),
    ("-r https://site.org/more.txt", None, "fetched"),
    ("--require-hashes", None, ""),
    ("\x1b[31mred", None, "no text"),
    ("evil'''\"\"\" ; __import__('os')", None, "no requirement"),
]  # fmt: skip


@pytest.mark.parametrize("line, asked, why", LINES, ids=[line[:30] for line, *_ in LINES])
def test_each_line_of_a_requirements_file_is_carried_over_or_named(
    tmp_path: Path, line: str, asked: str | None, why: str
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_bytes(f"\ufeff# mine\r\n{line}\r\nanchor\r\n".replace("\n", "\r\n").encode())
    found = found_in(file)
    assert lines(found, "packages") + lines(found, "requirements") == [
        *([asked] if asked else []), "anchor"
    ]  # fmt: skip
    text = writing.recipe("lab", found)
    assert SECRET not in text + str(found.files)
    assert masked(text) == text  # else locking would refuse it
    if why:
        (left, *_) = [each for each in found.left if why in each.why]
        assert left.file == "requirements.txt" and left.line in (3, 4)  # a break counts twice
        assert writing.said(left)[:20] in text
    else:
        assert not found.left


def test_files_that_a_file_includes_constrain_or_ask_and_name_themselves(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "requirements.txt").write_text(
        "-r more/a.txt\n-c limits.txt\nnumpy\n--no-binary x\n"
    )
    (tmp_path / "more/a.txt").write_text("-r ../requirements.txt\npandas\n\n-e .\n")
    (tmp_path / "limits.txt").write_text("urllib3<2\n")
    found = found_in(tmp_path / "requirements.txt")
    assert lines(found, "packages") == ["pandas", "numpy"]
    assert lines(found, "constraints") == ["urllib3<2"]
    assert found.fields["source"] == ("x",)
    assert [(each.file, each.line) for each in found.left] == [("more/a.txt", 4)]


def test_what_a_file_includes_is_of_the_same_project_and_not_hidden(tmp_path: Path) -> None:
    """Whoever has written it may want something else read, and the index asked for that."""
    home = tmp_path / "home"
    (home / "project/sub").mkdir(parents=True)
    for name in (".netrc", "notes.txt", "project/.env", "project/sub/fine.txt"):
        (home / name).write_text(f"{SECRET}-{len(name)}\n")
    (home / "project/link.txt").symlink_to(home / "notes.txt")
    top = home / "project/requirements.txt"
    names = ("../.netrc", "../notes.txt", home / "notes.txt", "link.txt", ".env", "/etc/passwd")
    top.write_text("six\n" + "".join(f"-r {n}\n-c {n}\n" for n in names) + "-r sub/fine.txt\n")
    found = found_in(top)
    assert lines(found, "packages") == ["six", f"{SECRET}-20"]
    assert len(found.left) == 2 * len(names)
    assert {"root", f"{SECRET}-6"}.isdisjoint(
        writing.recipe("lab", found).replace(":", " ").split()
    )
    # In a project, its folder is the border.
    (home / "project/sub/dev.txt").write_text("-r ../requirements.txt\n")
    with pytest.raises(TykkyError, match="asks for no package"):
        found_in(home / "project/sub/dev.txt")
    (home / "project/pyproject.toml").write_text(
        "[project]\nname = 'x'\ndynamic = ['dependencies']\n[tool.setuptools.dynamic]\n"
        "dependencies = {file = ['../notes.txt', 'sub/fine.txt']}\n"
    )
    assert lines(found_in(home / "project/sub/dev.txt"), "packages") == ["six", f"{SECRET}-20"]
    found = found_in(home / "project/pyproject.toml")
    assert lines(found, "packages") == [f"{SECRET}-20"]
    # Nor is there any end to what some include.
    for number in range(2000):
        (home / f"project/sub/{number}.txt").write_text(f"-r {number + 1}.txt\n")
    with pytest.raises(TykkyError, match="more than 100 files"):
        found_in(home / "project/sub/0.txt")


def test_variables_that_look_like_secrets_are_not_carried_over() -> None:
    kept = {"LANG": "C", "KEYBOARD": "fi", "PATTERN": "*", "COMPASS": "north", "MODE": "key=1"}
    secret = {"AKEY": "x", "MY_PW": "x", "PGPASS": "x", "GITHUB_PAT": "x", "API_KEYS": "x"}
    secret |= {"CONN": "Server=x;Password=s3cretZ7", "TOK": f"ghp_{'s3cret' * 6}"}
    left: list[str] = []
    assert exact.variables({**kept, **secret}, lambda what, *_: left.append(what)) == kept
    assert left == [f"the variable {name}" for name in secret]


UV = (
    """\
version = 1
requires-python = ">=3.10"

[[package]]
name = "demo"
version = "0.3"
source = { editable = "." }
dependencies = [
    { name = "old", marker = "python_full_version < '3.5'" },
    { name = "two", version = "2.0", source = { registry = "https://pypi.org/simple" } },
    { name = "tool" },
]

[package.optional-dependencies]
plots = [{ name = "plot" }]

[[package]]
name = "two"
version = "1.0"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "two"
version = "2.0"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "three" }]
sdist = { url = "https://x.org/two-2.0.tar.gz", hash = "sha256:SDIST" }
wheels = [
    { url = "https://x.org/two-2.0-cp311-cp311-manylinux_2_17_x86_64.whl", hash = "sha256:LINUX" },
    { url = "https://x.org/two-2.0-cp312-cp312-manylinux_2_17_x86_64.whl", hash = "sha256:OTHER" },
    { url = "https://x.org/two-2.0-cp311-cp311-win_amd64.whl", hash = "sha256:OTHER" },
]

[[package]]
name = "three"
version = "3.0"
source = { registry = "https://kim:s3cret@pypi.site.org/simple" }
sdist = { url = "https://x.org/three-3.0.tar.gz", hash = "sha256:SDIST" }

[[package]]
name = "tool"
version = "1"
source = { git = "https://github.com/kim/tool?rev=main#abc" }

[[package]]
name = "plot"
version = "1"
source = { registry = "https://pypi.org/simple" }
""".replace("SDIST", "5" * 64)
    .replace("LINUX", "1" * 64)
    .replace("OTHER", "e" * 64)
)

PYLOCK = """\
lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "two"
version = "2.0"
index = "https://pypi.org/simple"
wheels = [{ url = "https://x.org/two-2.0-py3-none-any.whl", hashes = { sha256 = "LINUX" } }]
[[packages]]
name = "windows"
version = "1.0"
marker = "sys_platform == 'win32'"
wheels = [{ url = "https://x.org/windows-1.0-py3-none-any.whl", hashes = { sha256 = "LINUX" } }]
[[packages]]
name = "here"
directory = { path = "." }
""".replace("LINUX", "1" * 64)

PYPROJECT = """\
[project]
name = "demo"
version = "0.3"
description = \"\"\"Draws
"things".\"\"\"
requires-python = ">=3.11"
dependencies = ["two>=2", "tool", "broken=1"]
[project.optional-dependencies]
plots = ["plot"]
[dependency-groups]
dev = ["pytest"]
[tool.uv.sources]
tool = { git = "https://github.com/kim/tool" }
"""

POETRY = """\
[tool.poetry]
name = "demo"
[tool.poetry.dependencies]
python = "^3.10"
two = "^1.2"
three = { version = "~0.3.1", extras = ["x"] }
four = "*"
five = "1.5"
six = ">=1, <2"
zero = "^0.0.3"
"""


@pytest.mark.parametrize(
    "name, text, asked, constrained, left",
    [
        ("uv.lock", UV, ["two"],
         [f"two==2.0 --hash=sha256:{'1' * 64}", f"three==3.0 --hash=sha256:{'5' * 64}"],
         ["the project demo", "the extra 'plots'", "the index https://pypi.site.org", "tool @"]),
        ("pylock.toml", PYLOCK, [f"two==2.0 --hash=sha256:{'1' * 64}"], [], ["here @"]),
        ("pyproject.toml", PYPROJECT, ["two>=2"], [],
         ["tool @", "broken=1", "the extra 'plots'", "the dependency group 'dev'", "the project"]),
        ("pyproject.toml", POETRY,
         ["two>=1.2,<2", "three[x]>=0.3.1,<0.4", "four", "five==1.5", "six>=1,<2",
          "zero>=0.0.3,<0.0.4"], [], ["the project demo"]),
    ],
    ids=["uv", "pylock", "pyproject", "poetry"],
)  # fmt: skip
def test_locks_and_projects_give_versions_digests_and_what_is_left(
    tmp_path: Path, name: str, text: str, asked: list[str], constrained: list[str], left: list[str]
) -> None:
    (tmp_path / name).write_text(text)
    found = found_in(tmp_path / name)
    assert lines(found, "packages") + lines(found, "requirements") == asked
    assert sorted(lines(found, "constraints")) == sorted(constrained)
    told = [each.what for each in found.left]
    for words in left:
        (line,) = {each.line for each in found.left if each.what.startswith(words)}
        assert line > 0, words
    assert len(told) == len(left), told
    assert SECRET not in writing.recipe("demo", found) + str(found.files)
    assert found.fields["python"] == "3.11"


def test_of_an_environment_all_is_kept_and_what_was_asked_for_is_told(tmp_path: Path) -> None:
    """Whatever nothing else needs, or only what is left out; circles; what pip and uv note."""
    site = tmp_path / "env/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (tmp_path / "env/pyvenv.cfg").write_text("include-system-site-packages = true\n")

    def add(name: str, *needs: str, **files: str) -> None:
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        lines = "".join(f"Requires-Dist: {need}\n" for need in needs)
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n{lines}")
        (info / "RECORD").write_text(f"{name}_module/__init__.py,,\n")
        for file, text in files.items():
            (info / file.replace("__", ".")).write_text(text)

    add("top", "under", "old ; python_version < '3'", "extra ; extra == 'x'", "pip")
    add("under")
    add("old")  # asked for, since nothing needs it with this Python
    add("extra")
    add("one", "two")  # which need each other
    add("two", "one")
    add("both", REQUESTED="", INSTALLER="pip")
    add("needer", "both", "byuv")
    add("byuv", REQUESTED="", INSTALLER="uv")
    add("pip")
    add("editable", "hidden", direct_url__json='{"url": "file:///gone", "dir_info": {}}')
    add("hidden")
    (site / "broken-1.0.dist-info").mkdir()
    # What nobody has installed, and would be waited for, or read without an end.
    os.mkfifo(site / "pipe-1.0.dist-info")
    for name, file in (("told", "METADATA"), ("from", "direct_url.json"), ("zero", "METADATA")):
        add(f"{name}_odd")
        path = site / f"{name}_odd-1.0.dist-info" / file
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/zero") if name == "zero" else os.mkfifo(path)
    found = found_in(tmp_path / "env")
    asked = ["both", "extra", "hidden", "needer", "old", "one", "top"]
    assert lines(found, "packages") == asked
    every = [*asked, "byuv", "two", "under"]
    assert lines(found, "constraints") == [f"{name}==1.0" for name in sorted(every)]
    assert [left.what.partition(" ")[0] for left in found.left] == [
        "include-system-site-packages", "editable"
    ]  # fmt: skip
    assert "import both_module, extra_module, hidden_module" in found.tests[0]


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("requirements.txt", "-e .\n", "asks for no package"),
        ("requirements.txt", "-r gone.txt\n", "gone.txt cannot be read"),
        ("pyproject.toml", "[project\n", "line 1"),
        ("pyproject.toml", "[build-system]\n", "names nothing"),
        ("uv.lock", "version = 1\n", "names no packages"),
        ("uv.lock", '[[package]]\nname = "x\\n-e ."\nversion = "1"\n', "no name"),
        ("pylock.toml", "packages = 5\n", "names no packages"),
        ("strange.bin", "\0\1", "nothing tells what"),
        ("project/uv.lock", "version = 1\n", "directory of a project"),
    ],
)
def test_what_cannot_be_made_a_recipe_is_one_clear_error(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    from tykky.errors import TykkyError

    (tmp_path / "project").mkdir()
    (tmp_path / name).write_text(text)
    with pytest.raises(TykkyError, match=words) as raised:
        found_in(tmp_path / name.removesuffix("/uv.lock"))
    assert raised.value.remedy


HOSTILE = [
    "a'b", 'a"b', "a'\"b\"", "\\", "\n", '"""', "'''", "x" * 200, "word " * 60,
    "\u202e\ud800",
    "{x}\0", "é" * 90, '"' * 120, "\\" * 120, "\t tab", "'); import os #", "@NAME@", "",
]  # fmt: skip


def test_hostile_texts_stay_texts_and_the_recipe_is_formatted(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"homepage": HOSTILE[7], "license": HOSTILE[12], "base": HOSTILE[0]}
    fields |= {"packages": tuple(HOSTILE), "one": (HOSTILE[8],), "few": ("a", "b"), "mask": True}
    fields |= {"setenv": {text[:9]: text for text in HOSTILE}, "small": {"a": "b"}}
    left = tuple(Left(text, text, text, number) for number, text in enumerate(HOSTILE))
    found = Found("PipStack", fields, {}, left, "1", "\n\n".join(HOSTILE), tuple(HOSTILE))
    text = writing.recipe("3-my-lab", found)
    space: dict[str, Any] = {}
    exec(text.replace("from tykky import PipStack", "class PipStack: pass"), space)
    recipe, ran = space["Stack3MyLab"], list[str]()
    assert all(getattr(recipe, name) == value for name, value in fields.items() if name != "one")
    assert recipe.one == HOSTILE[8]
    recipe.test(None, type("Box", (), {"run": staticmethod(ran.append)}))
    assert ran == HOSTILE
    file = tmp_path / "recipe.py"
    file.write_text(text, encoding="utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    check = [ruff, "format", "--check", "--isolated", "--no-cache", "--line-length=100", file]
    assert subprocess.run(check, capture_output=True).returncode == 0
    assert max(map(len, text.splitlines())) <= 100


class _Parts(BaseHTTPRequestHandler):
    """A server that gives parts of a file, and notes how many bytes it has sent."""

    content = b""
    sent = 0

    def do_GET(self) -> None:
        total, (start, end) = len(self.content), self.headers["Range"][6:].split("-")
        first = int(start) if start else max(0, total - int(end))
        last = min(int(end), total - 1) if start else total - 1
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(self.content[first : last + 1])
        type(self).sent += last + 1 - first

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("size", [0, 3 << 20])
def test_of_a_wheel_on_a_server_only_what_tells_its_modules_is_read(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as wheel:
        wheel.writestr("big/__init__.py", "")
        wheel.writestr("x-1.dist-info/METADATA", "Name: x\nRequires-Dist: six (>1)\n\nwords")
        wheel.writestr("big/data.bin", b"0" * size)
        for number in range(2000):  # whose list is longer than one block
            wheel.writestr(f"big/{number}/__init__.py", "")
    _Parts.content, _Parts.sent = stream.getvalue(), 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Parts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/x-1-py3-none-any.whl"
        package = Package("x", "1", "x-1-py3-none-any.whl", "0" * 64, url=address)
        lock = Lock("lab", "1", "", "x86_64", {}, (package,))
        assert imports.modules(lock, ["X"], Config.load({})) == ("big",)
        assert _Parts.sent < 1 << 20
    finally:
        server.shutdown()
        server.server_close()

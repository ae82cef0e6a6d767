"""What a build, and a test of a recipe, may do: less than whoever installs.

One probe tries to get at the host from everything that runs code of packages; it is the same as
root and as an ordinary user. ``share/doc/explanation/security.md`` has the promise in words.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import io
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.indexes import wheel
from tests.launcher.stacks import program
from tests.servers import Web, serve
from tests.stacks import Site
from tykky.contents import of_python
from tykky.errors import Exit, StepError
from tykky.tools import uv, wheels

PROBE = Path(__file__).with_name("probe.py")
LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def plan(site: Site, place: Path) -> Iterator[dict[str, Any]]:
    """Secrets, sockets, a server, a process and shared memory of the host, for the probe to try."""
    home, shared = site.user.home, place / "shared"
    shared.mkdir()
    for path in (home / ".ssh/id_rsa", home / "private", shared / "data"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret")
    abstract = f"tykky-{place.name}"
    with contextlib.ExitStack() as stack:
        web = stack.enter_context(serve())
        for name in (str(home / "agent"), str(shared / "bus"), "\0" + abstract):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(name)
            listener.listen()
        sleeper = subprocess.Popen(["sh", "-c", "sleep 600; : see-me-if-you-can"])
        stack.callback(sleeper.wait)
        stack.callback(sleeper.kill)
        segment = LIBC.shmget(0x7E57, 4096, 0o1600)
        stack.callback(LIBC.shmctl, segment, 0, None)
        port = int(web.address.rpartition(":")[2])
        yield {
            "secrets": [str(home / ".ssh/id_rsa"), str(home / "private"), str(shared / "data")],
            "writes": [str(home / "x"), str(shared / "x"), str(site.root / "x"), "/etc/x"],
            "sockets": [str(home / "agent"), str(shared / "bus")],
            "abstract": [abstract],
            "servers": [["127.0.0.1", port]],
            "variables": ["SSH_AUTH_SOCK", "FTP_PROXY", "UV_DEFAULT_INDEX"],
        }


def secretive(site: Site) -> Site:
    """The site, whose caller's environment has what a build must not have."""
    return site.with_env(SSH_AUTH_SOCK="/nowhere", FTP_PROXY="http://u:TOKEN@127.0.0.1:9")


def attempts(said: str) -> dict[str, bool]:
    """What the probe's last answer in a text says of each attempt."""
    line = [line for line in said.splitlines() if "PROBE " in line][-1]
    found: dict[str, bool] = json.loads(line.partition("PROBE ")[2])
    return found


def through(said: str, plan: dict[str, Any]) -> set[str]:
    """The attempts that got through; of those to write, what is there on the host."""
    got = {name for name, yes in attempts(said).items() if yes and not name.startswith("writes")}
    return got | {f"writes {path}" for path in plan["writes"] if Path(path).exists()}


def probing(site: Site, plan: dict[str, Any], step: str, fields: str = "") -> None:
    """Write a recipe whose step runs the probe, and keeps what that says."""
    folder = site.repo / "hello"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROBE, folder / "probe.py")
    (folder / "plan.json").write_text(json.dumps(plan))
    told = str(site.repo.parent / "told")
    line = f"['/usr/bin/python3', {str(folder / 'probe.py')!r}, {str(folder / 'plan.json')!r}]"
    body = f"from pathlib import Path\n    Path({told!r}).write_text(box.run({line}))"
    site.hello(more=f"{fields}\ndef {step}(self, box):\n    {body}")


@pytest.mark.parametrize("step", ["finish", "test"])
def test_nothing_of_the_host_is_in_reach(site: Site, plan: dict[str, Any], step: str) -> None:
    probing(site, plan, step)
    done = secretive(site)("install", "hello")
    assert through((site.repo.parent / "told").read_text(), plan) == set()
    assert "network" not in done.stderr


@pytest.mark.parametrize("step", ["finish", "test"])
def test_what_a_recipe_asks_for_is_open_and_said_aloud(
    site: Site, plan: dict[str, Any], step: str, place: Path
) -> None:
    shared = place / "shared"
    probing(site, plan, step, f"network = True\nreads = {str(shared)!r}")
    done = site("install", "hello")
    got = through((site.repo.parent / "told").read_text(), plan)
    assert got == {
        "connects to 127.0.0.1",
        f"reads {shared}/data",
        f"connects to {shared}/bus",
        *([f"connects to @{plan['abstract'][0]}"] if step == "test" else []),
    }
    assert "may use the network: the recipe says 'network = True'" in done.stderr
    assert f"may read {shared}: the recipe says 'reads'" in done.stderr


def test_a_site_may_open_its_directories_to_all_builds(
    site: Site, plan: dict[str, Any], place: Path
) -> None:
    probing(site, plan, "finish")
    site("install", "hello", "-c", f"reads={place}/shared")
    got = through((site.repo.parent / "told").read_text(), plan)
    assert got == {f"reads {place}/shared/data", f"connects to {place}/shared/bus"}


def test_a_build_in_an_image_reaches_no_more(
    site: Site, plan: dict[str, Any], debian: Path
) -> None:
    probing(site, plan, "finish", f"base = {str(debian)!r}")
    secretive(site)("install", "hello")
    assert through((site.repo.parent / "told").read_text(), plan) == set()


def test_root_can_do_no_more(site: Site, plan: dict[str, Any]) -> None:
    for step in ("finish", "test"):
        probing(site, plan, step)
        # Root of a namespace, which has all capabilities at first.
        secretive(site).user.run("unshare", "-r", "tykky", "install", "--force", "hello")
        assert through((site.repo.parent / "told").read_text(), plan) == set(), step


def test_a_node_without_namespaces_for_networks_has_them_closed_by_a_filter(place: Path) -> None:
    code = (
        "import socket\n"
        "for family in (socket.AF_INET, socket.AF_INET6):\n"
        "    try: socket.socket(family)\n"
        "    except PermissionError: print('closed')\n"
        "print(len(socket.socketpair()))"
    )
    line = f"echo 0 > /proc/sys/user/max_net_namespaces; {program('box')} --offline -- "
    inside = ["unshare", "-Ur", "sh", "-c", f'{line} /usr/bin/python3 -c "$0"', code]
    done = subprocess.run(inside, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["closed", "closed", "2"], done.stderr


def test_a_terminal_of_the_installer_is_not_typed_into(site: Site) -> None:
    script = (
        "exec 2>&1; for n in /dev/tty /proc/self/fd/*; do python3 -c '\n"
        "import fcntl, os, sys, termios\n"
        'for byte in b"typed\\n": fcntl.ioctl(os.open(sys.argv[1], os.O_RDWR), 0x5412, '
        "bytes([byte]))' $n && echo TY${x}PED; done; true"
    )
    site.hello(more=f"def finish(self, box):\n    box.run({script!r})\ntest = finish")
    pid, ours = pty.fork()
    if pid == 0:
        os.environ.clear()
        os.environ.update(site.user.env)
        shell = "stty -echo; tykky install hello; echo end $?; read -t 1 x; echo got $x"
        os.execv("/bin/bash", ["bash", "--norc", "-c", shell])
    said = b""
    with contextlib.suppress(OSError):
        while block := os.read(ours, 65536):
            said += block
    os.waitpid(pid, 0)
    assert b"end 0" in said and b"got\r" in said, said
    assert "TYPED" not in site("log", "hello").stdout


# -- packages ------------------------------------------------------------------------------


def source(name: str, setup: str) -> bytes:
    """A source archive of version 1.0 that is built by running ``setup.py``."""
    out = io.BytesIO()
    head = f"Metadata-Version: 1.0\nName: {name}\nVersion: 1.0\n"
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in (("setup.py", setup), ("PKG-INFO", head)):
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def offer(web: Web, **projects: bytes) -> dict[str, str]:
    """Put projects into the simple index of a server; the variable by which tykky knows it."""
    for name, data in projects.items():
        file = f"{name}-1.0" + ("-py3-none-any.whl" if data[:2] == b"PK" else ".tar.gz")
        digest = hashlib.sha256(data).hexdigest()
        page = f'<!DOCTYPE html><a href="/files/{file}#sha256={digest}">{file}</a>'
        web.files |= {f"/simple/{name}/": page.encode(), f"/files/{file}": data}
    web.heads = True
    more = "https://pypi.org/simple"
    return {"TYKKY_PIP_INDEX_URL": f"{web.address}/simple", "TYKKY_PIP_EXTRA_INDEX_URLS": more}


PACKAGES = """\
from tykky import PipStack


class {title}(PipStack):
    '''Packages of the test.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "1.0"
    packages = "{name}"
    source = {source}
    commands = "python*"
"""


@pytest.fixture
def web() -> Iterator[Web]:
    """A server for an index, with the packages that every stack has."""
    with serve() as web:
        yield web


def packages(site: Site, name: str, *source: str) -> None:
    """Write a recipe of one package."""
    site.write(name, PACKAGES.format(title=name.title(), name=name, source=source))


def trying(plan: dict[str, Any]) -> list[str]:
    """Lines of code that run the probe."""
    load = f"exec({PROBE.read_text()!r}, at)"
    return ["at = {'__name__': 'probe'}", load, f"at['main']({json.dumps(plan)!r})"]


def pth(*lines: str) -> str:
    """A line that runs code whenever Python starts."""
    code = "\n".join(lines)
    return f"import sys; exec({code!r})\n"


def test_code_that_runs_while_byte_code_is_made_reaches_nothing(
    site: Site, plan: dict[str, Any], web: Web
) -> None:
    packages(site, "tykkyevil")
    env = offer(web, tykkyevil=wheel("tykkyevil", tykkyevil__pth=pth(*trying(plan))))
    secretive(site.with_env(**env))("install", "tykkyevil")
    assert through(site("log", "tykkyevil").stdout, plan) == set()


def test_a_package_that_is_built_has_the_network_only_while_it_is_resolved(
    site: Site, plan: dict[str, Any], web: Web
) -> None:
    packages(site, "tykkyevil", "tykkyevil")
    setup = "\n".join(
        [
            "import contextlib, io, setuptools",
            "with contextlib.redirect_stdout(io.StringIO()) as said:",
            *(f"    {line}" for line in trying(plan)),
            "open('tykkyevil.py', 'w').write('said = ' + repr(said.getvalue()))",
            "setuptools.setup(name='tykkyevil', version='1.0', py_modules=['tykkyevil'])",
        ]
    )
    site = secretive(site.with_env(**offer(web, tykkyevil=source("tykkyevil", setup))))
    done = site("install", "--plan", "tykkyevil", status=Exit.LOCK)
    assert "running code of tykkyevil" in done.stderr
    assert "tykky lock tykkyevil" in done.stderr
    site("lock", "tykkyevil")
    site("install", "tykkyevil")
    python = str(site.prefix() / "bin/python")
    assert (
        through(site.user.run(python, "-c", "import tykkyevil; print(tykkyevil.said)").stdout, plan)
        == set()
    )


def test_what_one_build_can_write_is_not_trusted_by_the_next(
    site: Site, web: Web, place: Path
) -> None:
    cache = place / "cache"
    tops = f"({str(cache)!r}, os.environ.get('UV_CACHE_DIR', '/nowhere'), os.environ['HOME'])"
    spoil = pth(
        "import os, pathlib",
        f"for top in {tops}:",
        "  for folder, _, names in os.walk(top):",
        "    for name in names:",
        "      try: pathlib.Path(folder, name).write_bytes(b'word = \\'spoilt\\'')",
        "      except OSError: pass",
    )
    env = offer(
        web,
        tykkyevil=wheel("tykkyevil", tykkyevil__pth=spoil),
        tykkygood=wheel("tykkygood", tykkygood__py="word = 'good'"),
    )
    site = site.with_env(TYKKY_CACHE_DIR=str(cache), **env)
    kept: dict[Path, bytes] = {}
    for name in ("tykkygood", "tykkyevil"):
        packages(site, name)
        site("lock", name)
        site("install", name)
        # No more is kept than before but of its own packages, and nothing else.
        now = {path: path.read_bytes() for path in (cache / "bytecode").iterdir()}
        assert dict(kept.items() & now.items()) == kept and len(now) == len(kept or "x") + 1
        kept = now
    site("install", "--force", "tykkygood")
    program = site.root / "store/tykkygood/1.0/bin/python"
    said = site.user.run(str(program), "-c", "import tykkygood; print(tykkygood.word)").stdout
    assert said == "good\n"


def test_of_a_file_that_several_packages_bring_always_the_same_is_installed(
    site: Site, web: Web
) -> None:
    names = [f"tykky{letter}" for letter in "abcd"]
    every = {name: wheel(name, shared__py=f"of = {name!r}", same__py="1") for name in names}
    site = site.with_env(**offer(web, **every))
    site.write("rivals", PACKAGES.format(title="Rivals", name='", "'.join(names), source=()))
    site("install", "rivals")
    python = site.prefix() / "bin/python"
    code = "import shared, same, tykkya, tykkyd; print(shared.of)"
    assert site.user.run(str(python), "-c", code).stdout == "tykkyd\n"


def test_a_file_that_was_spoilt_in_the_cache_is_not_installed(
    site: Site, web: Web, place: Path
) -> None:
    good, other = (wheel("tykkygood", tykkygood__py=f"x = {n}") for n in (1, 2))
    cache = place / "cache"
    site = site.with_env(TYKKY_CACHE_DIR=str(cache), **offer(web, tykkygood=good))
    packages(site, "tykkygood")
    site("lock", "tykkygood")
    site("install", "tykkygood")
    for kept in (cache / "downloads").iterdir():
        kept.write_bytes(b"spoilt")
    said = site("install", "--force", "tykkygood").stderr
    assert f"downloads/{kept.name} is not the file that it was" in said
    assert "tykkygood-1.0-py3-none-any.whl" in said
    web.files["/files/tykkygood-1.0-py3-none-any.whl"] = other
    for kept in (cache / "downloads").iterdir():
        kept.unlink()
    done = site("install", "--force", "tykkygood", status=Exit.DAMAGED)
    assert "is not the file that was expected" in done.stderr


def poisoned(entry: Path) -> None:
    """Let byte code that is kept do something else, and look as it should."""
    head, _, rest = entry.read_bytes().partition(b"\n")
    values = json.loads(head)
    (offset, size, *more) = values["modules"]["tykkygood.py"]
    code = zlib.decompress(rest[offset : offset + size]).replace(b"good or", b"evil or")
    values["modules"] = {"tykkygood.py": [0, len(packed := zlib.compress(code)), *more]}
    data = json.dumps(values).encode() + b"\n" + packed
    entry.rename(new := entry.with_name(f"{entry.name[:65]}{hashlib.sha256(data).hexdigest()}"))
    new.write_bytes(data)


def test_byte_code_that_is_kept_changes_nothing_and_is_nobody_elses(
    site: Site, web: Web, place: Path
) -> None:
    cache, text = place / "cache", "def word(): return 'good or' ' not'\n"
    kept = cache / "bytecode"
    env = offer(web, tykkygood=wheel("tykkygood", tykkygood__py=text))
    site = site.with_env(TYKKY_CACHE_DIR=str(cache), **env)
    packages(site, "tykkygood")
    site("lock", "tykkygood")
    show = "import inspect, tykkygood as t; print(t.word(), inspect.getsource(t.word))"

    def built() -> tuple[str, str, int]:
        site("install", "--force", "tykkygood")
        python = str(site.root / "store/tykkygood/1.0/bin/python")
        said = site.user.run(python, "-c", show).stdout.strip()
        compiled = site("log", "tykkygood").stdout.count(" /tmp/compiling.py ")
        return site.record("tykkygood")["images"][0]["sha256"], said, compiled

    def mine() -> Path:
        (found,) = (path for path in kept.iterdir() if b'{"tykkygood.py"' in path.read_bytes())
        return found

    first = built()
    assert first[1:] == (f"good or not {text.strip()}", 2)
    assert built() == (*first[:2], 0)
    good = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert len(good) == 2
    mine().write_bytes(b"x" + mine().read_bytes())
    kept.chmod(0o500)
    assert built() == (*first[:2], 1)
    kept.chmod(0o700)
    mine().write_bytes(good[mine().name])
    poisoned(mine())
    kept.chmod(0o707)
    assert built() == first
    assert "bytecode can be written by everybody" in site("log", "tykkygood").stdout
    kept.chmod(0o700)
    assert built()[1].startswith("evil")  # so that what was poisoned would have been seen


def test_what_a_package_says_it_needs_is_names_and_no_more() -> None:
    assert uv._plain(["--find-links /"]) == uv._plain(["x @ file:///y"]) == ()
    assert uv._plain(["six", "a\n--no-binary x"]) == ()
    assert uv._plain(["setuptools>=42", "build"]) == ("setuptools>=42", "build")


def test_a_project_with_a_path_for_a_name_is_none(tmp_path: Path) -> None:
    for number, name in enumerate(("/abs/x", "../x", "good", "a\nb", "x y")):
        folder = tmp_path / f"lib/python3.11/site-packages/{number}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    assert [found.name for found in of_python(tmp_path)] == ["good"]


def test_nobody_else_enters_the_scratch_of_a_build(site: Site, place: Path) -> None:
    told = place / "told"
    site.hello(
        more="def finish(self, box):\n    from pathlib import Path\n"
        f"    Path({str(told)!r}).write_text(oct(box.scratch.path.stat().st_mode))"
    )
    site("install", "hello")
    assert told.read_text() == "0o40700"


@pytest.mark.parametrize("page", ["{", '{"files": 5}', '{"files": [{"url": "x"}]}', "{" * 99_999])
def test_an_index_that_says_nonsense_is_named(web: Web, page: str) -> None:
    web.files["/simple/x/"] = page.encode()
    with pytest.raises(StepError, match="cannot be read: http"):
        list(wheels._listed(f"{web.address}/simple/x/", 5))
    web.files["/simple/x/"] = b'{"files": [{"filename": "x.whl", "url": "../f/x.whl"}]}'
    found = list(wheels._listed(f"{web.address}/simple/x/", 5))
    assert found == [("x.whl", f"{web.address}/simple/f/x.whl")]


# -- what a build leaves for code outside of it ------------------------------------------------

PACKAGES_OF_PYTHON = "lib/python3.11/site-packages/x.dist-info"
DEEP = "import os\nfor i in range(3000): os.mkdir('d'); os.chdir('d')"
#: What a build does, by what it is; and the commands of the recipe.
TRAPS = {
    "bin is a link": ("rm -r bin; ln -s {precious} bin", "tools/*"),
    "a command is a link": ("ln -s {precious}/keep bin/keep; cp bin/hello tools/keep", "tools/*"),
    "metadata leads out": (
        f"mkdir -p {PACKAGES_OF_PYTHON}; ln -s {{precious}}/keep {PACKAGES_OF_PYTHON}/METADATA",
        "hello",
    ),
    "a pipe where a file is written": ("mkdir -p share/tykky; mkfifo share/tykky/packages.txt", ""),
    "folders deeper than functions": (f'/usr/bin/python3 -c "{DEEP}"', "hello"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_what_a_build_leaves_leads_nobody_out_of_it(site: Site, place: Path, trap: str) -> None:
    precious = place / "precious"
    precious.mkdir()
    (precious / "keep").write_text("kept")
    script, commands = TRAPS[trap]
    script = "mkdir -p tools; cp bin/hello tools/hello;" + script.format(precious=precious)
    site.hello(
        more=f"commands = {commands or 'hello'!r}\n"
        f"def finish(self, box):\n    box.run({script!r})\n"
        "def contents(self, box):\n"
        "    from tykky.contents import Installed, of_python\n"
        "    return [Installed('a', '1'), *of_python(box.real('.'))]"
    )
    done = site("install", "hello", status=None, timeout=60)
    assert "Traceback" not in done.stderr
    assert {path.name: path.read_text() for path in precious.iterdir()} == {"keep": "kept"}
    if done.returncode:
        assert "leads out of it" in done.stderr or "too long" in done.stderr
        assert done.returncode != Exit.FAILED
    else:
        assert site.user.run(str(site.prefix() / "bin/hello")).stdout.startswith("hello")


# -- walls, bits and passwords -----------------------------------------------------------------


def test_landlock_stands_behind_the_mounts(place: Path) -> None:
    for name in ("open", "other"):
        (place / name).mkdir()
    script = f"echo x > {place}/open/file; echo x > {place}/other/file; mv {place}/open {place}/new"
    line = [program("box"), "--restrict", "--bind", place / "open", place / "open", "--"]
    done = subprocess.run([*line, "sh", "-c", script], capture_output=True, text=True, check=False)
    if LIBC.syscall(444, None, 0, 1) < 1:
        pytest.skip("this kernel has no Landlock")
    assert done.stderr.count("Permission denied") == 2
    assert [path.name for path in sorted(place.rglob("*"))] == ["open", "file", "other"]


def test_setuid_bits_do_not_survive(site: Site) -> None:
    site.hello(more="def finish(self, box):\n    box.run('chmod 6777 bin/hello')")
    site("install", "hello")
    (image,) = (site.prefix() / ".tykky/images").iterdir()
    listed = site.user.run("unsquashfs", "-lls", str(image)).stdout
    assert re.search(r"^-rwxr-xr-x .*/bin/hello$", listed, re.MULTILINE)


def test_a_build_without_a_network_has_no_passwords(site: Site, web: Web) -> None:
    known = offer(web, tykkygood=wheel("tykkygood"))
    web.login = "Basic " + base64.b64encode(b"me:hunter2").decode()
    known["TYKKY_PIP_INDEX_URL"] = known["TYKKY_PIP_INDEX_URL"].replace("://", "://me:hunter2@")
    packages(site, "tykkygood")
    script = (
        "env; cat /proc/*/environ /proc/*/cmdline || true; grep -rs hunter[2] /tmp $HOME || true"
    )
    with (site.repo / "tykkygood/recipe.py").open("a") as stream:
        stream.write(
            f"\n    def finish(self, box):\n        box.run({script!r})\n\n    test = finish\n"
        )
    site = site.with_env(**known, HTTPS_PROXY=os.environ.get("HTTPS_PROXY", ""))
    site("install", "tykkygood")
    said = site("log", "tykkygood").stdout
    assert "PATH=" in said
    assert "hunter2" not in said

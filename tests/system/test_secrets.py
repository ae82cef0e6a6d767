"""Passwords and tokens: used, and seen by nobody, in whichever way they are given.

They are in addresses, of package indexes and channels, as people have them. Nobody sees them in the
list of processes while something is built, in what is printed, or in any file that is left.
"""

from __future__ import annotations

import base64
import gzip
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import ways
from tests.channel import channel
from tests.images import PASSWORD, USER, docker_archive, has_registry, run_registry
from tests.indexes import address, index
from tests.servers import Web, serve
from tests.stacks import HEAD
from tests.ways import PUBLIC, WAYS, Person
from tykky.errors import Exit

_MORE = f"--extra-index-url {PUBLIC}"
SECRET = f"hunter{secrets.token_hex(4)}"
_LOGIN = f"me:{SECRET}"
#: The login of the tests' registry, as files of container programs have it.
_BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@contextmanager
def private_channel() -> Iterator[str]:
    """The tests' channel, for those who have a token."""
    with serve() as web:
        for path in channel().rglob("*"):
            if path.is_file() and "shards" not in path.name and "shards" not in path.parts:
                web.files[f"/t/{SECRET}/local/{path.relative_to(channel())}"] = path.read_bytes()
        yield f"{web.address}/t/{SECRET}/local"


@pytest.fixture
def web() -> Iterator[Web]:
    """An index for those who have the password; its answers take a moment."""
    with index("goodpkg==1.0", "second==1.0", login=_LOGIN) as web:
        web.wait = 0.2
        yield web


@pytest.fixture
def person(place: Path, web: Web) -> Iterator[Person]:
    """Somebody whose index, further index and channel want to know who asks."""
    with private_channel() as local:
        private = address(web, _LOGIN)
        person = ways.person(place, private, private.replace("/simple", "/more"), PUBLIC)
        yield person.with_env(TYKKY_CONDA_ALIASES=f"local={local}")


@contextmanager
def watched(secret: str = SECRET) -> Iterator[set[str]]:
    """The command lines with the secret of all processes that are there meanwhile."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = process.read_bytes()
                except OSError:
                    continue
                if secret.encode() in line:
                    seen.add(line.replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def leaks(folder: Path, secret: str = SECRET) -> list[str]:
    """The files below a folder that have the secret in their bytes or names, also in images."""
    found = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        if path.name.endswith(".gz"):
            data = gzip.decompress(data)
        if secret.encode() in data or secret in path.name:
            found.append(str(path.relative_to(folder)))
        if path.suffix == ".sqfs":
            contents = folder / f"contents-of-{path.name}"
            subprocess.run(["unsquashfs", "-q", "-n", "-d", contents, path], check=True)
            found += leaks(contents, secret)
            shutil.rmtree(contents)
    return found


def check(person: Person, *given: str) -> None:
    """Nobody has been told, and nothing is left below the place but in what was ``given``."""
    assert SECRET not in "".join(person.said)
    assert [path for path in leaks(person.classic.place) if not path.endswith(given)] == []


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_they_are_used_and_nobody_sees_them(person: Person, way: Callable[[Person], Path]) -> None:
    with watched() as lines:
        prefix = way(person)
    person.sh(f"{prefix}/bin/python -c 'import goodpkg, second'")
    check(person)
    assert lines == set()


def test_what_tells_about_installs_and_the_configuration_has_none(person: Person) -> None:
    ways.conda_recipe(person)
    words = (
        *("config", "config get pip.index_url", "config get conda.aliases"),
        *("config why pip.index_url", "config why conda.aliases", "find --packages", "info mine"),
        *("history mine", "log mine", "diff mine#1 mine#1", "verify", "gc --dry-run", "doctor"),
        *("lock --check mine", "install --plan mine", "audit mine", "refresh --check mine"),
    )
    for each in words:
        said = person.sh(f"tykky {each}; tykky {each} --json", status=None)
        assert said
    check(person)


def test_a_recipe_is_installed_with_what_only_the_users_own_files_have(
    person: Person, web: Web
) -> None:
    """So the configuration of a site, which everybody reads, need not have them."""
    local = person.classic.user.env["TYKKY_CONDA_ALIASES"].partition("=")[2]
    files = {
        ".netrc": f"machine 127.0.0.1 login me password {SECRET}\n",
        ".condarc": f"custom_channels: {{local: '{local.removesuffix('/local')}'}}\n",
    }
    person = person.with_env(
        TYKKY_PIP_INDEX_URL=address(web),
        TYKKY_PIP_EXTRA_INDEX_URLS=PUBLIC,
        TYKKY_CONDA_ALIASES="",
        CW_ENABLE_CONDARC="yes",
    )
    for name, text in files.items():
        person.classic.write(name, text)
    ways.conda_recipe(person)
    check(person, *files)


#: How users say them to pip-containerize: by a variable or a file, and what they install.
_GIVEN = {
    "a variable of pip": ("PIP_INDEX_URL={full}", {}, "req.txt"),
    "a variable of uv": ("UV_DEFAULT_INDEX={full}", {}, "req.txt"),
    "pip.conf": ("", {".config/pip/pip.conf": "[global]\nindex-url = {full}\n"}, "req.txt"),
    "netrc": ("PIP_INDEX_URL={open}", {".netrc": "machine 127.0.0.1 {netrc}\n"}, "req.txt"),
    "the file": ("", {"own.txt": f"-i {{full}}\n{_MORE}\n-r req.txt\n"}, "own.txt"),
    "the file for pip": (
        "",
        {"own.txt": f"-i {{full}}\n{_MORE}\n--use-feature=fast-deps\n-r req.txt\n"},
        "own.txt",
    ),
    "a script": (
        "PIP_INDEX_URL={full}",
        {"post.sh": "set -x\nexport ADDRESS={full}\necho '{open}?sig=1&token={secret}'\n"},
        "--post post.sh req.txt",
    ),
}


@pytest.mark.parametrize(("variable", "files", "line"), _GIVEN.values(), ids=_GIVEN)
def test_what_users_give_is_used_and_left_nowhere_else(
    place: Path, web: Web, variable: str, files: dict[str, str], line: str
) -> None:
    known = {"full": address(web, _LOGIN), "open": address(web), "secret": SECRET}
    known["netrc"] = f"login me password {SECRET}"
    person = ways.person(place, "http://127.0.0.1:9/simple", PUBLIC)
    files = {name: text.format(**known) for name, text in files.items()}
    person = person.with_env(**dict([variable.format(**known).split("=", 1)] if variable else []))
    with watched() as lines:
        command = f"pip-containerize new --prefix p {line}"
        prefix = person.make(command, {**files, "req.txt": "goodpkg\n"})
    person.sh(f"{prefix}/bin/python -c 'import goodpkg'")
    check(person, *(f"home/{name}" for name in files))
    assert lines == set()


#: What fails, with the exit code: what a person does.
_FAILURES: dict[str, tuple[Exit, Callable[[Person, Web], object]]] = {
    "an unknown package": (
        Exit.UNKNOWN_PACKAGE,
        lambda person, _: person.recipe(_PIP + "    packages = 'no-such-package-anywhere'\n"),
    ),
    "a version that is not there": (
        Exit.RESOLVE,
        lambda person, _: person.recipe(_PIP + "    packages = 'goodpkg==7'\n"),
    ),
    "an index that is down": (
        Exit.NETWORK,
        lambda person, web: ways.pip_recipe(_down(person, web)),
    ),
    "a channel that is down": (
        Exit.NETWORK,
        lambda person, web: ways.conda_recipe(
            person.with_env(TYKKY_CONDA_ALIASES=f"local=http://me:{SECRET}@127.0.0.1:9/local")
        ),
    ),
    "a classic command": (
        Exit.RESOLVE,
        lambda person, _: person.make(
            "pip-containerize new --prefix p req.txt", {"req.txt": "goodpkg==7\n"}
        ),
    ),
    "a file that is not there": (
        Exit.BUILD,
        lambda person, web: person.with_env(URL=f"{address(web, _LOGIN)}/none.tar").recipe(
            f"import os\n{_PIP}    packages = 'goodpkg'\n\n    def assemble(self, box):\n"
            "        box.fetch(os.environ['URL'])\n",
            locked=False,
        ),
    ),
    "a wrong value": (
        Exit.CONFIG,
        lambda person, _: person.with_env(TYKKY_PIP_INDEX_URL=f"gopher://me:{SECRET}@host/").tykky(
            "config"
        ),
    ),
    "a misspelt address": (
        Exit.NETWORK,
        lambda person, _: ways.pip_recipe(
            person.with_env(TYKKY_PIP_INDEX_URL=f"http://me:pa@{SECRET}@127.0.0.1:9/simple")
        ),
    ),
}
_PIP = HEAD.format(kind="PipStack")


def _down(person: Person, web: Web) -> Person:
    web.status = 500
    return person


@pytest.mark.parametrize(("code", "fail"), _FAILURES.values(), ids=_FAILURES)
def test_what_fails_tells_and_leaves_none(
    person: Person, web: Web, code: Exit, fail: Callable[[Person, Web], object]
) -> None:
    with pytest.raises(pytest.fail.Exception) as failed:
        fail(person.with_env(UV_HTTP_RETRIES="0"), web)
    said = str(failed.value)
    assert f"ended with {int(code)}," in said, said
    assert SECRET not in said.partition("--- stdout")[2]
    check(person)


@pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="mmdebstrap is not installed")
def test_nobody_sees_that_of_a_debian_mirror(place: Path, web: Web) -> None:
    web.files["/mirror/deb.debian.org/debian/dists/bookworm/InRelease"] = b"not signed by anybody"
    mirror = address(web, _LOGIN).replace("/simple", "/mirror")
    person = ways.person(place, PUBLIC).with_env(TYKKY_MIRRORS=mirror)
    person.classic.write("image.txt", "suite bookworm\n")
    with watched() as lines:
        person.sh("tykky base pull debian:image.txt", status=int(Exit.NETWORK))
    assert "Clearsigned file isn't valid" in person.said[0]  # apt was let in
    check(person)
    assert lines == set()


@pytest.mark.skipif(not has_registry(), reason="docker-registry or skopeo is not installed")
def test_nobody_sees_that_of_a_registry(place: Path) -> None:
    folder = place.with_name(f"{place.name}-registry")
    folder.mkdir()
    with run_registry(folder, private=True) as registry:
        registry.push(docker_archive(folder / "image.tar", {"bin/none": b"none"}), "own/none:1")
        person = ways.person(place, PUBLIC)
        registry.log_in(person.classic.home / ".docker/config.json")
        with watched(PASSWORD) as lines:
            person.sh(f"tykky base pull docker://{registry.host}/own/none:1")
        assert PASSWORD not in person.said[0]
        kept = {path for word in (PASSWORD, _BASIC) for path in leaks(place, word)}
        assert kept == {"home/.docker/config.json"}
        assert lines == set()
    shutil.rmtree(folder)


def test_a_recipe_that_everybody_reads_may_not_have_them(person: Person) -> None:
    for line in (
        f"packages = 'goodpkg @ https://me:{SECRET}@host/goodpkg-1.0-py3-none-any.whl'",
        f"packages = 'six'\n    _url = 'https://host/x.tar?token={SECRET}'",
    ):
        with pytest.raises(pytest.fail.Exception) as failed:
            person.recipe(f"{_PIP}    {line}\n")
        assert f"ended with {int(Exit.RECIPE)}," in str(failed.value)
        assert "has a password or token in an address" in str(failed.value)
        assert SECRET not in str(failed.value)
    # From a variable, it is not in the recipe.
    line = "_url = f'https://me:{os.environ[\"HOME\"]}@host/x?token={os.sep}'"
    person.recipe(f"import os\n{_PIP}    packages = 'goodpkg'\n    {line}\n")

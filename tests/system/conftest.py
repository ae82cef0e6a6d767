"""Real parts around the program: Lmod in a shell, and another user of the same machine.

Fixtures: ``lmod`` (a bash script with ``module`` in it), ``other_user`` (a different uid),
``site`` (a user with a repository of recipes), ``installed`` (one for all tests, with stacks in
it, that no test may change), ``old`` (a site that must be the same after the test), ``debian`` (an
image to build in), ``hello`` (a static program), ``scratch`` (an image of it), ``python`` (a
site with one wrapped), ``outside`` (nobody's home), ``runtime`` (each in turn, in the
configuration), ``entered_with`` (each in turn, in a launch file), ``registry`` (of mounts).
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images import docker_archive, static_program
from tests.launcher.runtimes import parametrize
from tests.stacks import TINY, Site, listing, recipe, settle
from tests.support import DOWNLOADS, Tykky, User, log_in, new_place, remove
from tests.system.strangers import OtherUser, stranger
from tykky.resources import resource
from tykky.runtime.base import Runtime

pytest.register_assert_rewrite("tests.system.wholeness")

LMOD = "/usr/share/lmod/lmod/init/bash"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lmod(tykky: Tykky) -> Run:
    """Run a bash script in which Lmod knows the modules of the test's store.

    The script stops at the first command that fails; options are those of ``User.run``.
    """

    def run(script: str, **options: Any) -> subprocess.CompletedProcess[str]:
        start = f'set +e; . {LMOD}; module use "$(tykky module path)"; set -e\n'
        return tykky.user.bash(start + script, **options)

    return run


@pytest.fixture
def other_user(tykky: Tykky, place: Path) -> Iterator[OtherUser]:
    """Another user, with an empty home and the same store configured as the test's."""
    person = stranger(tykky, place)
    yield person
    person.leave()


@pytest.fixture
def site(place: Path, user: User) -> Site:
    """The program as a user with an empty store and an empty repository of recipes."""
    return settle(place, user)


@pytest.fixture(scope="session")
def installed() -> Iterator[Site]:
    """A site with the stacks ``tiny`` and ``hello``, for tests that only use them.

    What was said while they were installed is in the file ``said`` in the user's home.
    """
    place = new_place()
    site = settle(place, log_in(place))
    site.write("tiny", TINY)
    site.hello("hello", "1.0", "0.9")
    site("lock", "tiny")
    said = site("install", "tiny", "hello@1.0", "hello@0.9").stderr
    (site.user.home / "said").write_text(said)
    yield site
    remove(place)


@pytest.fixture
def old(site: Site) -> Iterator[Site]:
    """A site with one install, which must be there and work after whatever went wrong."""
    site.hello("old")
    site("install", "old")
    before = listing(site.root)
    yield site
    assert listing(site.root) == before
    assert site.lmod("module load old; hello").stdout == "hello 1.0\n"


@pytest.fixture(scope="session")
def debian() -> Path:
    """The small Debian base of builds/, made once on this machine."""
    place = new_place()
    site = settle(place, log_in(place)).with_env(TYKKY_BASES_DIR=str(DOWNLOADS / "bases"))
    definition = resource("builds") / "debian-12.txt"
    file = site.json("base", "pull", f"debian:{definition}")["file"]
    remove(place)
    return Path(file)


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return static_program(tmp_path_factory.mktemp("hello"))


@pytest.fixture
def scratch(place: Path, hello: bytes) -> Path:
    """An image that has nothing but one static program, under three names."""
    files = {"opt/tools/hello": hello, "opt/tools/second": hello, "bin/hello": hello}
    env = ["PATH=/opt/tools:/usr/bin:/bin", "GREETING=good day"]
    return docker_archive(place / "scratch.tar", files, env=env)


@pytest.fixture(params=["native", "apptainer"])
def runtime(request: pytest.FixtureRequest, site: Site) -> str:
    """Each runtime in turn, as the user's configuration has it."""
    name = str(request.param)
    if name == "apptainer" and not shutil.which("apptainer"):
        pytest.skip("apptainer is not installed: tools/provision apptainer")
    config = site.user.home / ".config/tykky/config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"runtime: {name}\n")
    return name


@pytest.fixture
def python(site: Site, debian: Path) -> Site:
    """A site with a wrapped Python."""
    recipe(site, f"image = {str(debian)!r}\ncommands = 'python3*', 'ls', 'cat', 'sh'")
    site("install", "wrapped")
    return site


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory that is neither in /tmp nor in the home of the test's user."""
    own = Path(pwd.getpwuid(os.getuid()).pw_dir)
    folder = own / f"tykky-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    remove(folder)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of the launcher with each runtime."""
    parametrize(metafunc)


@pytest.fixture(scope="module")
def entered_with(request: pytest.FixtureRequest) -> Runtime:
    """The runtime by which the stacks of a launcher's test are entered: each in turn."""
    runtime = request.param
    assert isinstance(runtime, Runtime)
    return runtime


@pytest.fixture
def registry(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of mounts of the test's own, which must be empty in the end."""
    directory = place / "registry"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("TYKKY_RUNTIME_DIR", str(directory))
    for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    return directory

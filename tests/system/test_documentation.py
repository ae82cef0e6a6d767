"""Every command that the documentation tells people to type is typed: see ``tests/documented.py``.

The stacks of the pages are small ones of the same names, from an index of this test's own.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent

import pytest

from tests import documented
from tests.browser import CHROMIUM, browser
from tests.channel import channel
from tests.indexes import address, index, wheel
from tests.servers import Web
from tests.stacks import LMOD
from tests.support import DOWNLOADS, User, log_in, new_place, remove

TOP = documented.TOP
#: What of the pages' paths is not a user's: it lies in the test's own place.
_FOREIGN = re.compile(
    r"(?<![\w.~$}/-])/(appl|projappl|projects|mnt/old|old|new|site|etc/tykky|var/www)(?=[/\s\"':;)]|$)",
    re.M,
)
#: The packages of the index, with the commands that they bring.
_PACKAGES = {
    **dict.fromkeys(("numpy==2.3.0", "numpy==2.3.5", "scipy==1.16.0", "pandas==2.3.0"), ""),
    **dict.fromkeys(("pysam==0.23", "ipykernel==7.1.0", "uncertainties==3.2", "jax==0.7.2"), ""),
    **dict.fromkeys(("setuptools==80.0", "wheel==0.45"), ""),
    **dict.fromkeys(("pint==0.25.0", "pint==0.24.4"), "pint-convert"),
    **dict.fromkeys(("cowsay==6.0", "cowsay==6.1"), "cowsay"),
    **dict.fromkeys(("multiqc==1.33", "multiqc==1.32"), "multiqc"),
    **{"tabulate==0.9.0": "tabulate", "whatshap==2.8": "whatshap", "pip==26.0": "pip"},
    "jupyterlab==4.5.0": "jupyter",
}
_KERNEL = '{"argv": ["python", "-m", "ipykernel_launcher"], "display_name": "Python 3"}'
SMALL = """
from tykky.kinds.stack import Stack


class {title}(Stack):
    '''Says a number.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "{version}"
    commands = "{name}"

    def assemble(self, box):
        script = box.write("bin/{name}", "#!/bin/sh\\necho {version}\\n")
        box.run(["chmod", "+x", script])

    def test(self, box):
        box.run("{name}")
"""
RECIPES = {
    "python-data": """
        from tykky import PipStack, variant


        class PythonData(PipStack):
            '''Python for data analysis.'''

            homepage = "https://example.org"
            license = "MIT"
            versions = "26.11", "26.05"
            jupyter = variant(True, help="JupyterLab")
            gpu = variant("cpu", "cuda12", help="which processors")

            @property
            def commands(self):
                yield from ("python*", "pip*")
                if self.jupyter:
                    yield "jupyter*"

            @property
            def packages(self):
                yield from ("numpy", "scipy", "pandas")
                if self.jupyter:
                    yield from ("jupyterlab", "ipykernel")

            def test(self, box):
                box.run("python -c 'import numpy, pandas'")
        """,
    "hello-cow": """
        from tykky import PipStack


        class HelloCow(PipStack):
            '''A cow that says hello.'''

            homepage = "https://pypi.org/project/cowsay/"
            license = "GPL-3.0"
            versions = "1.0"
            commands = "cowsay", "python*", "pip*"
            packages = "cowsay"

            def test(self, box):
                box.run("cowsay -t hello")
        """,
    "snakemake": SMALL.format(title="Snakemake", name="snakemake", version="9.1"),
    "fireworks": SMALL.format(title="Fireworks", name="fireworks", version="2.1.0"),
}


@dataclass(frozen=True)
class World:
    """A user and a site in a place; ``saved`` is a copy of both, as they are for each page."""

    place: Path
    user: User
    web: Web

    def save(self) -> None:
        """Let each page begin with what there is now."""
        subprocess.run(
            ["cp", "-a", "appl", "home", self.place / "saved"], cwd=self.place, check=True
        )

    def restore(self) -> None:
        """Have again what was saved, and nothing else."""
        for entry in self.place.iterdir():
            if entry.name not in ("saved", "bin", "prelude"):
                remove(entry) if entry.is_dir() else entry.unlink()
        command = "cp -a saved/. ."
        subprocess.run(["sh", "-c", command], cwd=self.place, check=True)

    def type(self, text: str, name: str) -> subprocess.CompletedProcess[str]:
        """Type the lines of a script in a shell that has Lmod, as long as they succeed."""
        text = _FOREIGN.sub(rf"{self.place}/\1", text)
        file = self.place / f"{name}.sh"
        file.write_text(text, encoding="utf-8")
        start = f". {self.place}/prelude; . {file}"
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", start],
            cwd=self.user.home,
            env=self.user.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


PRELUDE = """\
. {lmod}
module use {place}/appl/modules/stacks
. {top}/share/setup-env.sh
PATH={place}/bin:$PATH
set -eE -o pipefail
trap 'echo "line $LINENO ended with $?: $BASH_COMMAND" >&2' ERR
"""


def _wheel(name: str, version: str, command: str) -> bytes:
    """A package with a version, and a command that repeats its arguments."""
    module = f"import sys\nversion = __version__ = '{version}'\ndef main():\n    print(*sys.argv)\n"
    more = {f"{name}.py": module}
    if command:
        entry = f"[console_scripts]\n{command} = {name}:main\n"
        more[f"{name}-{version}.dist-info/entry_points.txt"] = entry
    data = f"{name}-{version}.data/data"
    if name == "numpy":
        more["numpy.py"] += "def polyfit(): ...\n"
        more[f"{data}/lib/libhdf5.so"] = ""
    if name == "ipykernel":
        more[f"{data}/share/jupyter/kernels/python3/kernel.json"] = _KERNEL
    return wheel(name, version, **more)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The user and the site of the pages: stacks of their names, each with something to look at."""
    place = new_place()
    user = log_in(place)
    for name in ("conda-containerize", "pip-containerize", "wrap-container", "wrap-install"):
        (place / "bin" / name).symlink_to(TOP / "share/bin" / name)
    compiled = DOWNLOADS / "launcher"
    compiled.mkdir(mode=0o700, parents=True, exist_ok=True)
    (user.home / ".cache").mkdir()
    (user.home / ".cache/tykky-programs").symlink_to(compiled)
    env = {key: value for key, value in user.env.items() if not key.startswith("TYKKY_")}
    env |= {
        "TYKKY_SITE_CONFIG": f"{place}/appl/tykky/etc/tykky/config.yaml",
        "EDITOR": "true",
        "CHECKOUT": str(TOP),
    }
    env["TYKKY_CONDA_ALIASES"] = f"conda-forge={channel().as_uri()}"
    env["TYKKY_BUILD_DIR"] = f"{place}/build"
    with index() as web:
        user = User(user.home, {**env, "PIP_INDEX_URL": address(web)})
        for package, command in _PACKAGES.items():
            name, version = package.split("==")
            file = f"{name}-{version}-py3-none-any.whl"
            web.files[f"/files/{file}"] = _wheel(name, version, command)
            link = f'<a href="/files/{file}">{file}</a>\n'.encode()
            page = f"/simple/{name}/"
            web.files[page] = web.files.get(page, b"<!DOCTYPE html>\n") + link
        for name, text in RECIPES.items():
            folder = place / "appl/recipes" / name
            folder.mkdir(parents=True)
            (folder / "recipe.py").write_text(dedent(text).lstrip())
        (place / "appl/etc").mkdir()
        (place / "appl/tykky/etc/tykky").mkdir(parents=True)
        (place / "appl/tykky/etc/tykky/config.yaml").write_text(
            f"root: {place}/appl/stacks\nmodule_path: {place}/appl/modules/stacks\n"
            f"repos: [{place}/appl/recipes]\nbuiltin_repo: false\n"
            f"pip:\n  index_url: {address(web)}\n"
        )
        (place / "prelude").write_text(PRELUDE.format(lmod=LMOD, place=place, top=TOP))
        (place / "saved").mkdir()
        world = World(place, user, web)
        newest = {page: web.files[page] for page in ("/simple/numpy/", "/simple/cowsay/")}
        for page, text in newest.items():
            web.files[page] = text[: text.rindex(b"<a")]
        begin = world.type("tykky install python-data hello-cow\n", "begin")
        web.files |= newest
        assert begin.returncode == 0, begin.stdout
        begin = world.type("tykky update python-data hello-cow\n", "begin")
        assert begin.returncode == 0, begin.stdout
        world.save()
        yield world
    remove(place)


@pytest.mark.slow
@pytest.mark.parametrize("page", documented.pages(), ids=lambda page: page.stem)
def test_what_a_page_tells_people_to_type_works(page: Path, world: World) -> None:
    script = documented.script(page)
    if not script.run:
        return
    world.restore()
    done = world.type(script.text, page.stem)
    assert done.returncode == 0, f"{page}: {done.stdout[-3000:]}"


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="there is no browser: tools/provision browser")
def test_the_site_is_searched_as_one_types(tmp_path: Path) -> None:
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", tmp_path / "site"]
    subprocess.run(mkdocs, cwd=TOP, check=True)
    answer = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), answer) as server, browser(tmp_path / "b") as page:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.go(f"http://127.0.0.1:{server.server_port}/index.html?q=quarantine")
        page.wait(
            "[...document.querySelectorAll('.md-search-result a')].some("
            "a => a.href.includes('reference/configuration.html'))"
        )
        server.shutdown()

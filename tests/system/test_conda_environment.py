"""Activation, environment files with a pip part, explicit lists, and packages of installs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bills import bill, check_cyclonedx, named
from tests.channel import channel
from tests.stacks import Site, as_of_old
from tests.support import User, log_in, new_place, remove
from tests.system.conda_site import make, recipe
from tykky.contents import canonical, of_install
from tykky.errors import Exit
from tykky.files import digest_file
from tykky.tools.uv import stand_ins

_YAML = """\
name: mixed
channels: [local, nodefaults]
dependencies:
  - python=3.11
  - six=1.16
  - numpy
  - activated
  - left-pad  # [win]
  - pip
  - pip:
      - python-dateutil==2.9.0.post0
variables:
  MY_VARIABLE: a value of mine
  mine_in_small: letters
  DATA_SITE: from the file
"""


@pytest.fixture(scope="module")
def mixed() -> Iterator[Site]:
    """A site with a stack made of an environment file, locked and installed."""
    place = new_place()
    site = make(place, log_in(place))
    stand_ins({"scripted-wheel": "3.0"}, place / "wheels")
    (wheel,) = (place / "wheels").iterdir()
    body = f"""channels = ()
environment = 'environment.yml'
def finish(self, box):
    box.run("conda install -yq left")
    wheel = box.fetch({wheel.as_uri()!r}, sha256={digest_file(wheel)!r})
    box.run(["pip", "install", "--quiet", "--no-index", "--no-deps", wheel])"""
    recipe(site, "mixed", body)
    (site.repo / "mixed/environment.yml").write_text(_YAML)
    site("lock", "mixed")
    site("install", "mixed")
    yield site
    remove(place)


@pytest.fixture
def conda(place: Path, user: User) -> Site:
    """A site with an empty store that knows the tests' channel."""
    return make(place, user)


def environ(site: Site, program: Path, **env: str) -> dict[str, str]:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    found = json.loads(site.user.run(program, "-c", code, env=env).stdout)
    assert isinstance(found, dict)
    return found


def locked(site: Site, name: str) -> dict[str, dict[str, str]]:
    (path,) = (site.repo / name / "locks").iterdir()
    return {package["name"]: package for package in json.loads(path.read_text())["packages"]}


# -- activation -----------------------------------------------------------------------------


def test_every_command_has_what_conda_activate_would_set(mixed: Site) -> None:
    prefix = mixed.prefix("mixed")
    seen = environ(mixed, prefix / "bin/python", DATA_UNWANTED="1")
    assert seen["CONDA_PREFIX"] == seen["CONDA_DEFAULT_ENV"] == str(prefix)
    assert seen["CONDA_SHLVL"] == "1"
    assert seen["PATH"].startswith(f"{prefix}/bin:")
    assert seen["DATA_HOME"] == f"{prefix}/share/data home"
    assert seen["DATA_LEVEL"] == "3"
    assert seen["MY_VARIABLE"] == "a value of mine"
    assert seen["mine_in_small"] == "letters"
    assert seen["DATA_SITE"] == "from the file"  # it counts more than the package's
    assert seen["DATA_FILE"] == "from the package"
    assert seen["DATA_LATER"] == f"after {seen['DATA_HOME']}"  # scripts run in order
    assert "DATA_UNWANTED" not in seen and "DATA_NOT_EXPORTED" not in seen


def test_the_module_alone_changes_no_variable_of_packages(mixed: Site) -> None:
    said = mixed.lmod("module load mixed; env").stdout
    assert "\nDATA_" not in said and "\nCONDA_" not in said


def test_values_of_the_one_who_calls_are_not_those_of_the_build(mixed: Site, place: Path) -> None:
    python = mixed.prefix("mixed") / "bin/python"
    seen = environ(mixed, python, HOME=str(place), USER="kim")
    assert seen["DATA_CACHE"] == f"{place}/.cache/data"
    assert seen["DATA_OWNER"] == "owned by kim"


def test_what_the_user_has_set_is_extended_as_the_scripts_do(mixed: Site) -> None:
    prefix = mixed.prefix("mixed")
    mine = {"DATA_PATH": "/mine", "DATA_DIRS": "/dirs", "DATA_LEVEL": "9", "DATA_LAST": "/first"}
    seen = environ(mixed, prefix / "bin/python", **mine)
    assert seen["DATA_PATH"] == f"{prefix}/share/data:/mine"
    assert seen["DATA_DIRS"] == f"{prefix}/share:/dirs"
    assert seen["DATA_LAST"] == f"/first:{prefix}/last"
    assert seen["DATA_LEVEL"] == "9"


def test_a_virtual_environment_on_top_is_left_alone_unless_forced(mixed: Site, place: Path) -> None:
    prefix = mixed.prefix("mixed")
    mixed.user.run(prefix / "bin/python", "-m", "venv", "--system-site-packages", place / "venv")
    python = place / "venv/bin/python"
    seen = environ(mixed, python)
    assert "CONDA_PREFIX" not in seen and "DATA_HOME" not in seen
    mixed.user.run(python, "-c", "import numpy, sys; assert sys.prefix != sys.base_prefix")
    forced = environ(mixed, python, CW_FORCE_CONDA_ACTIVATE="1")
    assert forced["CONDA_PREFIX"] == str(prefix)
    assert forced["PATH"].startswith(f"{place}/venv/bin:{prefix}/bin:")
    off = environ(mixed, prefix / "bin/python", CW_NO_CONDA_ACTIVATE="1")
    assert "CONDA_PREFIX" not in off


def test_a_script_that_ends_the_shell_is_named(conda: Site) -> None:
    recipe(
        conda,
        "ends",
        "packages = 'prefixed'\n\n"
        "def finish(self, box):\n"
        "    box.write('etc/conda/activate.d/zz-bad.sh', 'exit 3\\n')",
    )
    said = conda("install", "ends", status=Exit.FINISH).stderr
    assert "the activation script zz-bad.sh of a package ends the shell" in said


# -- the pip part -----------------------------------------------------------------------------


def test_the_pip_part_is_locked_and_leaves_to_conda_what_conda_has(mixed: Site) -> None:
    found = locked(mixed, "mixed")
    assert found["six"]["version"] == "1.16.0" and "url" in found["six"]
    date = found["python-dateutil"]
    assert date["version"] == "2.9.0.post0" and "url" not in date and len(date["sha256"]) == 64


def test_both_parts_work_together(mixed: Site) -> None:
    python = mixed.prefix("mixed") / "bin/python"
    code = "import dateutil.parser, six; print(six.__version__, dateutil.parser.parse('2026').year)"
    assert mixed.user.run(python, "-c", code).stdout == "1.16.0 2026\n"
    mixed.user.run(python, "-m", "pip", "check")


def test_pip_may_replace_what_conda_has_if_it_must(conda: Site) -> None:
    recipe(conda, "newer", "packages = 'python=3.11', 'six=1.16'\npip = 'six>=1.17'")
    conda("install", "newer")
    python = conda.prefix("newer") / "bin/python"
    assert conda.user.run(python, "-c", "import six; print(six.__version__)").stdout == "1.17.0\n"
    (package,) = conda.json("find", "newer", "--packages", "six")[0]["packages"]
    assert (package["version"], package["channel"]) == ("1.17.0", "pypi")


def test_requirements_without_a_python_are_refused(conda: Site) -> None:
    recipe(conda, "none", "packages = 'prefixed'\npip = 'wheel'")
    # pip itself is a conda package here, and brings a Python.
    conda("lock", "none")
    (conda.repo / "none/list.txt").write_text(
        f"@EXPLICIT\n{channel().as_uri()}/linux-64/prefixed-1.0-0.conda\n"
    )
    recipe(conda, "none", "environment = 'list.txt'\npip = 'wheel'")
    said = conda("lock", "none", status=Exit.RECIPE).stderr
    assert "requirements for pip, and no Python" in said


# -- explicit lists ---------------------------------------------------------------------------


def test_an_explicit_list_is_installed_as_it_is(conda: Site) -> None:
    import hashlib

    package = channel() / "linux-64/prefixed-1.0-0.conda"
    digest = hashlib.md5(package.read_bytes()).hexdigest()
    recipe(conda, "exact", "environment = 'list.txt'")
    text = f"@EXPLICIT\n{package.as_uri()}#{digest}\n{channel().as_uri()}/noarch/left-1.0-0.conda\n"
    (conda.repo / "exact/list.txt").write_text(text)
    conda("lock", "exact")
    assert sorted(locked(conda, "exact")) == ["left", "prefixed"]
    conda("install", "exact")
    assert conda.user.run(conda.prefix("exact") / "bin/show-prefix").stdout
    said = conda("lock", "--arch", "aarch64", "exact", status=Exit.RESOLVE).stderr
    assert "has packages for linux-64, and linux-aarch64 is wanted" in said
    (conda.repo / "exact/list.txt").write_text(text.replace(digest, "0" * 32))
    said = conda("lock", "exact", status=Exit.DAMAGED).stderr
    assert digest in said


# -- locks ------------------------------------------------------------------------------------


def test_a_lock_for_another_architecture_is_solved_for_it(conda: Site) -> None:
    recipe(conda, "data", "packages = 'activated', 'left'")
    conda("lock", "--arch", "aarch64", "--arch", "x86_64", "data")
    names = sorted(path.name for path in (conda.repo / "data/locks").iterdir())
    assert names == ["1.0-aarch64.json", "1.0-x86_64.json"]
    foreign = json.loads((conda.repo / "data/locks/1.0-aarch64.json").read_text())
    assert foreign["asked"]["platform"] == "linux-aarch64"
    recipe(conda, "native", "packages = 'prefixed'")
    conda("lock", "--arch", "aarch64", "native", status=Exit.UNKNOWN_PACKAGE)


def test_what_changes_in_a_lock_is_told(conda: Site) -> None:
    recipe(conda, "data", "packages = 'left', 'six=1.16'")
    conda("lock", "data")
    recipe(conda, "data", "packages = 'right', 'six=1.17'")
    said = conda("lock", "data").stderr
    assert "+ right 1.0" in said and "- left 1.0" in said
    assert "six 1.16.0 -> 1.17.0" in said


def test_installs_and_locks_are_compared_by_their_packages(conda: Site, place: Path) -> None:
    recipe(conda, "one", "packages = 'left'\ncommands = ()")
    recipe(conda, "two", "packages = 'right', 'activated'\ncommands = ()")
    conda("lock", "one")
    for name in ("one", "two"):
        conda("install", name)
    said = conda("diff", "one", "two").stdout.splitlines()
    assert [line.split(",")[0] for line in said[:4]] == [
        "+ activated 1.0",
        "+ right 1.0",
        "- left 1.0",
        "  shared 1.0 -> 2.0",
    ]
    assert "no difference" in conda("diff", "one").stderr
    lock = conda.repo / "one/locks/1.0-x86_64.json"
    old = place / "old.json"
    old.write_text(lock.read_text().replace('"build": "0"', '"build": "1"', 1))
    found = conda.json("diff", old, lock)
    assert found["changed"] == {"left": ["1.0 (1)", "1.0 (0)"]}
    assert not found["added"] and not found["removed"]
    assert conda("diff", lock, status=Exit.LOCK).stderr
    assert conda("diff", "one", "three", status=Exit.NOT_FOUND).stderr


# -- packages ---------------------------------------------------------------------------------


def test_list_packages_tells_all_packages_and_where_they_are_from(mixed: Site) -> None:
    program = mixed.prefix("mixed") / "bin/list-packages"
    rows = [line.split() for line in mixed.user.run(program).stdout.splitlines()]
    assert rows[0] == ["NAME", "VERSION", "BUILD", "CHANNEL", "LICENCE"]
    assert ["numpy", "1.26.4", "py311_0", "local", "BSD-3-Clause"] in rows
    date = next(row for row in rows if row[0] == "python-dateutil")
    assert date[1:3] == ["2.9.0.post0", "pypi"]
    told = json.loads(mixed.user.run(program, "--json").stdout)
    assert {"name", "version", "build", "channel", "license"} == set(told[0])
    assert mixed.user.run(program, "--what", status=2).stderr


def test_the_inventory_is_what_conda_and_pip_say_of_the_stack(mixed: Site) -> None:
    folder, python = mixed.generation("mixed"), mixed.prefix("mixed") / "bin/python"
    found = {each.name: each for each in of_install(folder)}
    code = (
        "import json, sys; from pathlib import Path\n"
        "meta = Path(sys.prefix, 'conda-meta').glob('*.json')\n"
        "told = [json.loads(path.read_text()) for path in meta]\n"
        "print(json.dumps([[r['name'], r['version'], r['build'], r['sha256']] for r in told]))"
    )
    told = json.loads(mixed.user.run(python, "-c", code).stdout)
    of_conda = [p for p in found.values() if p.type == "conda"]
    assert sorted([p.name, p.version, p.build, p.sha256] for p in of_conda) == sorted(told)
    listed = json.loads(mixed.user.run(python, "-m", "pip", "list", "--format", "json").stdout)
    projects = {(canonical(row["name"]), row["version"]) for row in listed}
    of_pip = {(p.name, p.version) for p in found.values() if p.type == "pypi"}
    assert of_pip == {("python-dateutil", "2.9.0.post0"), ("scripted-wheel", "3.0")}
    assert of_pip <= projects <= {(p.name, p.version) for p in found.values()}
    assert {name: found[name].why for name in ("numpy", "left", "shared", "python-dateutil")} == {
        **{"numpy": "asked", "left": "added", "shared": "added", "python-dateutil": "asked"},
    }
    assert found["scripted-wheel"].why == "added" and len(found) == len(of_install(folder))
    urls = bill(mixed, "mixed")
    assert named(urls, "conda") == {(name, version) for name, version, _, _ in told}
    assert named(urls, "pypi") == of_pip
    assert {url.qualifiers["build"] for url in urls if url.type == "conda"} == {r[2] for r in told}
    date, numpy = found["python-dateutil"], found["numpy"]
    assert date.requires == ("six",) and date.sha256 == locked(mixed, "mixed")[date.name]["sha256"]
    assert numpy.url.startswith("file://") and numpy.size > 10_000_000
    assert date.url.startswith("https://") or date.url == ""  # which no index was asked for
    assert (numpy.spdx, "python" in numpy.requires) == ("BSD-3-Clause", True)
    (fetched,) = mixed.record("mixed")["fetched"]
    assert fetched["url"].endswith(fetched["name"]) and fetched["bytes"] > 100


def test_refresh_completes_what_an_earlier_tykky_has_noted(mixed: Site) -> None:
    folder = mixed.generation("mixed")
    before = of_install(folder)
    as_of_old(folder)
    assert "would tell more" in mixed("refresh", "--check", "mixed", status=Exit.DAMAGED).stdout
    image = mixed.images("mixed")
    mixed("refresh", "mixed")
    after = of_install(mixed.generation("mixed"))
    # Where the package index has a file is known while it is downloaded only.
    assert after == tuple(replace(p, url="") if p.name == "python-dateutil" else p for p in before)
    assert mixed.images("mixed") == image
    check_cyclonedx((mixed.generation("mixed") / "sbom.cdx.json").read_text())
    mixed("refresh", "--check", "mixed")
    mixed("verify", "mixed")


def test_what_a_lock_tells_of_licences_is_judged_before_anything_is_built(mixed: Site) -> None:
    denied = ("-c", "licences.deny=BSD-*", "-c", "licences.exceptions=left=ours; pip=needed")
    said = mixed(*denied, "install", "--force", "mixed", status=Exit.LICENCE).stderr
    assert "numpy 1." in said and "BSD-3-Clause (licences.deny)" in said and "\nbase " not in said
    said = mixed(*denied, "audit", "mixed", status=Exit.RECIPE).stderr
    assert "under licences that are not allowed" in said
    said = mixed("-c", "licences.ask=BSD-*", "audit", "mixed").stderr
    assert "ask about the licence BSD-3-Clause of" in said
    said = mixed("-c", "licences.deny=BSD-4", "audit", "--licences", status=Exit.CONFIG).stderr
    assert "'BSD-4' is no licence" in said
    answer = mixed.envelope(*denied, "audit", "--licences", "mix*", status=Exit.LICENCE)
    ((install,), sums) = answer["result"]["installs"], answer["result"]["licences"]
    found = {row["name"]: (row["answer"], row["reason"]) for row in install["packages"]}
    assert found["numpy"] == ("deny", "licences.deny")
    assert len(found) == len(of_install(mixed.generation("mixed")))
    denied_ones = [row for row in sums if row["answer"] == "deny"]
    assert [row["licence"] for row in denied_ones] == ["BSD-3-Clause"] and sums[0] in denied_ones
    shown = mixed("audit", "--licences").stdout.split("\n\n")[-1]
    assert "BSD-3-Clause" in shown and "deny" not in shown
    mixed("audit", "--licences", "nothing", status=Exit.NOT_FOUND)


def test_find_and_info_know_packages(mixed: Site) -> None:
    assert "mixed/1.0  numpy" in mixed("find", "--packages", "NUM*").stdout
    mixed("find", "--packages", "no-such", status=Exit.NOT_FOUND)
    (entry,) = mixed.json("find", "mixed", "--packages", "six")
    (package,) = entry["packages"]
    assert (package["version"], package["channel"]) == ("1.16.0", "local")
    (installed,) = mixed.json("info", "mixed")["installed"]
    assert {"numpy", "python-dateutil"} <= {package["name"] for package in installed["packages"]}


def test_module_speaks_of_the_packages_that_are_there(mixed: Site) -> None:
    said = mixed.lmod("module --raw show mixed 2>&1")
    assert "numpy/1.26.4" in said.stdout


def test_pip_stacks_list_their_packages_too(installed: Site) -> None:
    said = installed.user.run(installed.prefix("tiny") / "bin/list-packages").stdout
    rows = [line.split() for line in said.splitlines()]
    assert ["six", "1.17.0", "pypi", "MIT"] in rows
    python = installed.prefix("tiny") / "bin/python"
    listed = json.loads(installed.user.run(python, "-m", "pip", "list", "--format=json").stdout)
    found = of_install(installed.generation("tiny"))
    assert sorted((p.name, p.version) for p in found) == sorted(
        (row["name"], row["version"]) for row in listed
    )
    locks = json.loads((installed.generation("tiny") / "lock.json").read_text())["packages"]
    assert {p.name: p.sha256 for p in found} == {row["name"]: row["sha256"] for row in locks}
    assert {p.why for p in found} == {"asked"} and all(p.size > 1000 for p in found)
    assert named(bill(installed, "tiny"), "pypi") == {(p["name"], p["version"]) for p in listed}

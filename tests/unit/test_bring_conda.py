"""What conda, conda-lock, pixi and renv have written, as the fields of a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tykky.bring import formats, writing
from tykky.bring.found import Found
from tykky.config import Config
from tykky.errors import TykkyError, masked
from tykky.repos import Repos
from tykky.spec import parse_one

SHA, OTHER, MD5 = "0" * 64, "a" * 64, "1" * 32
FORGE = "https://conda.anaconda.org/conda-forge"
WHEELS = "https://files.pythonhosted.org/packages/70"

ENVIRONMENT = """\
name: analysis
channels:
  - https://conda.anaconda.org/t/tk-secret-1/corp
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - numpy >=1.26
  - pywin32  # [win]
  - defaults::mkl
  - pip:
      - tabulate==0.9.0
      - -r more.txt
      - -r ../outside.txt
      - -e .
      - git+https://kim:secret@github.com/a/b
      - --extra-index-url https://kim:secret@pypi.corp/simple
variables: {OMP_NUM_THREADS: 1, API_TOKEN: secret, PATH: /x, INDEX: "https://u:secret@h/x"}
prefix: /home/kim/env
"""
EXPLICIT = f"""\
# platform: linux-64
@EXPLICIT
{FORGE}/linux-64/python-3.11.4-h0_cpython.conda#{MD5}
https://kim:secret@h.org/corp/noarch/own-1-0.tar.bz2#sha256:{SHA}
# pip six @ {WHEELS}/six-1.17.0-py2.py3-none-any.whl#sha256={OTHER}
# pip iniconfig==2.0.0 --hash=sha256:{SHA}
# pip mine @ git+https://github.com/a/mine@abc
"""
EXPORTED = "# platform: linux-64\nnumpy=1.26.4=py311_0\nsix=1.17.0=pypi_0\n"
CONDA_LOCK = f"""\
version: 1
metadata: {{platforms: [linux-64, linux-aarch64, osx-64]}}
package:
- {{name: python, version: 3.11.4, manager: conda, platform: linux-64, category: main,
   url: "{FORGE}/linux-64/python-3.11.4-h0_0.conda", hash: {{md5: '{MD5}', sha256: '{SHA}'}}}}
- {{name: python, version: 3.11.4, manager: conda, platform: linux-aarch64, category: main,
   url: "{FORGE}/linux-aarch64/python-3.11.4-h1_0.conda", hash: {{md5: '{MD5}'}}}}
- {{name: python, version: 3.11.4, manager: conda, platform: osx-64, category: main,
   url: "{FORGE}/osx-64/python-3.11.4-h2_0.conda", hash: {{md5: '{MD5}'}}}}
- {{name: pytest, version: 8, manager: conda, platform: linux-64, category: dev,
   url: "{FORGE}/noarch/pytest-8-h2_0.conda", hash: {{md5: '{MD5}'}}}}
- {{name: numpy, version: 1.26.4, manager: pip, platform: linux-64, category: main,
   url: "{WHEELS}/numpy-1.26.4-cp311-cp311-x.whl", hash: {{sha256: '{SHA}'}}}}
- {{name: numpy, version: 1.26.4, manager: pip, platform: linux-aarch64, category: main,
   url: "{WHEELS}/numpy-1.26.4-cp311-cp311-y.whl", hash: {{sha256: '{OTHER}'}}}}
- {{name: torch, version: 2.3+cpu, manager: pip, platform: linux-64, category: main,
   url: "https://own.org/torch-2.3%2Bcpu-cp311-cp311-x.whl", hash: {{sha256: '{SHA}'}}}}
"""
PIXI = """\
[workspace]
name = "demo"
version = "0.3.0"
channels = ["conda-forge", {channel = "bioconda", priority = 1}]
platforms = ["linux-64", "linux-aarch64", "osx-arm64"]
[dependencies]
python = "3.11.*"
numpy = ">=1.26, <2"
samtools = { version = "1.20", channel = "bioconda", build = "h5*" }
local = { path = "./local" }
[pypi-dependencies]
requests = { version = "*",  # TOML has this since 1.1
  extras = ["socks"],
}
mine = { path = ".", editable = true }
[target.linux-64.dependencies]
mkl = "*"
[target.win-64.dependencies]
pywin32 = "*"
[tasks]
start = "python main.py"
[activation]
scripts = ["setup.sh"]
env = { OMP = "1" }
[system-requirements]
cuda = "12"
[feature.more.dependencies]
pandas = "2"
[feature.test.dependencies]
pytest = "*"
[environments]
default = ["more"]
test = ["test"]
"""
PYPROJECT = """\
[project]
name = "demo"
requires-python = ">= 3.11"
dependencies = ["six"]
[tool.pixi.workspace]
channels = ["conda-forge"]
platforms = ["linux-64"]
[tool.pixi.pypi-dependencies]
demo = { path = ".", editable = true }
"""
PIXI_LOCK = f"""\
version: 6
environments:
  default:
    channels: [{{url: {FORGE}/}}]
    packages:
      linux-64:
      - conda: {FORGE}/linux-64/python-3.11.4-h0_0.conda
      - conda: ../built
      - conda: ./own-1-0.conda
      - pypi: {WHEELS}/six-1.17.0-py2.py3-none-any.whl
      - pypi: ./
      osx-arm64:
      - conda: {FORGE}/osx-arm64/python-3.11.4-h0_0.conda
  test: {{channels: [], packages: {{}}}}
packages:
- {{conda: "{FORGE}/linux-64/python-3.11.4-h0_0.conda", sha256: '{SHA}', md5: '{MD5}'}}
- {{pypi: "{WHEELS}/six-1.17.0-py2.py3-none-any.whl", name: six, version: 1.17.0,
   sha256: '{OTHER}'}}
- {{pypi: ./, name: mine, version: '0.1', editable: true}}
"""
PIXI_LOCK_5 = f"""\
version: 5
environments:
  default:
    channels: [{{url: {FORGE}/}}]
    packages:
      linux-64:
      - conda: {FORGE}/noarch/tzdata-2024a-h0_0.conda
      - pypi: ./links/six-1-py3-none-any.whl
packages:
- {{kind: conda, name: tzdata, url: "{FORGE}/noarch/tzdata-2024a-h0_0.conda", sha256: '{SHA}'}}
- {{kind: pypi, name: six, version: '1', path: ./links/six-1-py3-none-any.whl}}
"""
RENV = {
    "R": {
        "Version": "99.3.2",
        "Repositories": [
            {"Name": "P", "URL": "https://packagemanager.posit.co/cran/__linux__/jammy/2024-01-15"},
            {"Name": "corp", "URL": "https://kim:secret@r.corp/repo"},
            {"Name": "univ", "URL": "https://ropensci.r-universe.dev"},
        ],
    },
    "Bioconductor": {"Version": "3.18"},
    "Packages": {
        "jsonlite": {"Version": "1.8.8", "Source": "Repository", "Repository": "CRAN"},
        "BiocGenerics": {"Version": "0.48.1", "Source": "Bioconductor"},
        "dev": {
            "Version": "0.1",
            "Source": "GitHub",
            "RemoteUsername": "kim",
            "RemoteRepo": "dev",
            "RemoteSha": "0123456789abcdef",
        },
    },
}

#: The name of a file, its text, the format, the fields of the recipe, the files beside it, and what
#: is left out, each as "LINE: WHAT".
CASES: dict[str, tuple[str, str, dict[str, object], dict[str, str], str]] = {
    "environment.yml": (
        ENVIRONMENT,
        "environment",
        {
            "channels": ("corp", "conda-forge"),
            "packages": ("python=3.11", "numpy >=1.26", "defaults::mkl"),
            "pip": ("tabulate==0.9.0", "six"),
            "env": {"OMP_NUM_THREADS": "1"},
        },
        {},
        """\
        2: -r more.txt
        3: the password or token for https://conda.anaconda.org/corp
        9: pywin32 # [win]
        10: the channel 'defaults'
        14: -r ../outside.txt
        15: -e .
        16: git+https://***@github.com/a/b
        17: --extra-index-url https://***@pypi.corp/simple
        18: the variable API_TOKEN
        18: the variable INDEX
        18: the variable PATH
        19: prefix
        """,
    ),
    "list.txt": (
        EXPLICIT,
        "conda-list",
        {
            "channels": ("conda-forge", "https://h.org/corp"),
            "environment": "explicit.txt",
            "requirements": "requirements.txt",
        },
        {
            "explicit.txt": f"""\
                {FORGE}/linux-64/python-3.11.4-h0_cpython.conda#{MD5}
                https://h.org/corp/noarch/own-1-0.tar.bz2#{SHA}
                """,
            "requirements.txt": f"iniconfig==2.0.0 --hash=sha256:{SHA}\n"
            f"six==1.17.0 --hash=sha256:{OTHER}\n",
        },
        """\
        0: the password or token for https://h.org/corp
        7: mine @ git+https://github.com/a/mine@abc
        """,
    ),
    "by-machine.yml": (
        "channels: [conda-forge]\ndependencies:\n- a # [x86_64]\n- b # [aarch64]\n- c # [osx]\n- d",
        "environment",
        {"channels": ("conda-forge",), "environment": "environment.yml"},
        {"environment.yml": "dependencies:\n  - a  # [x86_64]\n  - d\n  - b  # [aarch64]"},
        "5: c # [osx]",
    ),
    "pip-only.yml": (
        "dependencies:\n  - pip:\n    - nvidia-cuda-runtime-cu12\n    - pywin32  # [win]\n",
        "environment",
        {"packages": ("python",), "pip": ("nvidia-cuda-runtime-cu12",), "gpu": "nvidia"},
        {},
        "0: channels\n4: pywin32 # [win]",
    ),
    "exported.txt": (
        EXPORTED,
        "conda-list",
        {"packages": ("numpy=1.26.4=py311_0",), "pip": ("six==1.17.0",)},
        {},
        "0: channels",
    ),
    "conda-lock.yml": (
        CONDA_LOCK,
        "conda-lock",
        {
            "channels": ("conda-forge",),
            "environment": {"x86_64": "explicit-x86_64.txt", "aarch64": "explicit-aarch64.txt"},
            "requirements": "requirements.txt",
        },
        {
            "explicit-x86_64.txt": f"{FORGE}/linux-64/python-3.11.4-h0_0.conda#{SHA}\n",
            "explicit-aarch64.txt": f"{FORGE}/linux-aarch64/python-3.11.4-h1_0.conda#{MD5}\n",
            "requirements.txt": f"""\
                numpy @ {WHEELS}/numpy-1.26.4-cp311-cp311-x.whl#sha256={SHA} ; \
platform_machine == 'x86_64'
                numpy @ {WHEELS}/numpy-1.26.4-cp311-cp311-y.whl#sha256={OTHER} ; \
platform_machine == 'aarch64'
                torch @ https://own.org/torch-2.3%2Bcpu-cp311-cp311-x.whl#sha256={SHA} ; \
platform_machine == 'x86_64'
                """,
        },
        """\
        0: 1 package for osx-64
        10: 1 package of the category 'dev'
        """,
    ),
    "pixi.toml": (
        PIXI,
        "pixi",
        {
            "channels": ("conda-forge", "bioconda"),
            "environment": "environment.yml",
            "virtual_packages": ("__cuda=12",),
            "gpu": "nvidia",
            "env": {"OMP": "1"},
        },
        {
            "environment.yml": """\
                dependencies:
                  - "python 3.11.*"
                  - "numpy >=1.26,<2"
                  - "bioconda::samtools ==1.20 h5*"
                  - mkl  # [x86_64]
                  - "pandas ==2"
                  - pip:
                      - "requests[socks]"
                """
        },
        """\
        10: local (path)
        15: mine (path)
        18: the target 'win-64'
        21: tasks: start
        23: activation: setup.sh
        29: the feature 'test'
        33: the environment 'test'
        """,
    ),
    "pyproject.toml": (
        PYPROJECT,
        "pixi",
        {"channels": ("conda-forge",), "packages": ("python >=3.11",), "pip": ("six",)},
        {},
        "9: demo (path)",
    ),
    "pixi.lock": (
        PIXI_LOCK,
        "pixi-lock",
        {
            "channels": ("conda-forge",),
            "environment": "explicit.txt",
            "requirements": "requirements.txt",
        },
        {
            "explicit.txt": f"{FORGE}/linux-64/python-3.11.4-h0_0.conda#{SHA}\n",
            "requirements.txt": f"six==1.17.0 --hash=sha256:{OTHER}\n",
        },
        """\
        8: ../built
        9: ./own-1-0.conda
        11: mine @ ./
        12: packages for osx-arm64
        14: the environment 'test'
        """,
    ),
    "old/pixi.lock": (
        PIXI_LOCK_5,
        "pixi-lock",
        {"channels": ("conda-forge",), "environment": "explicit.txt"},
        {"explicit.txt": f"{FORGE}/noarch/tzdata-2024a-h0_0.conda#{SHA}\n"},
        "8: six @ ./links/six-1-py3-none-any.whl",
    ),
    "renv.lock": (
        json.dumps(RENV, indent=2),
        "renv",
        {
            "base": "docker://rocker/r-ver:99.3.2",
            "r": "99.3",
            "snapshot": "2024-01-15",
            "bioconductor": "3.18",
            "repositories": ("https://ropensci.r-universe.dev",),
            "packages": ("BiocGenerics==0.48.1", "jsonlite==1.8.8"),
        },
        {},
        """\
        11: the repository https://***@r.corp/repo
        32: dev 0.1 (kim/dev@0123456789ab)
        """,
    ),
}


def found(path: Path) -> tuple[str, Found]:
    """The format that recognises a file, and what it reads."""
    known = next(each for each in formats.FORMATS if each.is_one(path))
    return known.name, known.read(path, Config.load({"base": "host"}))


@pytest.mark.parametrize("name", CASES)
def test_what_others_have_becomes_the_fields_of_a_recipe(name: str, tmp_path: Path) -> None:
    text, expected, fields, files, left = CASES[name]
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (tmp_path / "in/more.txt").write_text("six\n-r more.txt\n")
    (tmp_path / "outside.txt").write_text("never-read\n")
    kind, recipe = found(path)
    assert kind == expected
    own = ("homepage", "license", "commands")
    assert {k: v for k, v in recipe.fields.items() if k not in own} == fields
    said = {n: "\n".join(_lines(b.decode(), n)) for n, b in recipe.files.items()}
    assert said == {n: dedent(t).strip() for n, t in files.items()}
    told = sorted((f"{each.line}: {each.what}" for each in recipe.left), key=_number)
    assert told == dedent(left).strip().splitlines()
    for arch, wanted in asked(recipe, tmp_path / "repo").items():
        for pinned in wanted.get("pinned", ()) if len(files) > 2 else ():
            assert pinned in recipe.files[f"explicit-{arch}.txt"].decode()
    everything = repr(recipe)
    assert "secret" not in everything.replace("looks like a secret", "")
    assert masked(everything) == everything


def asked(found: Found, repo: Path) -> dict[str, dict[str, Any]]:
    """What the recipe asks for on architectures, once it is written."""
    (repo / "lab").mkdir(parents=True)
    for name, content in found.files.items():
        (repo / "lab" / name).write_bytes(content)
    (repo / "lab/recipe.py").write_text(writing.recipe("lab", found))
    recipe: Any = Repos([repo]).select(parse_one("lab"))
    return {arch: recipe.asked(Config.load({}), arch) for arch in ("x86_64", "aarch64")}


def _number(line: str) -> tuple[int, str]:
    return int(line.partition(":")[0]), line


def _lines(text: str, name: str) -> list[str]:
    """The lines of a file without its head."""
    return [line for line in text.splitlines() if not line.startswith(("#", "@"))]


BROKEN = {
    "environment.yml": ("dependencies: {a: 1}\n", "no list"),
    "empty.yml": ("dependencies: []\n", "names no packages"),
    "list.txt": ("@EXPLICIT\nhttps://h.org/c/osx-64/a-1-0.conda\n", "no conda packages for Linux"),
    "conda-lock.yml": ("metadata:\npackage: {}\n", "no list 'package'"),
    "other-lock.yml": (
        "metadata:\npackage:\n- {manager: conda, platform: linux-64, url: 'file:///etc/passwd'}\n",
        "no package of a channel",
    ),
    "pixi.lock": ("version: 6\nenvironments: 3\npackages: []\n", "no conda packages for Linux"),
    "pixi.toml": ("[workspace]\nplatforms = ['win-64']\n", "for no Linux"),
    "broken/pixi.toml": ("[workspace]\nx = {a = 1,\n}\ny = ?\n", "not valid TOML.* line 4"),
    "renv.lock": ('{"R": {}, "Packages": {}}', "names no packages"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_makes_no_recipe_is_refused_in_words(name: str, tmp_path: Path) -> None:
    text, cause = BROKEN[name]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(TykkyError, match=cause) as caught:
        found(path)
    assert caught.value.remedy


def environment(folder: Path) -> Path:
    """A conda environment with something of all that there is in such."""
    site = folder / "lib/python3.11/site-packages"

    def write(path: str, text: str) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)

    def record(name: str, version: str, url: str, **more: object) -> None:
        told = {
            "name": name,
            "version": version,
            "build": "h0_0",
            "url": url,
            "md5": MD5,
            "subdir": url.rpartition("/")[0].rpartition("/")[2],
        }
        told |= more
        write(f"conda-meta/{name}-{version}-h0_0.json", json.dumps(told))

    def project(name: str, version: str, *needs: str, **files: str) -> None:
        info = f"lib/python3.11/site-packages/{name}-{version}.dist-info"
        head = f"Name: {name}\nVersion: {version}\n"
        write(f"{info}/METADATA", head + "".join(f"Requires-Dist: {need}\n" for need in needs))
        write(f"{info}/RECORD", f"{name}.py,,\n../../../bin/{name},,\n")
        for file, text in files.items():
            write(f"{info}/{file}.json", text)

    python = f"{FORGE}/linux-64/python-3.11.4-h0_0.conda"
    record("python", "3.11.4", python, sha256=SHA, requested_specs=["None"])
    files = [f"lib/python3.11/site-packages/{name}" for name in ("yaml/__init__.py", "_yaml/x.py")]
    corp = "https://conda.anaconda.org/t/secret/corp/noarch/pyyaml-6-h0_0.conda"
    record(
        "pyyaml", "6", corp, files=files, requested_spec="pyyaml\nhttps://evil/linux-64/e-1-0.conda"
    )
    record("zlib", "1", f"{FORGE}/linux-64/zlib-1-h0_0.conda", requested_spec="zlib")
    removed = "lib/python3.11/site-packages/gone-1.dist-info/METADATA"
    record("gone", "1", f"{FORGE}/noarch/gone-1-h0_0.conda", files=[removed])
    write(
        "conda-meta/history",
        "# update specs: ['python=3.11', 'gone']\n# remove specs: ['zlib']\n# update specs: [1\n",
    )
    write("conda-meta/state", '{"env_vars": {"LEVEL": 3, "DB_PASSWORD": "secret"}}')
    project("top", "1.0", "low>=1")
    project("low", "1.5")
    project("edited", "0.1", direct_url='{"url": "file:///home/kim/edited", "dir_info": {}}')
    vcs = '{"vcs": "git", "commit_id": "abc"}'
    project("cloned", "0.1", direct_url=f'{{"url": "https://secret@g.org/c", "vcs_info": {vcs}}}')
    write("lib/R/library/jsonlite/DESCRIPTION", "Package: jsonlite\nVersion: 1.8\n")
    write("lib/python3.11/site-packages/old.egg-link", "/home/kim/old")
    write("bin/own-tool", "")
    write("bin/top", "")
    write("etc/conda/activate.d/mine.sh", "")
    assert site.is_dir()
    return folder


def test_a_conda_environment_becomes_a_recipe_of_its_very_packages(tmp_path: Path) -> None:
    kind, recipe = found(environment(tmp_path / "lab"))
    assert kind == "conda"
    assert {k: v for k, v in recipe.fields.items() if k not in ("homepage", "license")} == {
        "channels": ("conda-forge", "corp"),
        "environment": "explicit.txt",
        "pip": ("low==1.5", "top==1.0"),
        "env": {"LEVEL": "3"},
    }
    assert recipe.files["explicit.txt"].decode().splitlines()[1:] == [
        "# Asked for: python=3.11, pyyaml https://evil/linux-64/e-1-0.conda. For newer ones, "
        "'packages' in place of 'environment'.",
        "# platform: linux-64",
        "@EXPLICIT",
        f"{FORGE}/linux-64/python-3.11.4-h0_0.conda#{SHA}",
        f"{FORGE}/linux-64/zlib-1-h0_0.conda#{MD5}",
        f"https://conda.anaconda.org/corp/noarch/pyyaml-6-h0_0.conda#{MD5}",
    ]
    assert recipe.tests == ("python -c 'import yaml, top'",)
    assert sorted(each.what for each in recipe.left) == [
        "R packages: jsonlite",
        "bin: own-tool",
        "cloned @ git+https://***@g.org/c@abc",
        "edited @ file:///home/kim/edited",
        "etc/conda/activate.d: mine.sh",
        "gone",
        "old.egg-link",
        "the password or token for https://conda.anaconda.org/corp",
        "the variable DB_PASSWORD",
    ]
    assert "secret" not in repr(recipe).replace("looks like a secret", "")
    record = tmp_path / "lab/conda-meta/pyyaml-6-h0_0.json"
    record.write_text(
        record.read_text().replace("https://conda.anaconda.org/t/secret/corp", "file:///home")
    )
    _, recipe = found(tmp_path / "lab")
    assert "the channel file:///home" in {each.what for each in recipe.left}
    record.write_text(record.read_text().replace("/noarch", "/kim"))
    _, recipe = found(tmp_path / "lab")
    assert "pyyaml 6" in {each.what for each in recipe.left}
    for path in record.parent.glob("*.json"):  # as conda was once
        path.write_text(path.read_text().replace('"url"', '"other"'))
    _, recipe = found(tmp_path / "lab")
    assert recipe.fields["packages"] == ("python=3.11.4=h0_0", "pyyaml=6=h0_0", "zlib=1=h0_0")

"""What files say that conda users write, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tykky.conda.environment import Environment, Pinned, read
from tykky.errors import RecipeError

SHA256, MD5 = "0" * 64, "1" * 32


def written(tmp_path: Path, text: str, name: str = "environment.yml") -> Path:
    path = tmp_path / name
    path.write_text(dedent(text))
    return path


def test_all_that_an_environment_file_says_is_read(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("pandas<3 # tables\n\n# nothing\n")
    path = written(
        tmp_path,
        """\
        name: analysis
        channels: [conda-forge, nodefaults]
        dependencies:
          - python=3.11
          - bioconda::samtools >=1.20
          - pip
          - pip:
              - torch==2.4
              - -r more.txt
        variables:
          OMP_NUM_THREADS: 1
        prefix: /home/kim/envs/analysis
        """,
    )
    assert read(path, "x86_64") == Environment(
        channels=("conda-forge", "nodefaults"),
        specs=("python=3.11", "bioconda::samtools >=1.20", "pip"),
        pip=("torch==2.4", "pandas<3"),
        variables={"OMP_NUM_THREADS": "1"},
        names=("analysis",),
    )


@pytest.mark.parametrize(
    ("arch", "expected"),
    [("x86_64", ("a", "c", "e", "g", "h")), ("aarch64", ("a", "d", "e", "f"))],
)
def test_selectors_choose_what_is_for_the_machine(
    tmp_path: Path, arch: str, expected: tuple[str, ...]
) -> None:
    path = written(
        tmp_path,
        """\
        dependencies:
          - a  # [linux]
          - b  # [win or osx]
          - c  # [linux and x86_64]
          - d  # [linux and not x86_64]
          - e  # a comment [not a selector] here
          - f  # [aarch64]
          - g  # [linux64]
          - sel(linux64): h
          - sel(win): i
        """,
    )
    assert read(path, arch).specs == expected


def test_an_explicit_list_may_have_digests(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""\
        # platform: linux-64
        @EXPLICIT
        https://c.org/x/linux-64/a-1-0.conda#{SHA256}
        https://c.org/x/linux-64/b-1-0.tar.bz2#sha256:{SHA256}
        https://c.org/x/noarch/c-1-0.conda#{MD5}
        file:///x/noarch/d-1-0.conda
        """,
        "spec-file.txt",
    )
    assert read(path, "x86_64").pinned == (
        Pinned("https://c.org/x/linux-64/a-1-0.conda", SHA256),
        Pinned("https://c.org/x/linux-64/b-1-0.tar.bz2", SHA256),
        Pinned("https://c.org/x/noarch/c-1-0.conda", md5=MD5),
        Pinned("file:///x/noarch/d-1-0.conda"),
    )


def test_any_other_file_is_a_list_of_specs(tmp_path: Path) -> None:
    path = written(tmp_path, "# made by hand\nnumpy=1.26=py311_0\nscipy  # science\n", "list.txt")
    assert read(path, "x86_64").specs == ("numpy=1.26=py311_0", "scipy")


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("dependencies:\n  - a\n - b\n", 3, "YAML"),
        ("dependencies: numpy\n", 1, "'dependencies' is no list"),
        ("channels:\n  - 3\n", 1, "'channels' has 3"),
        ("dependencies:\n  - a\ndependancies: []\n", 3, "'dependancies'"),
        ("dependencies:\n  - npm:\n    - left-pad\n", 2, "'npm'"),
        ("dependencies:\n  - a  # [plan9]\n", 2, "[plan9]"),
        ("dependencies:\n  - pip:\n    - --index-url https://x\n", 3, "cannot be locked"),
        ("dependencies:\n  - pip:\n    - git+https://github.com/a/b\n", 3, "cannot be locked"),
        ("dependencies:\n  - pip:\n    - -e .\n", 3, "cannot be locked"),
        ("dependencies:\n  - pip:\n    - -r none.txt\n", 3, "none.txt"),
        ("- a\n", 0, "no mapping"),
        ("variables: [a]\n", 1, "'variables'"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, word: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read(written(tmp_path, text), "x86_64")
    assert word in caught.value.cause
    assert caught.value.where is not None and caught.value.where.line == line


@pytest.mark.parametrize(
    "line", ["numpy", "https://c.org/a-1-0.zip", f"https://c.org/a.conda#{'2' * 33}"]
)
def test_an_explicit_list_has_nothing_but_packages(tmp_path: Path, line: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read(written(tmp_path, f"@EXPLICIT\n{line}\n", "list.txt"), "x86_64")
    assert caught.value.where is not None and caught.value.where.line == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yml cannot be read"):
        read(tmp_path / "none.yml", "x86_64")


SPECS = """\
numpy numpy=1.26 numpy==1.26.4=py311h64a7726_0 numpy_>=1.11,_<2 numpy>=_1 numpy_1.8* blas_*_mkl
numpy_1.8.1_py27 numpy=1.11.1|1.11.3 blas=*=mkl python-abi=*=*cp311 x~=1.2 r-base_4.3.* x-* x!=1.5
conda-forge/label/rc::numpy=1 https://host/channel::numpy numpy[version='>=1'] pytorch=*=*cuda12*
python>=3.9,<3.12|3.14.* openjdk=17
"""
NO_SPECS = "<!DOCTYPE_html> numpy_>= hello_world six=>2 %PDF-1.4 a_b_c_d dependencies: six>"


@pytest.mark.parametrize("spec", [*SPECS.split(), *NO_SPECS.split()])
def test_a_line_that_is_no_package_is_named_with_its_file(tmp_path: Path, spec: str) -> None:
    file, line = tmp_path / "list.txt", spec.replace("_", " ")
    file.write_text(f"_openmp_mutex  # fine\n{line}\n")
    if spec in SPECS.split():
        assert read(file, "x86_64").specs[1] == line
        return
    with pytest.raises(RecipeError, match="is no package as conda writes them") as caught:
        read(file, "x86_64")
    assert str(caught.value.where).splitlines()[0] == f"{file}:2"

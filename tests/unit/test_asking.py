"""What is answered from records: who has what, how two differ, who stands on whom."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.test_store import Filled
from tykky import contents
from tykky.contents import Installed
from tykky.errors import SpecError
from tykky.inventory import changes, drawing, files, graph
from tykky.inventory.notes import announcement
from tykky.inventory.search import Search
from tykky.inventory.wanted import wanted
from tykky.store import Place, Record
from tykky.store.record import START

NUMPY = Installed("numpy", "2.1.0", type="pypi", spdx="BSD-3-Clause", size=5_000_000, why="asked")
GLIBC = Installed("glibc", "2.36-9+deb12u10", type="deb", why="base")
BASE = {"name": "docker://debian:12", "id": "debian-12", "digest": "sha256:12"}


def put(
    store: Filled, name: str, *packages: Installed, version: str = "1", **fields: object
) -> Record:
    """An install with packages, as the pipeline leaves it."""
    pairs = tuple((p.name, p.version) for p in contents.own(packages))
    made = store.put(name, version, packages=pairs, **fields)
    folder = Place(Path(made.prefix)).generation(made.generation)
    (folder / contents.FILE).write_text(contents.render(packages))
    return made


@pytest.fixture
def store(tmp_path: Path) -> Filled:
    filled = Filled(tmp_path / "t")
    filled.prepare()
    return filled


@pytest.mark.parametrize(
    ("asked", "version", "kind", "fits"),
    [
        ("numpy", "anything", "pypi", True),
        ("numpy<2", "1.26.4", "pypi", True),
        ("numpy<2", "2.0.0", "pypi", False),
        ("numpy<2", "2.0.0rc1", "pypi", False),
        ("numpy >= 2, <2.3.1", "2.3.0.post1", "pypi", True),
        ("numpy>=2,<2.3.1", "2.3.1", "pypi", False),
        ("numpy==2.1.*", "2.1.7", "pypi", True),
        ("numpy=2.1", "2.1.7", "conda", True),
        ("numpy=2.1", "2.10", "conda", False),
        ("numpy~=2.1", "2.9", "pypi", True),
        ("numpy!=2.1", "2.1", "pypi", False),
        ("torch==2.4", "2.4+cu121", "pypi", True),
        ("torch===2.4", "2.4+cu121", "pypi", False),
        ("openssl<1.1.1w", "1.1.1g", "conda", True),  # which is no version of Python's
        ("openssl<1.1.1w", "1.1.1w", "conda", False),
        ("openssl==1.1.*", "1.1.1w", "conda", True),
        ("openssl!=1.1.*", "1.1.1w", "conda", False),
        ("glibc<2.36-9+deb12u11", "2.36-9+deb12u10", "deb", True),
        ("glibc>=2.36-9+deb12u9", "2.36-9+deb12u10", "deb", True),
        ("vim<2:9", "1:9.1-1", "deb", True),
        ("vim<2:9", "2:9.1-1", "deb", False),
        ("xz>=5.6~beta", "5.6-1", "deb", True),
        ("bash>1.10", "1.10a", "deb", True),
        ("bash>1.10", "1.10a", "pypi", False),
        ("zlib<1.2.11-40.el9", "1.2.11-39.el9", "rpm", True),
        ("x<1", "no version", "pypi", False),
    ],
)
def test_versions_are_compared_as_their_kind_of_package_does(
    asked: str, version: str, kind: str, fits: bool
) -> None:
    assert wanted(asked).fits(version, kind) == fits


@pytest.mark.parametrize("text", ["numpy>=", "<2", "numpy 2 < 3", ""])
def test_what_asks_for_nothing_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="nothing to look for"):
        wanted(text)


#: What is asked, and what is found of it, in order.
_FOUND = {
    "numpy": ["a package numpy 2.1.0", "c package NumPy 1.26"],
    "NUM[a-p]?": ["a package numpy 2.1.0", "c package NumPy 1.26"],
    "num[!p]y": [],
    "numpy<2": ["c package NumPy 1.26"],
    "scikit_learn": ["a package scikit-learn 1.5"],
    "scikit*": ["a package scikit-learn 1.5"],
    "f2py": ["a command f2py"],
    "F2PY": [],
    "f*": ["a command f2py", "a command f77"],
    "f2py>1": [],
    "2.1.0": [],
    "naïve": ["b command naïve"],
    'say"it': ['b command say"it'],
    "glibc": ["b package glibc 2.36-9+deb12u10 of docker://debian:12"],
    "glibc<2.36-9+deb12u10": [],
    "zlib": ["b package zlib 1.3"],
}


@pytest.mark.parametrize("asked", _FOUND)
def test_names_are_found_in_the_text_of_records(store: Filled, asked: str) -> None:
    learn = Installed("scikit-learn", "1.5", type="pypi")
    put(store, "a", NUMPY, learn, commands=("f2py", "f77"), shown={"packages": [["glibc", "9"]]})
    zlib = Installed("zlib", "1.3", why="added")
    put(store, "b", zlib, GLIBC, commands=("naïve", 'say"it'), base=BASE)
    put(store, "d")
    record = put(store, "c", Installed("NumPy", "1.26", type="conda"))
    path = Place(Path(record.prefix)).generation() / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text())))  # as nobody of us writes it
    search = Search([wanted(asked)])
    found = [
        f"{entry.name} {hit.what} {hit.name} {hit.version}".strip()
        + (f" of {hit.base}" if hit.base else "")
        for entry in store.entries()
        for hit in search.of(entry)
    ]
    assert found == _FOUND[asked]
    assert search.problems == []


def test_packages_of_a_base_are_those_of_all_that_have_it(store: Filled) -> None:
    put(store, "old", base=BASE)  # when nobody looked for these
    put(store, "one", GLIBC, base=BASE)
    put(store, "two", base=BASE)
    put(store, "other", base={**BASE, "digest": "sha256:13"})
    search = Search([wanted("glibc")])
    assert [e.name for e in store.entries() if [*search.of(e)]] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (START[:-3] + b'99,\n "x": 1\n}\n', "newer Tykky"),
        (START + b' "name": "a"', "is damaged"),
        (b"", "is damaged"),
    ],
)
def test_a_record_that_cannot_be_read_is_told_of(store: Filled, text: bytes, problem: str) -> None:
    record = put(store, "a", NUMPY)
    (Place(Path(record.prefix)).generation() / "record.json").write_bytes(text)
    search = Search([wanted("numpy")])
    assert [*search.of(store.entries()[0])] == []
    assert problem in search.problems[0]


def test_all_that_is_known_of_packages_is_found_without_reading_the_others(store: Filled) -> None:
    requests = replace(NUMPY, name="requests", requires=("numpy",))
    record = put(store, "a", NUMPY, requests, GLIBC)
    (entry,) = store.entries()
    assert [*Search([wanted("num*"), wanted("glibc")]).rows(entry)] == [NUMPY, GLIBC]
    assert [*Search([wanted("numpy<2")]).rows(entry)] == []
    path = Place(Path(record.prefix)).generation() / contents.FILE
    path.write_text('[\n{"name": "numpy", "version": 3}\n]\n')
    search = Search([wanted("numpy")])
    assert [*search.rows(entry)] == [] and "is damaged" in search.problems[0]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("six.py", ["lib/six.py"]),
        ("*.so*", ["lib/libhdf5.so", "lib/libhdf5.so.310", "/usr/lib/libhdf5.so"]),
        ("libhdf5.so", ["lib/libhdf5.so", "/usr/lib/libhdf5.so"]),
        ("lib/libhdf5.so.?*", ["lib/libhdf5.so.310"]),
        ("li*py", []),  # no slash is part of a name
        ("li**py", ["lib/six.py"]),
        ("/usr/lib/*", ["/usr/lib/libhdf5.so"]),
        ("/lib/six.py", []),
        ("/p/lib/six.py", ["lib/six.py"]),
        ("/p/six.py", []),
        ("[s]ix.p[!x]", ["lib/six.py"]),
        ("SIX.PY", []),
    ],
)
def test_files_are_found_by_name_by_end_or_whole(asked: str, found: list[str]) -> None:
    paths = ["lib/six.py", "lib/libhdf5.so", "lib/libhdf5.so.310", "/usr/lib/libhdf5.so"]
    assert files.matching("\n".join(paths), asked, "/p") == found


def test_the_same_files_are_the_same_bytes_whatever_their_names_are(tmp_path: Path) -> None:
    name = os.fsdecode(b"odd\xff")
    data = files.render([name, "a/b", "two\nlines"])
    assert data == files.render(reversed([name, "a/b"]))
    (tmp_path / files.FILE).write_bytes(data)
    assert files.read(tmp_path) == f"a/b\n{name}"
    assert files.read(tmp_path / "none") is None


# -- differences ------------------------------------------------------------------------------


def test_a_difference_is_told_in_a_line_for_each_subject(store: Filled) -> None:
    scipy = Installed("scipy", "1.14", type="pypi", license="BSD", size=2_000_000)
    places = [{"binds": [[f"{store.places}/a/{number}/data", "/data"]]} for number in (1, 2)]
    more = {"commands": ("f2py",), "images": _image(8), "launch": places[0]}
    old = put(store, "a", NUMPY, scipy, GLIBC, base=BASE, **more)
    new = put(
        store,
        "a",
        replace(NUMPY, version="2.2.0", size=6_000_000),
        replace(scipy, version="1.14", license="MIT License"),
        Installed("six_x", "1.0", size=4000),
        replace(GLIBC, version="2.41"),
        version="2",
        base={**BASE, "id": "debian-13", "digest": "sha256:13"},
        commands=("f77",),
        images=_image(9),
        launch={**places[1], "runtime": "apptainer"},
        shown={"setenv": {"A": "1"}},
    )
    before, after = changes.of_record(old), changes.of_record(new)
    found = changes.compare(before, after)
    assert [*found.lines()] == [
        "+ six-x 1.0, 4.0 kB",
        "  numpy 2.1.0 -> 2.2.0, +1.0 MB",
        "licence   scipy: BSD -> MIT",
        "commands  + f77",
        "commands  - f2py",
        "base      docker://debian:12 (debian-12, 12) -> docker://debian:12 (debian-13, 13)",
        "entered   runtime - -> apptainer",
        "module    setenv changed",
        "in base   1 changed",
        "size      packages 7.0 MB -> 8.0 MB, images 8 B -> 9 B",
    ]
    text = announcement(before, after, found, "a/1 is deprecated: it is old")
    for line in (
        "# a/2 is there, after a/1",
        "*2026-11-22*",
        "- **numpy** 2.1.0 → 2.2.0",
        "Also, what these need: six-x 1.0 (new).",
        "New: `f77`",
        "- scipy: BSD → MIT",
        "    module load a/2",
        "What was there before stays: `module load a/1`.",
        "a/1 is deprecated: it is old.",
    ):
        assert line in text.splitlines()
    assert "glibc" not in text
    same = changes.compare(before, before)
    assert [*same.lines()] == []


def _image(size: int) -> tuple[dict[str, object], ...]:
    return ({"file": f"{size}.sqfs", "sha256": "0", "bytes": size},)


# -- graphs -----------------------------------------------------------------------------------


def test_a_graph_of_installs_knows_what_is_missing_and_what_goes_round(store: Filled) -> None:
    low = put(store, "low", base=BASE)
    put(store, "low", base=BASE)  # now there is another
    gone = f"{store.places}/gone/1#4"
    high = put(store, "high", base=BASE, needs=(f"{low.prefix}#1", gone))
    one, two = (f"{store.places}/{name}/1#1" for name in ("one", "two"))
    put(store, "one", needs=(two,), base={"name": "host", "id": "debian-12"})
    put(store, "two", needs=(one,), base={"name": "stack:one", "id": "one/1#1 on debian-12"})
    made = graph.of_installs(store.entries())
    assert [*drawing.tree(made, made.tops())] == [
        "high/1#1",
        "├── low/1#1 (not the current one, #2)",
        "│   └── docker://debian:12 (debian-12)",
        f"├── {gone} (is not there)",
        "└── docker://debian:12 (debian-12)",
        "low/1#2",
        "└── docker://debian:12 (debian-12)",
        "one/1#1",
        "├── two/1#1",
        "│   └── one/1#1 ...",
        "└── host (debian-12)",
    ]
    above = made.reverse()
    assert [*drawing.tree(above, [f"{low.prefix}#1"])][1:] == ["└── high/1#1"]
    assert f'  "{high.prefix}#1" -> "{gone}";' in [*drawing.dot(made)]
    picture = xml.etree.ElementTree.fromstring("\n".join(drawing.svg(made)))
    assert len(picture.findall("{*}text")) == len(made.nodes)


def test_a_graph_of_packages_tells_what_brings_one_in() -> None:
    packages = [
        NUMPY,
        Installed("numpy", "1.9", type="conda", why="needed"),
        Installed("pandas", "2", type="pypi", why="asked", requires=("NumPy", "six")),
        Installed("seaborn", "1", type="pypi", why="added", requires=("pandas", "nowhere")),
        Installed("mkl", "1", type="conda", why="needed", requires=("numpy", "mkl")),
        replace(GLIBC, requires=("numpy",)),
    ]
    made = graph.of_packages(packages)
    assert [*drawing.tree(made, made.tops())] == [
        "seaborn 1 (added by a script)",
        "└── pandas 2 (asked)",
        "    └── numpy 2.1.0 (asked)",
        "mkl 1",
        "├── numpy 1.9",
        "└── mkl 1 ...",
    ]
    found = graph.why(made, packages, wanted("NUMPY>=2"))
    assert [*drawing.tree(found, found.tops())] == [
        "numpy 2.1.0 (asked)",
        "└── pandas 2 (asked)",
        "    └── seaborn 1 (added by a script)",
    ]

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tykky.config.edit import edited, write_atomically
from tykky.errors import ConfigError, Exit, TykkyError

HERE = Path("config.yaml")


def edit(content: str, key: str, *values: str) -> str:
    return edited("user", HERE, content, key, values)


@pytest.mark.parametrize(
    ("before", "key", "values", "after"),
    [
        ("", "root", ["/x"], "root: /x\n"),
        ("# only a comment", "root", ["/x"], "# only a comment\nroot: /x\n"),
        ("", "squash.level", ["4"], "squash:\n  level: 4\n"),
        ("root: /a # ours\n", "root", ["/x"], "root: /x # ours\n"),
        ("root: '/a b'\njobs: 1\n", "root", ["/x y"], 'root: "/x y"\njobs: 1\n'),
        ("root:\njobs: 1\n", "root", ["/x"], "root: /x\njobs: 1\n"),
        ("root: ~\n", "root", ["~/x"], 'root: "~/x"\n'),
        ("root: >-\n  /a\n  b\njobs: 1\n", "root", ["/x"], "root: /x\njobs: 1\n"),
        ("jobs: 1", "root", ["/x"], "jobs: 1\nroot: /x\n"),
        ("squash:\n  level: 3\n", "root", ["/x"], "squash:\n  level: 3\nroot: /x\n"),
        ("squash:\n  level: 3 # c\n", "squash.level", ["4"], "squash:\n  level: 4 # c\n"),
        (
            "squash:\n    level: 3 # c\n\n# next\njobs: 1\n",
            "squash.compression",
            ["gzip"],
            "squash:\n    level: 3 # c\n    compression: gzip\n\n# next\njobs: 1\n",
        ),
        ("squash:\njobs: 1\n", "squash.level", ["4"], "squash:\n  level: 4\njobs: 1\n"),
        ("squash: # c\n", "squash.level", ["4"], "squash: # c\n  level: 4\n"),
        ("squash: {}\n", "squash.level", ["4"], "squash: {level: 4}\n"),
        (
            "squash: {level: 3}\n",
            "squash.compression",
            ["xz"],
            "squash: {level: 3, compression: xz}\n",
        ),
        ("{root: /a}\n", "squash.level", ["4"], "{root: /a, squash: {level: 4}}\n"),
        ("repos: [/a, /b]\n", "repos", ["/c"], "repos: [/c]\n"),
        ("repos: [/a]\n", "repos", ["[]"], "repos: []\n"),
        ("repos: []\n", "repos", ["/a", "{inherited}"], 'repos: [/a, "{inherited}"]\n'),
        ("repos:\n- /a\n- /b\njobs: 1\n", "repos", ["/c"], "repos: [/c]\njobs: 1\n"),
        ("repos:\n  - /a\n\n# c\njobs: 1\n", "repos", ["/c"], "repos: [/c]\n\n# c\njobs: 1\n"),
        (
            "pip:\n  extra_index_urls:\n    - https://a.org\n# c\n",
            "pip.glibc",
            ["2.31"],
            "pip:\n  extra_index_urls:\n    - https://a.org\n  glibc: 2.31\n# c\n",
        ),
        ("é: 1\n", "root", ["/x"], ConfigError),
        ("base: 'é' # ö\n", "base", ["ü"], 'base: "ü" # ö\n'),
        ("# é\r\nroot: /a\r\n", "root", ["/x"], "# é\r\nroot: /x\r\n"),
        ("base: null\n", "base", ["null"], 'base: "null"\n'),
        ("base: a\n", "base", ["q\"\\' #: x"], 'base: "q\\"\\\\\' #: x"\n'),
    ],
)
def test_only_the_line_of_the_key_changes(
    before: str, key: str, values: Sequence[str], after: object
) -> None:
    if isinstance(after, str):
        assert edit(before, key, *values) == after
    else:
        with pytest.raises(ConfigError):
            edit(before, key, *values)


def test_file_that_would_change_elsewhere_is_refused() -> None:
    content = "module_path: &here /a\nroot: *here\n"
    with pytest.raises(ConfigError) as caught:
        edit(content, "root", "/x")
    assert "without changing other lines" in caught.value.cause
    assert "edit the file by hand" in caught.value.remedy


def test_file_with_an_end_of_document_is_refused() -> None:
    with pytest.raises(ConfigError):
        edit("jobs: 1\n...\n", "root", "/x")


def test_new_file_and_its_folders_are_made_with_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "a/b/config.yaml"
    write_atomically(path, "root: /x\n", 0o644)
    assert path.read_text() == "root: /x\n"
    assert path.stat().st_mode & 0o777 == 0o644


def test_old_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.yaml"
    target.write_text("old")
    target.chmod(0o600)
    link = tmp_path / "config.yaml"
    link.symlink_to(target)
    write_atomically(link, "new", 0o644)
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o600


def test_place_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TykkyError) as caught:
        write_atomically(tmp_path / "file/config.yaml", "new", 0o644)
    assert caught.value.code is Exit.NOT_WRITABLE
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

"""Who else may change a file, by modes and owners on the way to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tykky.trust import opening


@pytest.mark.parametrize(
    ("folder", "file", "group", "found"),
    [
        (0o755, 0o644, None, ""),
        (0o755, 0o646, None, "above/file"),
        (0o757, 0o644, None, "above"),
        (0o1777, 0o644, None, ""),
        (0o1777, 0o646, None, "above/file"),
        (0o775, 0o664, None, ""),
        (0o775, 0o644, "own", ""),
        (0o775, 0o644, "other", "above"),
        (0o755, 0o664, "other", "above/file"),
    ],
)
def test_modes_tell_who_may_write(
    tmp_path: Path, folder: int, file: int, group: str | None, found: str
) -> None:
    path = tmp_path / "above/file"
    path.parent.mkdir()
    path.write_text("")
    path.chmod(file)
    path.parent.chmod(folder)
    own = path.stat().st_gid
    number = {None: -1, "own": own, "other": own + 1}[group]
    way = opening(path, {number} - {-1})
    assert (way.path.relative_to(tmp_path).as_posix() if way else "") == found
    if way:
        assert way.remedy in (f"chmod o-w {way.path}", f"chmod g-w {way.path}")


def test_links_are_followed_and_what_is_not_there_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("open/three")
    found = opening(tmp_path / "one/file")
    assert found is not None
    assert found.path == tmp_path / "open"
    (tmp_path / "open").chmod(0o1777)
    assert opening(tmp_path / "one/file") is None
    found = opening(tmp_path / "open")
    assert found is not None, "everybody may put something there"
    (tmp_path / "loop").symlink_to("loop")
    assert opening(tmp_path / "loop/file") is None
    assert opening(tmp_path / "nowhere/file") is None

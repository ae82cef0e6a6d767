"""What is written anew of files that name a path: nothing else changes, and nothing moves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tykky.build import rewire
from tykky.build.rewire import Refused

OLD, LONG, SHORT = "/a/store/geo/2.1", "/a/longer/store/geo/2.1", "/b"
PATHS = {OLD: SHORT, "/a/store/low/1": "/b/low"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"#!{OLD}/bin/python", "#!/b/bin/python"),
        (f"-I{OLD}/include:{OLD}", "-I/b/include:/b"),
        (f"{OLD}.1 {OLD}-x {OLD}_ {OLD}a {OLD}+b", None),  # other paths
        (f"It is in {OLD}. Or {OLD}, or '{OLD}'.", "It is in /b. Or /b, or '/b'."),
        (f"{OLD}:/a/store/low/1/lib", "/b:/b/low/lib"),
        ("/a/store/low/10", None),
    ],
)
def test_a_path_is_found_as_a_whole(text: str, says: str | None) -> None:
    assert rewire.moved(text, PATHS) == (text if says is None else says)


def program(data: bytes, new: str, room: int = 0) -> bytes:
    word = re.compile(rewire.pattern({OLD: new}).pattern.encode())
    paths = {OLD.encode(): new.encode()}
    if room:
        return rewire._padded(data, word, paths, room)
    return rewire._filled(data, word, paths)


@given(
    st.lists(st.sampled_from([OLD.encode(), b"\0", b"/x", b":", b"\xff", b"."]), max_size=20),
    st.sampled_from([SHORT, LONG]),
    st.sampled_from([0, 20, 255]),
)
def test_nothing_moves_in_a_program(parts: list[bytes], new: str, room: int) -> None:
    data = b"".join(parts)
    try:
        made = program(data, new, room)
    except Refused:
        assert new == LONG or room
        return
    assert len(made) == len(data)
    word = rewire.pattern({OLD: new}).pattern.encode()
    assert not re.search(word, made) or new == OLD
    if not room:  # what is between stays where it is
        assert [m.start() for m in re.finditer(rb"[\0\xff]", made)] == [
            m.start() for m in re.finditer(rb"[\0\xff]", data)
        ]
    elif b"\0" not in data.rstrip(b"\0"):
        assert made.rstrip(b"\0") == re.sub(word, new.encode(), data.rstrip(b"\0"))


def test_what_conda_has_left_room_in_grows_into_that_and_no_further() -> None:
    text = OLD.encode() + b"/x\0"
    assert program(text + b"\0" * 30, LONG, 255) == f"{LONG}/x".encode().ljust(
        len(text) + 30, b"\0"
    )
    for zeros, room in ((3, 255), (30, 18)):  # the next thing begins, or the room ends
        with pytest.raises(Refused, match=f"room for {room}"):
            program(text + b"\0" * zeros + b"\1", LONG, room)


def test_byte_code_is_right_wherever_its_source_lies(tmp_path: Path) -> None:
    """What is left as it is: the path of the source is corrected when it is imported."""
    import importlib.util
    import py_compile

    source = tmp_path / "other.py"
    source.write_text("def say():\n    return say.__code__.co_filename\n")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), dfile="/a/store/other.py", invalidation_mode=mode)
    spec = importlib.util.spec_from_file_location("other", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.say() == str(source)

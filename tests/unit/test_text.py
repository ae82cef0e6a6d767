"""Text files in the encodings and shapes that people have them in."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tykky.conda import environment
from tykky.errors import ConfigError, Exit, RecipeError, from_os_error
from tykky.text import LIMIT, drained, load_yaml, read_text

LINES = "name: é\ndependencies: [python]\n"


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_in_what_it_is_saved_as(tmp_path: Path, codec: str, end: str) -> None:
    file = tmp_path / "e.yml"
    file.write_bytes(LINES.replace("\n", end).encode(codec))
    assert read_text(file) == LINES
    assert environment.read(file, "x86_64").names == ("é",)


@pytest.mark.parametrize(
    ("content", "line", "column", "says"),
    [
        (LINES.encode("latin-1"), 1, 6, "iconv -f latin1 -t utf-8 e.yml"),
        (b"a: b\nc: \xe9\n", 2, 3, "iconv -f latin1"),
        ("é: b\nc: \0".encode(), 2, 3, "UTF-16"),
        (LINES.encode("utf-16-le"), 1, 1, "iconv -f utf-16 -t utf-8 e.yml"),
        (b"\x7fELF\x02\x01\x80", 1, 6, "give a file of text"),
        (LINES.encode("utf-16")[:-1], 2, 22, "saved as UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(
    tmp_path: Path, content: bytes, line: int, column: int, says: str
) -> None:
    file = tmp_path / "e.yml"
    file.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        environment.read(file, "x86_64")
    where = caught.value.where
    assert where is not None
    assert (where.path, where.line, where.column) == (file, line, column)
    assert says in f"{caught.value.cause} {caught.value.remedy}"


def test_comments_of_lists_may_be_in_any_encoding(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"# caf\xe9\nnumpy  # \xe9\n")
    assert environment.read(file, "x86_64").specs == ("numpy",)
    file.write_bytes(b"# caf\xe9\nnumpy\xe9\n")
    with pytest.raises(RecipeError) as caught:
        environment.read(file, "x86_64")
    assert str(caught.value.where).startswith(f"{file}:2\n")


def test_what_is_no_text_file_is_neither_waited_for_nor_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", LIMIT + 1)
    (tmp_path / "closed").touch(mode=0)
    names = ["fifo", "loop", "large", "", "closed", "no/such", "a" * 300, "\0", "\ud800"]
    for path in (*(tmp_path / name for name in names), Path("/dev/zero"), Path("/proc/self/mem")):
        if path.name != "closed" or os.geteuid():
            with pytest.raises(ConfigError, match="cannot be read"):
                read_text(path)


def test_a_pipe_is_read_to_its_end_if_anybody_writes(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_text("late\n" * 50_000))
    writer.start()
    assert drained(fifo) == b"late\n" * 50_000
    writer.join()
    with pytest.raises(OSError, match="nobody writes"):
        drained(fifo, patience=0.1)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: " + "[" * 3000, 1, "nest"),
        ("a:\n" + "\n".join(" " * k + "- " for k in range(1, 60)), 51, "deeper than 50"),
        ("a: &x [&y {b: *x}]", 1, "contains itself"),
        ("a: &x {<<: *x}", 1, "contains itself"),
        ("\n".join(f"x{k}: &a{k} [{f'*a{k - 1},' * 9 * bool(k)}]" for k in range(9)), 7, "100000"),
        ("- 1\n" * 100_001, 100_000, "entries"),
        ("ok: 1\nday: 2024-99-99", 2, "month"),
        ("ok: 1\nx: !!int y", 2, "invalid"),
        ("ok: 1\n? [a]\n: b", 2, "unhashable"),
        ("ok: 1\nx: !!python/object:os.system {}", 2, "could not determine"),
        ("a: 1\nb: c: d", 2, "not allowed"),
    ],
)
def test_yaml_that_is_none_or_too_much_is_refused_with_its_line(
    text: str, line: int, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_yaml(text, Path("c.yaml"), ConfigError)
    assert caught.value.where is not None
    assert caught.value.where.line == line


def test_yaml_is_what_it_says() -> None:
    text = "a: &x {b: [1, yes, null]}\nc:\n  <<: *x\n  d: 2024-01-02\n"
    assert load_yaml(text, Path("c"), ConfigError)["c"]["b"] == [1, True, None]
    assert load_yaml("", Path("c"), ConfigError) is None


def test_what_the_system_says_of_a_path_has_a_code() -> None:
    for path, code in (
        ("/" + "a" * 300, Exit.PATH_TOO_LONG),
        ("/no/such", Exit.NOT_FOUND),
        ("/proc/version/x", Exit.NOT_WRITABLE),
    ):
        with pytest.raises(OSError) as caught:
            Path(path).read_text()
        assert from_os_error(caught.value, "go on").code == code

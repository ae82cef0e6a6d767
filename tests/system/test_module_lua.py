"""Any text arrives in Lua as it was; asked of a Lua of this machine, as Lmod runs on it."""

from __future__ import annotations

import random
import shutil
import subprocess

from tykky.publish.modulefile import lua

NASTY = [
    *(chr(number) for number in range(1, 0x250)),
    *("", "\x00", "\x000", "\x0012", "a\x001", "\\", "\\\\", '\\"', "\\n", "\\065", "]]", "]=]"),
    *("--", "--[[", '" .. os.exit(1) .. "', "\r\n", "\n\r", "\u2028", "é€😀", "%d%s%%", "${x}"),
]


def evaluated(texts: list[str]) -> list[str]:
    """The bytes of each text in hex, as a Lua program sees its quoted form."""
    programs = ("lua5.3", "lua5.4", "lua5.1", "lua")
    program = next(path for path in map(shutil.which, programs) if path)
    hexed = 'print((({}):gsub(".", function(c) return ("%02x"):format(c:byte()) end)))'
    source = "\n".join(hexed.format(lua(text)) for text in texts)
    done = subprocess.run([program, "-"], input=source.encode(), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().split("\n")[:-1]


def test_odd_texts_arrive_in_lua() -> None:
    assert evaluated(NASTY) == [text.encode().hex() for text in NASTY]


def test_random_texts_arrive_in_lua() -> None:
    dice = random.Random(5)
    letters = [*NASTY, *"0123456789abcnrtxuz{}"]
    texts = ["".join(dice.choices(letters, k=dice.randrange(12))) for _ in range(2000)]
    assert evaluated(texts) == [text.encode().hex() for text in texts]


def test_quoted_text_stays_on_one_line() -> None:
    assert not any("\n" in lua(text) or "\r" in lua(text) for text in NASTY)

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tykky.config.tree import Items, Section, Text, Value, read_plain, read_yaml
from tykky.errors import ConfigError
from tykky.resources import resource

HERE = Path("config.yaml")


def places(value: Value) -> object:
    """A tree with the places of all that has one: YAML's null is nowhere in particular."""
    if isinstance(value, Section):
        return [(entry.name, places(entry.value)) for entry in value.entries]
    if isinstance(value, Items):
        return list(value.texts)
    return value if isinstance(value, Text) and value.text else None


def test_shipped_defaults_are_plain_and_mean_what_yaml_says() -> None:
    path = resource("configs") / "defaults.yaml"
    plain = read_plain(path.read_text())
    assert plain is not None
    assert places(plain) == places(read_yaml(path, path.read_text()))


def test_plain_reader_agrees_with_yaml_wherever_it_answers() -> None:
    generator = random.Random(1)
    values = (
        *("3", "0755", "128K", "/a/b", "~", "~/x", "null", "nullify", "Null", "yes", "''", '""'),
        *("'a b'", '"a b"', '"a\\"', "'it''s'", '"{root}/x"', "{root}", "[]", "[a, b]", "[", "]"),
        *("https://a.org/x", "a: b", "a:", ":a", "#a", "a#b", "a #b", "- a", "-a", "-", "*a", "&a"),
        *("!x", "|", ">", "%a", "@a", "`a", "a@b", "=", "=a", "a=b", "...", "---", ".", "..", "$A"),
        *("${A:-/b}", "a,b", "'a' b", '"a" # c', "'a'#c", "a\\b", "?", "? a", "<<", "a\tb", "é"),
    )
    names = ("root", "squash", "level", "Root", "_a", "a-b", "1a", "null", "a b", '"q"', "a1_")
    shapes = (
        *("{n}: {v}", "{n}:{v}", "{n}:  {v}  ", "{n}:", "{n}: # c", "  {n}: {v}", "  {n}:"),
        *("    {n}: {v}", "- {v}", "  - {v}", "  -{v}", "-", "# c", "  # c", "", "   ", "{v}"),
        *("\t{n}: {v}", "{n}: {v} # c", "{n}: {v}# c", " {n}: {v}", "---", "...", "  {v}"),
    )
    answered = 0
    for _ in range(20_000):
        lines = [
            generator.choice(shapes).format(n=generator.choice(names), v=generator.choice(values))
            for _ in range(generator.randint(1, 5))
        ]
        content = "\n".join(lines) + generator.choice(("", "\n"))
        plain = read_plain(content)
        if plain is not None:
            answered += 1
            try:
                assert places(plain) == places(read_yaml(HERE, content)), content
            except ConfigError as error:
                pytest.fail(f"plain, but to YAML {error}:\n{content}")
    assert answered > 300


@pytest.mark.parametrize(
    "content",
    [
        "squash:\n  level: 3\n    block_size: 4K\n",
        "squash:\n    level: 3\n  block_size: 4K\n",
        "repos:\n  - /a\n - /b\n",
        "repos:\n- /a\n  - /b\n",
        "root: /a\n  jobs: 1\n",
        "root: /a # \x01\n",
        "root: '/a\x85b'\n",
        "root: '/a\u2028'\n",
        "\ufeffroot: /a\n",
        "root: '/a\n  b'\n",
        "root: /a\n  b\n",
        "  root: /a\njobs: 1\n",
    ],
)
def test_plain_reader_leaves_to_yaml_what_only_looks_plain(content: str) -> None:
    assert read_plain(content) is None


def test_section_that_contains_itself_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigError, match="contains itself") as caught:
        read_yaml(HERE, "squash: &x\n  level: *x\n")
    assert str(caught.value.where).startswith(f"{HERE}:2")

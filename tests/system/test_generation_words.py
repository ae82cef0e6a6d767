"""A generation is named by ``NAME/VERSION#N`` in every verb that asks about one."""

from __future__ import annotations

from tests.stacks import Site
from tykky.errors import Exit


def test_every_asking_verb_knows_generations(site: Site) -> None:
    site.hello()
    site("install", "hello")
    site.hello(
        more="commands = 'hello', 'second'\n\n"
        "def finish(self, box): box.link('bin/second', 'hello')"
    )
    site("install", "hello")
    (first,) = site.json("find", "hello/1.0#1")
    (second,) = site.json("find", "hello/1.0#2")
    assert (first["generation"], second["generation"]) == (1, 2)
    assert site.json("info", "hello/1.0#1")["commands"] == ["hello"]
    shown = site("info", "hello/1.0#2").stdout
    assert "hello/1.0#2" in shown and "second" in shown
    assert "build" in site("log", "hello/1.0#1").stdout
    assert "commands  + second" in site("diff", "hello/1.0#1", "hello/1.0#2").stdout
    assert "1 install" in site("verify", "hello/1.0#1").stderr
    for verb in ("find", "info", "log", "verify"):
        done = site(verb, "hello/1.0#9", status=int(Exit.NOT_FOUND))
        assert "it has #1, #2" in done.stderr

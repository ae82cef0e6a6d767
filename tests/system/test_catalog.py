"""The catalogue: pages that tell what is installed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import html5lib
import pytest

from tests import generated
from tests.browser import browser
from tests.stacks import Site, settle
from tests.support import log_in, new_place, remove
from tykky.publish.catalog import feeds, search
from tykky.publish.catalog.text import clean, link

#: Every text that is seen, with less contrast than WCAG 2.1 AA asks for.
CONTRAST = """(() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92
      : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const under = (e) => {
    for (; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const bad = new Set();
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility()) continue;
    const [a, b] = [rgb(getComputedStyle(e).color), under(e)].map(light);
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5)
      bad.add(e.tagName + "." + e.className);
  }
  return [...bad];
})()"""

#: A page with its styles; before, it has no widths and no colours.
LOADED = "document.readyState == 'complete'"


class _Page(HTMLParser):
    """What of a page has to be looked at: identifiers, links, scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.ids.update([facts["id"]] if facts.get("id") else [])
        self.links += [str(facts[name]) for name in ("href", "src") if name in facts]
        names = ("for", "aria-labelledby", "aria-describedby")
        self.asked += [str(facts[name]) for name in names if name in facts]
        inline = tag == "style" or (tag == "script" and "src" not in facts) or "style" in facts
        if inline or any(name.startswith("on") for name in facts):
            self.wrong.append(f"<{tag} {facts}>")


@pytest.fixture(scope="module")
def many() -> Iterator[Path]:
    """The catalogue of 200 installs, and of one that is hostile."""
    place = new_place()
    site = settle(place, log_in(place))
    generated.fill(site.root, 40, 5, 12, all_packages=150)
    generated.hostile(site.root)
    words = ("--title", "Software of the <centre>", "--url", "https://software.example")
    site("catalog", "--output", place / "pages", *words)
    yield place / "pages"
    remove(place)


def test_pages_of_200_installs_are_valid_and_no_link_is_broken(many: Path) -> None:
    pages = {path: _Page(path.read_text()) for path in many.rglob("*.html")}
    assert len(pages) == 1 + 41 + 201
    for path, page in pages.items():
        html5lib.HTMLParser(strict=True).parse(path.read_text())
        assert not page.wrong and max(page.ids.values()) == 1
        assert all(page.ids[name] for name in page.asked)
        for address in page.links:
            file, _, name = unquote(address).partition("#")
            if not re.match(r"https://software\.example/(python|bio|deep|cli)", file):
                file = file.replace("https://software.example/", f"{many}/")
                there = Path(os.path.normpath(path.parent / file)) if file else path
                there = there / "index.html" if there.is_dir() else there
                assert there.is_file(), f"{path} leads to {address}"
                assert not name or pages[there].ids[name], f"{path} leads to {address}"
    for name, words in (
        ("bio-tools", ("srun python3 my_script.py", "--ntasks-per-node=4", "Open MPI v5.0.3")),
        ("deep-learning", ("--gpus=1", "tykky kernel add deep-learning/26.12")),
        ("hostile", ("&#39;$(reboot)&#39; --help",)),
    ):
        text = (many / f"stacks/{name}/index.html").read_text()
        assert all(each in text for each in words), name
    feed = ElementTree.parse(many / "feed.xml").getroot()
    assert len(feed.findall("{*}entry")) == feeds.CHANGES
    for file in many.rglob("*"):
        text = file.read_text() if file.is_file() else ""
        assert "secret" not in text, file
        if file.suffix == ".json":
            json.loads(text)


def test_a_person_finds_what_is_there_by_keyboard_on_a_phone_at_night(
    many: Path, place: Path
) -> None:
    start, stack = many.as_uri() + "/index.html", "stacks/python-data/index.html"
    with browser(place / "browser") as page:
        page.see()
        page.go(start)
        page.wait("document.querySelector('#search').checkVisibility()")
        page.press("/")
        page.type("Num_")
        page.wait("document.querySelector('#found').textContent == 'Nothing is found'")
        page.press("Escape")
        assert page.value("document.querySelector('#stacks').checkVisibility()")
        page.type("umpy")
        page.wait("!!document.querySelector('#results .where a')")
        assert page.value("document.querySelector('#found').textContent") == "1 package"
        assert "9.5.0 in python-data/26.12" in page.value("document.body.innerText")
        page.press("ArrowDown")
        page.press("ArrowDown")
        page.press("ArrowUp")
        assert page.value("document.activeElement.innerText") == "python-data/26.12"
        page.press("Enter")
        page.wait("location.pathname.endsWith('python-data/versions/26.12.html')")
        for text, found in (
            ("python-data-tool", "1 command"),
            ("climate/26.1", "10 stacks"),
            ("align genomes", "10 stacks"),
            ("__proto__", "1 stack, 1 package, 1 command"),
            ("constructor", "1 stack, 1 package, 1 command"),
            ("<img", "1 stack, 1 package, 1 command"),
        ):
            page.go("about:blank")
            page.go(f"{start}#q={text}")
            page.wait(f"document.querySelector('#found').textContent == {found!r}")
            page.wait("!!document.querySelector('#results a')")
        assert page.value("document.title") == "Software of the <centre>"
        for address in (f"{start}#q=package-1", f"{many.as_uri()}/stacks/hostile/index.html"):
            for width, dark in ((360, False), (360, True), (1200, True)):
                page.see(width=width, dark=dark)
                page.go("about:blank")
                page.go(address)
                page.wait(f"{LOADED} && !!document.querySelector('#results .where a, tbody tr')")
                assert page.value("document.documentElement.scrollWidth") <= width
                assert page.value(CONTRAST) == []
                assert not page.value("document.title").startswith("taken")
                paper = page.value("getComputedStyle(document.body).backgroundColor")
                assert paper == ("rgb(20, 24, 28)" if dark else "rgb(255, 255, 255)")
        page.see()
        page.go(f"{many.as_uri()}/{stack}")
        page.click("document.querySelector('.code button')")
        page.wait("document.querySelector('.code button').textContent != 'Copy'")
        page.see(scripts=False)
        for address in (start, f"{many.as_uri()}/{stack}"):
            page.go("about:blank")
            page.go(address)
            page.wait(f"location.href == '{address}' && {LOADED}")
            said = page.value("document.body.innerText")
            assert "python-data" in said and "Copy" not in said
            assert not page.value("document.querySelector('#search')?.checkVisibility()")


def texts(output: Path) -> dict[str, str]:
    return {str(p.relative_to(output)): p.read_text() for p in output.rglob("*") if p.is_file()}


def test_pages_follow_what_is_done_with_installs(site: Site, place: Path) -> None:
    site.hello("hello", "1.0", "0.9", "0.8", more="gpu = 'nvidia'")
    site.hello("other")
    output, page = place / "pages", place / "pages/stacks/hello/index.html"
    config = site.user.home / ".config/tykky/config.yaml"
    config.parent.mkdir(parents=True)
    catalog = f"{{output: {output}, contact: help@site.example}}"
    config.write_text(f"root: {site.root}\ncatalog: {catalog}\n")
    site("install", "hello@1.0", "hello@0.9", "hello@0.8")
    before = {path: path.stat().st_ino for path in output.rglob("*.html")}
    assert {path.name for path in page.parent.glob("versions/*")} == {
        "1.0.html",
        "0.9.html",
        "0.8.html",
    }
    assert "mailto:help@site.example" in page.read_text() and "--gpus=1" in page.read_text()
    job = re.search(r"#!/bin/bash.*?(?=</code>)", page.read_text(), re.DOTALL)
    assert job and site.lmod(job[0]).stdout == "hello 1.0 --help\n"
    site("install", "other")
    changed = {path.name for path, inode in before.items() if path.stat().st_ino != inode}
    assert changed == {"index.html"} and page.stat().st_ino == before[page]
    site("deprecate", "hello/0.9", "--reason", "slow & <old>", "--use", "hello/1.0")
    said = page.read_text()
    assert "slow &amp; &lt;old&gt;" in said and "hello/1.0" in said
    site("default", "hello/0.8")
    assert "module load hello/0.8" in page.read_text()
    site("hide", "hello/1.0")
    assert not (page.parent / "versions/1.0.html").exists()
    assert "hello/1.0" not in (output / "search/index.js").read_text()
    site("hide", "--undo", "hello/1.0")
    site("retire", "hello/0.9", "--reason", "gone for good")
    assert "gone for good" in page.read_text()
    site("uninstall", "other")
    assert not (output / "stacks/other").exists()
    assert "other/1.0 removed" in (output / "index.html").read_text()
    for text in texts(output).values():
        assert not re.search(rf"\b{site.user.env['USER']}\b", text.replace(str(place), ""))
    # What spider says of the same, there is in the same way.
    spider = ["/usr/share/lmod/lmod/libexec/spider", "-o", "jsonSoftwarePage", str(site.modules)]
    for each in ("hello/0.9",):  # which says that it is retired
        (site.modules / f"{each}.lua").unlink()
    real = json.loads(subprocess.run(spider, capture_output=True, check=True, text=True).stdout)
    ours = json.loads((output / "modules.json").read_text())
    for one in (*real, *ours):
        one["versions"] = [{k: v for k, v in e.items() if k != "help"} for e in one["versions"]]
    assert ours == real, json.dumps([ours, real])
    site("hide", "hello/1.0", "hello/0.8")  # so that none is the default
    assert "hello/0.9 is retired" in page.read_text()
    # A failure says so, and fails nothing.
    (output / ".tykky-catalog.json").write_text("{")
    said = site("install", "other").stderr
    assert "does not tell of this" in said and "'tykky catalog' makes it again" in said


def test_only_what_is_its_own_is_written_over_and_removed(site: Site, place: Path) -> None:
    site.hello("hello")
    site("install", "hello")
    output, foreign = place / "pages", place / "pages/stacks/hello/note.txt"
    output.mkdir()
    (output / "index.html").write_text("mine")
    assert "none of a catalogue's" in site("catalog", "--output", output, status=7).stderr
    assert texts(output).keys() == {"index.html", ".tykky-catalog.lock"}
    (output / "index.html").unlink()
    assert site("catalog", status=2).stderr.startswith("tykky: error: no directory")
    for folder in (site.user.home, site.root, site.root / "store", site.root / "db/x"):
        assert "not for pages" in site("catalog", "--output", folder, status=2).stderr
    made = site("catalog", "--output", output, "--title", "A")
    assert "1 version" in made.stderr
    foreign.write_text("mine")
    listed = json.loads((output / ".tykky-catalog.json").read_text())
    for name in ("../../victim", "stacks/../../victim", str(place / "victim")):
        listed["files"][name] = "x"
    (place / "victim").write_text("alive")
    (output / ".tykky-catalog.json").write_text(json.dumps(listed))
    site("uninstall", "hello")
    site("catalog", "--output", output)
    assert foreign.read_text() == "mine" and (place / "victim").exists()
    assert "Nothing is installed yet" in (output / "index.html").read_text()
    site("install", "hello")
    (place / "away").mkdir()
    foreign.unlink()
    foreign.parent.rmdir()
    foreign.parent.symlink_to(place / "away")
    assert "leads elsewhere" in site("catalog", "--output", output, status=7).stderr
    assert not any((place / "away").iterdir())


def test_two_at_once_and_one_that_was_killed_leave_a_whole_catalogue(
    site: Site, place: Path
) -> None:
    generated.fill(site.root, 20, 3, 20)
    wanted, output = place / "wanted", place / "pages"
    site("catalog", "--output", wanted)
    with site.start("catalog", "--output", output) as killed:
        while killed.poll() is None and not (output / "stacks/bio-tools/index.html").exists():
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(killed.pid, signal.SIGKILL)
    both = [site.start("catalog", "--output", output) for _ in range(2)]
    assert [each.wait(120) for each in both] == [0, 0]
    for each in both:
        each.communicate()
    assert texts(output) == texts(wanted)
    assert "0 new files" in site("catalog", "--output", output).stderr
    (output / "stacks/climate/index.html").unlink()
    site("catalog", "--output", output)
    assert texts(output) == texts(wanted)


def test_what_cannot_be_read_now_stays_as_it_was_told(site: Site, place: Path) -> None:
    (prefix, *_) = generated.fill(site.root, 2, 2, 3)
    output, page = place / "pages", place / "pages/stacks/python-data/versions/26.12.html"
    site("catalog", "--output", output)
    before, record = texts(output), prefix / ".tykky/current/record.json"
    whole, entry = record.read_bytes(), site.root / "db/bio-tools/26.12.json"
    listed = entry.read_bytes()
    odd = site.root / "store/bio-tools/26.11/.tykky"
    data = json.loads((odd / "current/record.json").read_text())
    data["launch"] = {"mpi": 5}
    (odd / "current/record.json").write_text(json.dumps(data))
    (odd / "state.json").unlink()
    record.write_text("{")
    (prefix / ".tykky/state.json").unlink()
    entry.write_text("{")
    said = site("catalog", "--output", output).stderr
    assert "tells what it was: python-data/26.12" in said and "bio-tools/26.12.json" in said
    assert "its record is odd; the catalogue tells what it was: bio-tools/26.11" in said
    assert page.read_text() == before["stacks/python-data/versions/26.12.html"]
    assert (output / "stacks/bio-tools/versions/26.12.html").exists()
    record.write_bytes(whole)
    entry.write_bytes(listed)
    stack = output / "stacks/python-data/stack.json"
    stack.write_text(stack.read_text().replace("numpy", "taken"))
    site("catalog", "--output", output)
    again = texts(output)
    assert again["stacks/python-data/stack.json"].count("taken") == 0
    assert again.keys() == before.keys()
    (site.root / "db").rename(place / "db")  # as if it were not mounted
    assert "not mounted" in site("catalog", "--output", output, status=6).stderr
    assert texts(output) == again


def test_other_roots_and_what_is_closed_are_shown_only_if_they_are_named(
    site: Site, place: Path
) -> None:
    generated.fill(site.root, 1, 1, 1)
    (own,) = generated.fill(place / "own", 2, 2, 1)[:1]
    closed = generated.fill(place / "closed", 1, 1, 1)[0]
    closed.chmod(0o750)
    output = place / "pages"

    def shown(*words: str | Path) -> set[str]:
        site("catalog", "--output", output, *words)
        stacks = json.loads((output / "catalog.json").read_text())["stacks"]
        return {each["prefix"] for stack in stacks for each in stack["versions"]}

    config = site.user.home / ".config/tykky/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f"roots: {{mine: {place / 'own'}}}\n")
    alone = shown()
    assert len(alone) == 1
    both = shown("--also", "mine")
    assert alone < both and str(own) not in both  # the same module of the root that comes first
    assert len(both) == 4
    assert (
        "no root 'nosuch'" in site("catalog", "--output", output, "--also=nosuch", status=6).stderr
    )
    words = ("--root", place / "closed", "catalog", "--output", place / "more")
    assert site.json(*words)["stacks"] == 0
    assert site.json(*words, "--hidden")["stacks"] == 1
    mode = (output / "index.html").stat().st_mode & 0o777
    site("-c", "permissions.file_mode=0640", "catalog", "--output", place / "closely")
    assert (mode, (place / "closely/index.html").stat().st_mode & 0o777) == (0o644, 0o640)


def test_texts_and_versions_are_what_others_take_them_for(place: Path) -> None:
    assert clean("a\x00b\ud800\u202ec\ufffe\n\t") == "a\ufffdb\ufffd\ufffdc\ufffd\n\t"
    assert len(clean("x" * 9999)) == 4000
    for text in (
        "javascript:alert(1)",
        "//x.org",
        "https://a@b.org",
        "https://x.org/\"'",
        "data:,x",
    ):
        assert not link(text)
    assert link("https://x.org/a?b=c&d#e") == "https://x.org/a?b=c&d#e"
    versions = (
        "1.0",
        "2.4.0-1",
        "3rc1",
        "1.0-p2",
        "1.2.3a4",
        "1.10",
        "26.11-cuda12.4",
        "2.0+cu118",
    )
    (place / "mods/x").mkdir(parents=True)
    for version in versions:
        (place / f"mods/x/{version}.lua").touch()
    spider = ["/usr/share/lmod/lmod/libexec/spider", "-o", "jsonSoftwarePage", str(place / "mods")]
    (told,) = json.loads(subprocess.run(spider, capture_output=True, check=True, text=True).stdout)
    found = {each["versionName"]: each["canonicalVersionString"] for each in told["versions"]}
    assert found == {version: feeds.canonical(version) for version in versions}
    index = search.Index()
    rows: list[dict[str, Any]] = [{"name": f"p{n}", "version": "1"} for n in range(9000)]
    index.add("x", "", [{"version": "1", "keywords": [], "packages": rows, "commands": []}])
    files = dict(index.files())
    assert len(files) > 3 and all(len(text) < 2 * search.PART for text in files.values())

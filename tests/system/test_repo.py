"""Where recipes come from: directories, and repositories that the user's git fetches."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from tests.stacks import Site
from tykky.config.remotes import Remote
from tykky.errors import Exit, TykkyError
from tykky.tools import checkouts
from tykky.tools.git import Mirror

RECIPE = """\
from tykky import DiskStack


class {name}(DiskStack):
    '''Says what it is.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
    commands = "say"

    def build(self, box):
        box.run(["chmod", "755", box.write("bin/say", "#!/bin/sh\\necho {word}\\n")])
"""


class Repository:
    """One of git, with recipes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str, given: bytes = b"") -> str:
        line = ["git", "-C", str(self.path), "-c", "user.name=x", "-c", "user.email=x@y", *words]
        done = subprocess.run(line, check=True, capture_output=True, input=given)
        return done.stdout.decode().strip()

    def write(self, name: str, word: str) -> None:
        (self.path / name).mkdir(parents=True, exist_ok=True)
        text = RECIPE.format(name=Path(name).name.capitalize(), word=word)
        (self.path / name / "recipe.py").write_text(text)

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x")
        return self.git("rev-parse", "HEAD")

    def tree(self, entries: list[tuple[str, str, str]]) -> str:
        """A tree of entries (mode, name, id) that git itself would not make."""
        data = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(i) for mode, name, i in entries)
        words = ("hash-object", "-w", "-t", "tree", "--literally", "--stdin")
        return self.git(*words, given=data)

    def blob(self, text: str) -> str:
        return self.git("hash-object", "-w", "--stdin", given=text.encode())


def test_a_repository_of_git_is_added_installed_from_updated_and_removed(
    site: Site, place: Path
) -> None:
    theirs = Repository(place / "theirs")
    for name in ("aaa", "bbb"):
        theirs.write(f"hpc/{name}", "one")
    first = theirs.commit()
    site.hello()
    site.write("bbb", RECIPE.format(name="Bbb", word="mine"))
    own = site.with_env(TYKKY_REPOS="")
    own("repo", "add", str(site.repo))
    # Nothing that a repository says is run, nor anything of the user's own on what it has.
    (theirs.path / ".gitattributes").write_text("* filter=evil\n")
    own.user.run("git", "config", "--global", "filter.evil.smudge", f"touch {place}/was-run")
    hooks = place / "template/hooks"
    hooks.mkdir(parents=True)
    (hooks / "reference-transaction").write_text(f"#!/bin/sh\ntouch {place}/was-run\n")
    (hooks / "reference-transaction").chmod(0o755)
    own.user.run("git", "config", "--global", "init.templateDir", str(place / "template"))
    theirs.write("hpc/bbb", "two")
    second = theirs.commit()

    done = own("repo", "add", str(theirs.path), "--commit", "main", status=Exit.RECIPE)
    assert "--path hpc" in done.stderr
    where = [str(theirs.path), "--path", "hpc"]
    done = own("repo", "add", *where, "--commit", first[:9], "--last")
    assert "its bbb is shadowed by that of repo" in done.stderr
    mine, git, builtin = own.json("repo", "list")
    assert (mine["recipes"], builtin["name"]) == (["bbb", "hello"], "builtin")
    assert (git["recipes"], git["commit"], git["shadowed"]) == (
        ["aaa", "bbb"],
        first,
        {"bbb": "repo"},
    )
    own("install", "aaa")
    remote = {"commit": first, "state": "clean", "remote": str(theirs.path)}
    assert own.record("aaa")["repository"] == remote
    folder = Path(git["path"])
    assert not any(path.stat().st_mode & 0o222 for path in [folder, *folder.rglob("*")])
    # What somebody has changed there all the same is told.
    file = folder / "aaa/recipe.py"
    file.chmod(0o644)
    file.write_text(file.read_text().replace("echo one", "echo other"))
    kept = Remote(str(theirs.path), first, path="hpc")
    cache = Path(str(folder.parent).removesuffix("-recipes"))
    assert checkouts.state_of(kept, folder / "aaa", cache) == {**remote, "state": "dirty"}

    theirs.write("hpc/ccc", "three")
    (theirs.path / "hpc/aaa/recipe.py").unlink()
    third = theirs.commit()
    # It is added at a commit, without a branch, so that updates follow the default one.
    config = (own.user.home / ".config/tykky/config.yaml").read_bytes()
    tried = own.json("repo", "update", "--dry-run")
    assert (own.user.home / ".config/tykky/config.yaml").read_bytes() == config
    assert tried == own.json("repo", "update", "theirs")
    (update,) = tried
    assert (update["before"], update["after"]) == (first, third)
    changes = [update[name] for name in ("added", "removed", "changed")]
    assert changes == [["ccc"], ["aaa"], ["bbb"]]
    own("repo", "update", "theirs", "--commit", second)
    done = own("repo", "remove", str(theirs.path))
    assert "made from it, and not changed by that: aaa/1" in done.stderr
    assert "stays until you say: chmod -R u+w" in done.stderr
    assert [row["name"] for row in own.json("repo", "list")] == ["repo", "builtin"]
    assert own.user.run(str(own.prefix("aaa") / "bin/say")).stdout == "one\n"
    assert not (place / "was-run").exists()


@pytest.mark.parametrize(
    ("what", "status", "said"),
    [
        ("https://me:secret@example.org/x.git", Exit.CONFIG, "has a user or a password in it"),
        ("ext::sh -c 'touch x'", Exit.CONFIG, "is no address of git"),
        ("nowhere", Exit.NOT_FOUND, "there is no directory"),
        ("", Exit.USAGE, "no repository is named"),
        ("git+https://example.org/x", Exit.CONFIG, "is no address of git"),
    ],
)
def test_what_cannot_be_added_changes_nothing(
    site: Site, what: str, status: int, said: str
) -> None:
    done = site("repo", "add", what, status=status)
    assert said in done.stderr and "secret" not in done.stderr
    assert not (site.user.home / ".config/tykky").exists()


def test_nothing_is_written_outside_whatever_a_repository_has(tmp_path: Path) -> None:
    git, cache = Repository(tmp_path / "bad"), tmp_path / "cache"
    file, there = git.blob("x"), git.blob("../b/recipe.py")
    out, home = git.blob("../../../out"), git.blob(str(tmp_path))
    recipe, inner = ("100644", "recipe.py", file), git.tree([("100644", "out", file)])
    trees = {
        "leads out": [recipe, ("120000", "link", out)],
        "to '/": [recipe, ("120000", "link", home), ("40000", "link", inner)],
        "a file named 'a/../out'": [recipe, ("40000", "..", inner)],
        "a file named 'a/../../out'": [recipe, ("100644", "../../out", file)],
        "a file named 'a/.Git/out'": [recipe, ("40000", ".Git", inner)],
        "has no recipes": [("100644", "other.py", file)],
        "": [recipe, ("120000", "link", there), ("160000", "module", file)],
    }
    for said, entries in trees.items():
        top = [("40000", "a", git.tree(entries)), ("100644", ".gitmodules", file)]
        if not said:
            top.insert(1, ("40000", "b", git.tree([recipe])))
        commit = git.git("commit-tree", "-m", "x", git.tree(top))
        git.git("update-ref", f"refs/heads/b{commit[:8]}", commit)
        remote = Remote(str(git.path), commit)
        if said:
            with pytest.raises(TykkyError) as caught:
                checkouts.provide(remote, cache)
            assert said in caught.value.cause
        else:
            folder = checkouts.provide(remote, cache)
            assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == [
                *("a", "a/link", "a/recipe.py", "b", "b/recipe.py")
            ]
            assert (folder / "a/link").read_text() == "x"
    assert {path.name for path in tmp_path.rglob("out")} == set()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "cache-recipes"]
    kept = {path.name for path in (tmp_path / "cache-recipes").iterdir()}
    assert kept == {"git", folder.name}
    # What a killed git has left does not keep the next from its work; what others may write does.
    (lock,) = (path / "shallow.lock" for path in (tmp_path / "cache-recipes/git").iterdir())
    lock.touch()
    git.write("c", "more")
    Mirror(str(git.path), cache).fetch(git.commit())
    lock.parent.chmod(0o777)
    with pytest.raises(TykkyError, match="can be written by everybody"):
        Mirror(str(git.path), cache).fetch("0" * 40)
    for path in [folder, *folder.rglob("*")]:
        if stat.S_ISDIR(path.lstat().st_mode):
            path.chmod(0o755)


def test_a_recipe_is_edited_where_it_is_ones_own_and_else_as_a_copy(
    site: Site, place: Path
) -> None:
    theirs = Repository(place / "theirs")
    theirs.write("say", "one")
    theirs.commit()
    own = site.with_env(TYKKY_REPOS="", VISUAL="sed -i 's/echo one/echo two/'", EDITOR="false")
    own("repo", "add", str(theirs.path), "--commit", "main")
    done = own("edit", "say", "--copy", status=Exit.NOT_WRITABLE)
    assert "no repository is yours to write to" in done.stderr
    own("repo", "add", str(site.repo), "--last")
    assert "comes after" in own("edit", "say", "--copy", status=Exit.NOT_WRITABLE).stderr
    own("repo", "add", str(site.repo))
    assert "--copy copies it to" in own("edit", "say", status=Exit.NOT_WRITABLE).stderr
    # A copy that nothing was changed in would only keep the recipe from being updated.
    own.with_env(VISUAL="true")("edit", "say", "--copy")
    own.with_env(VISUAL="false")("edit", "say", "--copy", status=Exit.CONFIG)
    assert not [*site.repo.iterdir()]
    file = site.repo / "say/recipe.py"
    done = own.json("edit", "say", "--copy")
    assert (done["file"], done["copied"], done["changed"]) == (str(file), True, True)
    assert done["next"] == ["tykky lock say", "tykky install say"]
    assert "echo two" in file.read_text() and file.stat().st_mode & 0o200
    own("lock", "say")
    assert own("edit", "say", "--print").stdout == f"{file}\n"
    wrong = own.with_env(VISUAL="sed -i s/homepage/homepag/")
    done = wrong("edit", "say", status=Exit.RECIPE)
    assert "did you mean 'homepage'?" in done.stderr and "next: tykky edit say" in done.stderr
    right = own.with_env(VISUAL="", EDITOR="sed -i s/homepag/homepage/")
    assert right.json("edit", "say")["next"] == ["tykky install say"]
    none = own.with_env(VISUAL="no-such-editor")
    assert "is not there" in none("edit", "say", status=Exit.MISSING_TOOL).stderr

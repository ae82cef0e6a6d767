"""A stack in one file, which runs where there is no Tykky."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.stacks import Site, recipe
from tests.support import User
from tests.system.strangers import stranger
from tykky.errors import Exit

#: The store and the image server of the machine are out of sight, and so is the environment; and
#: whoever calls is nobody special.
ELSEWHERE = """
mount -t tmpfs none "$1"
for server in /usr/bin/squashfuse_ll /usr/local/bin/squashfuse_ll /usr/lib*/*/*/squashfuse_ll; do
    [ ! -e "$server" ] || mount --bind /dev/null "$server"
done
shift
exec env -i unshare --user --map-user=1234 --map-group=1234 "$@"
"""
CODE = "import os, sys, six; print(six.__file__, input(), os.environ['PATH']); sys.exit(7)"


def export(site: Site, name: str | Path, file: Path, *flags: str | Path) -> Path:
    site(*flags, "-c", "idle=1", "export", "--runnable", name, "-o", file)
    return file


def elsewhere(user: User, root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a file, as on another machine: there is no such root."""

    def run(
        *words: str | Path, status: int = 0, said: str = ""
    ) -> subprocess.CompletedProcess[str]:
        command = ("unshare", "-rm", "sh", "-ec", ELSEWHERE, "sh", root, *words)
        return user.run(*command, status=status, input=said, cwd="/")

    return run


def test_a_file_runs_for_another_user_without_the_store_and_the_server(
    installed: Site, place: Path
) -> None:
    (place / "new").mkdir()
    installed("relocate", "tiny", place / "new")  # which makes a layer
    files = {
        installed.prefix("tiny"): export(installed, "tiny", place / "tiny"),
        place / "new/store/tiny/1.0": export(
            installed, "tiny", place / "layered", "--root", place / "new"
        ),
    }
    assert b"\nlayer " in files[place / "new/store/tiny/1.0"].read_bytes()
    again = export(installed, "tiny", place / "again")
    assert again.read_bytes() == (place / "tiny").read_bytes()
    person = stranger(installed, place)
    for prefix, file in files.items():
        run = elsewhere(person, prefix.parents[2])
        file.chmod(0o555)
        done = run(file, "python", "-c", CODE, status=7, said="word\n")
        six, word, path = done.stdout.split()
        assert six.startswith(f"{prefix}/lib/python3")
        assert (word, path) == ("word", f"{prefix}/bin:/usr/bin:/bin")
        assert run(file).stdout.split() == list(installed.record("tiny")["commands"])
    # In any folder, by any name; many at once have one mount.
    (place / "folder").mkdir()
    other = shutil.copy(place / "tiny", place / "folder/other name")
    (place / "link").symlink_to(other)
    (place / "folder").chmod(0o555)
    words = [place / "link", "python", "-uc", "import six; print(six.text_type); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    many = [subprocess.Popen(words, **pipes, env={}, text=True) for _ in range(16)]
    assert {each.stdout.readline() for each in many if each.stdout} == {"<class 'str'>\n"}
    served = subprocess.run(["pgrep", "-fc", f"^tykky-relay {other}"], capture_output=True)
    assert {each.communicate("\n") for each in many} == {("", "")}
    assert served.stdout == b"1\n"
    (place / "folder").chmod(0o755)


def test_a_file_that_is_not_whole_or_may_not_mount_says_so(installed: Site, place: Path) -> None:
    file = export(installed, "hello@1.0", place / "hello")
    run, whole = installed.user.run, file.read_bytes()
    assert run(file, "hello", "you").stdout == "hello 1.0 you\n"
    assert "hello --list" in run(file, "--help").stdout
    assert "has no command no" in run(file, "no", status=127).stderr
    off = "cd /proc/sys/user; echo 0 >max_mnt_namespaces; echo 0 >max_user_namespaces"
    closed = ("unshare", "-r", "sh", "-ec", f'{off}; exec "$0" hello', file)
    said = run(*closed, status=125).stderr
    assert "max_user_namespaces=0" in said and "a runnable file needs" in said
    size, cut = len(whole), place / "cut"
    for data in (whole[:-1], whole[: size - 4096], whole[: size // 2], whole + b"\n"):
        cut.write_bytes(data)
        cut.chmod(0o755)
        for words in (("hello",), ("--list",)):
            assert "is not whole" in run(cut, *words, status=125).stderr


def test_what_is_entered_as_root_goes_along_and_what_cannot_is_refused(
    site: Site, scratch: Path, place: Path
) -> None:
    binds = f"binds = ('{place}/data:/data',)"
    (place / "data").mkdir()
    recipe(site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'\n{binds}")
    site("install", "wrapped")
    made = site("export", "--runnable", "wrapped", "-o", place / "file")
    assert f"not in the file: {place}/data, which" in made.stderr
    expected = site.user.run(site.prefix("wrapped") / "bin/hello").stdout
    (place / "data").rmdir()
    assert elsewhere(site.user, site.root)(place / "file", "hello").stdout == expected
    assert site.user.run(place / "file", "hello").stdout == expected
    site.root.rename(place / "away")  # with the directory that the shared mount lies on
    assert site.user.run(place / "file", "hello").stdout == expected
    (place / "away").rename(site.root)
    before = (place / "file").read_bytes()
    image = site.images("wrapped")[0]
    image.chmod(0o644)
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    refused = ("export", "--runnable", "wrapped", "-o", place / "file")
    assert "is not what was installed" in site(*refused, status=int(Exit.DAMAGED)).stderr
    assert (place / "file").read_bytes() == before
    site.hello(more="isolation = 'closed'")
    site("install", "hello")
    (place / "file").unlink()
    refused = ("export", "--runnable", "hello", "-o", place / "file")
    assert "through a directory" in site(*refused, status=int(Exit.CONFLICT)).stderr
    site.hello(more="runtime = 'apptainer'")
    site("install", "hello")
    assert "by Apptainer" in site(*refused, status=int(Exit.CONFLICT)).stderr
    assert not [each for each in place.iterdir() if "file" in each.name]

"""Images made of Debian packages by mmdebstrap, from a definition of a few lines.

A definition is a text file::

    # What the image is for.
    suite bookworm
    packages samtools bcftools
    packages bwa

It needs a Debian mirror and nothing else of a network: one of the configuration's ``mirrors`` that
has the suite, which may be a directory, or else deb.debian.org.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tykky import fetch
from tykky.bases.base import arch
from tykky.bases.reference import unreadable
from tykky.errors import Exit, RecipeError, StepError, ToolError, TykkyError, Where
from tykky.text import decoded, read_bytes
from tykky.tools.squash import options, program

if TYPE_CHECKING:
    from tykky.config import Config

#: Raised whenever the same definition would give another image than before.
FORMAT = 1
#: Where Debian is, and what of it belongs to a suite.
_ARCHIVES = (
    ("http://deb.debian.org/debian", "{suite}"),
    ("http://deb.debian.org/debian", "{suite}-updates"),
    ("http://security.debian.org/debian-security", "{suite}-security"),
)
#: What nobody looks for in an image; licences stay.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/doc/*")
_KEPT = ("/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias")


@dataclass(frozen=True)
class Definition:
    """A suite of Debian, and the packages in addition to its essential ones."""

    suite: str
    packages: tuple[str, ...]

    def digest(self) -> str:
        """What an image of this definition is known by.

        The same definition gives newer packages when Debian has them, so it is the definition
        that is known by it, and the pulled image by its own sha256.
        """
        text = repr((FORMAT, self.suite, sorted(self.packages), arch()))
        return hashlib.sha256(text.encode()).hexdigest()


def read(path: Path) -> Definition:
    """Read a definition. Raises ``RecipeError`` with the line that is wrong."""
    try:
        content = read_bytes(path)
    except OSError as error:
        raise unreadable(f"the definition {path}", error) from error
    lines = decoded(content, path, RecipeError).split("\n")
    suite, packages = "", []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] == "suite" and len(words) == 2 and not suite:
            suite = words[1]
        elif words[0] == "packages" and len(words) > 1:
            packages += words[1:]
        else:
            raise RecipeError(
                "a definition has one line 'suite NAME' and lines 'packages NAME ...'",
                remedy="correct this line",
                where=Where(path, number),
            )
        for word in words[1:]:
            if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", word):
                raise RecipeError(f"'{word}' is no name in Debian", where=Where(path, number))
    if not suite:
        raise RecipeError(
            "the definition names no suite",
            remedy="add a line, for example: suite bookworm",
            where=Where(path),
        )
    return Definition(suite, tuple(packages))


def build(path: Path, new: Path, scratch: Path, config: Config, say: fetch.Say) -> None:
    """Build the image of a definition as a squashfs at ``new``. Raises ``TykkyError``."""
    definition = read(path)
    tool = shutil.which("mmdebstrap")
    if not tool:
        raise ToolError(
            "mmdebstrap is not installed on this machine, and the image is made of Debian packages",
            remedy="install it (apt install mmdebstrap), or build the image on a Debian machine "
            "with 'tykky base pull' and name its file in 'bases'",
        )
    root = scratch / "root.tar"
    line = [tool, "--variant=minbase", "--format=tar"]
    if definition.packages:
        line.append(f"--include={','.join(definition.packages)}")
    line += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    line += [f"--dpkgopt=path-include={pattern}" for pattern in _KEPT]
    line += ["--skip=output/dev", "--aptopt=Acquire::Languages none"]
    if sources := _sources(definition.suite, config):
        # The site's address of Debian is of no use to programs in the image.
        line.append('--customize-hook=rm -f "$1/etc/apt/sources.list"')
    # Not as arguments, which everybody can read: the address of a mirror may have a password.
    line += [definition.suite, str(root), *(["-"] if sources else [])]
    say(f"Debian {definition.suite} with {len(definition.packages)} packages")
    # For an ordinary user it works as one of their subordinate users, who must get in there.
    place = config.build_dir.parent
    if not all(folder.stat().st_mode & 0o001 for folder in (place, *place.parents)):
        place = Path("/tmp")
    variables = {**os.environ, "TMPDIR": str(place), "SOURCE_DATE_EPOCH": "315532800"}
    done = subprocess.run(
        line,
        env=variables,
        input="".join(f"{source}\n" for source in sources),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise _failed(path, definition.suite, done.stderr)
    say("one image of it")
    pack(root, new, config)


def _failed(path: Path, suite: str, said: str) -> TykkyError:
    """What was wrong, from what apt told mmdebstrap."""
    if found := re.search(r"Unable to locate package (\S+)|Package '(\S+)' has no inst", said):
        return StepError(
            f"Debian {suite} has no package '{found[1] or found[2]}'",
            remedy=f"correct its name in {path}: 'apt-cache search WORD', or packages.debian.org",
            code=Exit.UNKNOWN_PACKAGE,
        )
    if found := re.search(r"^E: Failed to fetch (\S+) +(.*)", said, re.M):
        return StepError(
            f"{found[1]} cannot be downloaded: {found[2]}",
            remedy="check the network, or name a mirror that has what is at deb.debian.org: "
            "'tykky config why mirrors'",
            code=Exit.NETWORK,
        )
    # What mmdebstrap adds are the commands that failed, with all their options.
    command = re.compile(r"E: (.* )?(apt-get|mmdebstrap) ")
    told = [t for t in said.splitlines() if t.startswith("E: ") and not command.match(t)]
    return StepError(
        f"mmdebstrap could not make the image of {path}",
        remedy="is the Debian mirror whole, and does mmdebstrap work by hand? 'tykky doctor' "
        "checks this machine",
        code=Exit.BASE,
        details=tuple(told or said.splitlines())[-4:],
    )


def _sources(suite: str, config: Config) -> list[str]:
    """What apt is told of the first mirror that has a suite; nothing if none has it.

    Later archives (updates, security) are taken from that mirror if it has them.
    """
    for mirror in config.mirrors:
        found = []
        for archive, name in _ARCHIVES:
            there, part = fetch.on_mirror(mirror, archive), name.format(suite=suite)
            if fetch.is_there(f"{there}/dists/{part}/InRelease", patience=config.timeout):
                # Unlike file:, copy: needs nothing of the host inside of what is made.
                found.append(f"deb {re.sub('^file:', 'copy:', there)} {part} main")
            elif not found:
                break
        if found:
            return found
    return []


def pack(source: Path, new: Path, config: Config) -> None:
    """Squash the root directory of an image, or an archive of it. Raises ``StepError``."""
    if source.is_dir():
        run([program(), str(source), str(new), *options(config)], os.environ)
        return
    # From the archive, since an ordinary user could not unpack files of several owners.
    with source.open("rb") as stream:
        run([program(), "-", str(new), "-tar", *options(config)], os.environ, stdin=stream)


def run(
    line: list[str], variables: Mapping[str, str], remedy: str = "", stdin: BinaryIO | None = None
) -> None:
    """Run a program that makes an image. Raises ``StepError``."""
    done = subprocess.run(
        line,
        env=variables,
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return
    full = "No space left" in done.stderr or "quota exceeded" in done.stderr
    lines = [text for text in (done.stderr or done.stdout).splitlines() if text.strip()]
    raise StepError(
        f"{Path(line[0]).name} could not make the image" + (": no space left" if full else ""),
        remedy="free some space, or choose another disk: 'tykky config why build_dir' and "
        "'tykky config why bases_dir'"
        if full
        else remedy,
        code=Exit.NO_SPACE if full else Exit.BASE,
        details=tuple(lines[-6:]),
    )

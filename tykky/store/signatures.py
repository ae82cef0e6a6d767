"""Signatures of generations by ssh keys: who answers for what is installed.

``signature`` beside a record is a text of three lines and its signature by ``ssh-keygen``::

    tykky-install 1
    record <sha256 of record.json>
    signed 2026-11-27T15:20:00Z
    -----BEGIN SSH SIGNATURE-----

The record has the digests of the images and of all that lies beside it, and its own number; so a
signature of these lines is one of the whole generation. Whose signatures count is what the
configuration says: ``signing.allowed_signers``, as in ALLOWED SIGNERS of ssh-keygen(1).

What was pulled has a record of its own here. That which was signed is kept in ``pulled`` with its
signature, and is one of the contents: of what the images have and how they were built.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tykky import trust
from tykky.errors import ConfigError, Exit, StoreError, ToolError, explained
from tykky.files import parse_json, read_small
from tykky.host import now
from tykky.store import record as records

if TYPE_CHECKING:
    from tykky.config import Config

NAME = "signature"
#: The folder of the record and signature that something was pulled with.
PULLED = "pulled"
#: What such signatures are for; keeps them apart from those of commits and of mails.
NAMESPACE = "tykky-install"
_TEXT = re.compile(
    rf"({NAMESPACE} 1\nrecord ([0-9a-f]{{64}})\nsigned ([0-9]{{4}}[0-9T:-]{{15}}Z)\n)"
    r"(-----BEGIN SSH SIGNATURE-----\n[\w+/=\n]+\n-----END SSH SIGNATURE-----\n)"
)
#: More than any signature has, in bytes.
_MOST = 1 << 16

#: From the bytes of a record to its signature. Raises ``StoreError``, ``ToolError``.
Signer = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Verdict:
    """What a signature is worth.

    ``by`` is who has signed, as the list of allowed signers calls them, or the fingerprint of the
    key of a ``stranger``; ``when`` is when, as they say; ``why`` says in words what is wrong.
    """

    state: Literal["good", "unsigned", "bad", "stranger"]
    by: str = ""
    when: str = ""
    why: str = ""

    @property
    def is_good(self) -> bool:
        """Whether somebody has signed who may."""
        return self.state == "good"

    def __str__(self) -> str:
        return f"signed by {self.by}, {self.when}" if self.is_good else self.why


def signer(config: Config, key: Path | None = None) -> Signer | None:
    """What signs with a key, by default the configured one; ``None`` if there is none."""
    key = key or config.signing.key
    return partial(_sign, key) if key else None


def check_key(config: Config) -> None:
    """Find out early whether the configured key, if there is one, can sign. Raises as it does."""
    if sign := signer(config):
        sign(b"")


def _sign(key: Path, record: bytes) -> bytes:
    text = f"{NAMESPACE} 1\nrecord {hashlib.sha256(record).hexdigest()}\nsigned {now()}\n".encode()
    done = _run("sign", "-f", str(key), "-n", NAMESPACE, given=text)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN"):
        said = done.stderr.decode(errors="replace").replace("\r", "").strip().splitlines()
        told = [line.removeprefix("Enter passphrase: ") for line in said] or ["it does not say why"]
        there = key.exists()
        held = "a key with a passphrase must be held by an agent: 'ssh-add KEY' (nobody is asked "
        made = "'ssh-keygen -t ed25519' makes a key, if you have none; "
        where = "'tykky config why signing.key' says where the key is named"
        raise StoreError(
            f"{key} cannot be used to sign: {told[-1]}",
            remedy=f"{held}for one here); {where}" if there else made + where,
            code=Exit.COMMIT if there else Exit.CONFIG,
        )
    return text + done.stdout


def of_generation(folder: Path, config: Config) -> Verdict:
    """What the signature in the folder of a generation is worth. Raises ``TykkyError``."""
    record, signature = _both(folder)
    if signature is None and (folder / PULLED).is_dir():
        pulled, signature = _both(folder / PULLED)
        if _contents(record) == _contents(pulled):
            return check(pulled, signature, config)
        return Verdict("unsigned", why="is of what was pulled, and other contents were made of it")
    verdict = check(record, signature, config)
    if verdict.state in ("good", "stranger"):
        try:
            number = parse_json(record)["generation"]
        except (ValueError, KeyError, TypeError):
            number = None
        if str(number) != folder.name:
            return Verdict("bad", why=f"is the signature of #{number}, whose record lies here")
    return verdict


def _both(folder: Path) -> tuple[bytes, bytes | None]:
    """A record, and its signature if there is one."""
    with explained(f"read the signature in {folder}"):
        path = folder / NAME
        signature = read_small(path) if os.path.lexists(path) else None
        return read_small(folder / records.NAME), signature


def _contents(record: bytes) -> object:
    """What a record says of how the contents were built, and in which images they are."""
    try:
        facts = parse_json(record)
        own = [each["sha256"] for each in facts["images"] if "paths" not in each]
        return facts["build"], facts["lock"], own
    except (ValueError, KeyError, TypeError):
        return object()  # which is like nothing else


def check(record: bytes, signature: bytes | None, config: Config) -> Verdict:
    """What a signature of a record is worth by the configuration. Raises ``TykkyError``."""
    if signature is None:
        return Verdict("unsigned", why="is not there: nobody has signed it")
    found = (
        _TEXT.fullmatch(signature.decode("ascii", "replace")) if len(signature) < _MOST else None
    )
    if found is None:
        return Verdict("bad", why="is no signature that Tykky has made")
    text, digest, when, armour = found.groups()
    if digest != hashlib.sha256(record).hexdigest():
        return Verdict("bad", when=when, why="is the signature of another record: it was changed")
    allowed = _allowed(config)
    with tempfile.NamedTemporaryFile("w", suffix=".sig") as file:
        file.write(armour)
        file.flush()
        at = "-Overify-time=" + re.sub("[^0-9]", "", when)
        common, given = (at, "-s", file.name), text.encode()
        if allowed:
            listed = ("-f", str(allowed), *common)
            named = _run("find-principals", *listed).stdout.decode(errors="replace").splitlines()
            for name in named:
                if not _run("verify", *listed, "-I", name, "-n", NAMESPACE, given=given).returncode:
                    return Verdict("good", name, when)
        done = _run("check-novalidate", *common, "-n", NAMESPACE, given=given)
    if done.returncode:
        return Verdict("bad", when=when, why="is not a signature of what it says: it was changed")
    by = (re.findall(rb"SHA256:[\w+/=]+", done.stdout) or [b"an unknown key"])[0].decode()
    return Verdict("stranger", by, when, f"is by {by}, which is no key of an allowed signer")


def _allowed(config: Config) -> Path | None:
    """The list of those whose signatures count, which nobody else can change."""
    path, key = config.signing.allowed_signers, "signing.allowed_signers"
    if path is not None:
        if not path.is_file():
            remedy = f"'tykky config why {key}' says where it is named"
            raise ConfigError(f"the list of allowed signers {path} is not there", remedy=remedy)
        trust.check(path, "the list of allowed signers", ConfigError, config.owners(key))
    return path


def _run(what: str, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ``ssh-keygen -Y``, which asks nobody for anything."""
    program = shutil.which("ssh-keygen")
    if not program:
        raise ToolError(
            "ssh-keygen is not installed on this machine, and signatures are made by it",
            remedy="install OpenSSH's client programs, or unset signing.key and "
            "signing.allowed_signers",
        )
    # Without a terminal and a helper it cannot ask for a passphrase, and fails instead.
    kept = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "SSH_ASKPASS")}
    env = {**kept, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C", "TZ": "UTC"}
    done = subprocess.run(
        [program, "-Y", what, *words],
        input=given,
        capture_output=True,
        env=env,
        start_new_session=True,
        check=False,
    )
    if b"unknown option -- Y" in done.stderr:
        raise ToolError(
            f"{program} is too old to know signatures", remedy="it takes OpenSSH 8.8 or newer"
        )
    return done

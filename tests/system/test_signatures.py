"""Installs are signed with ssh keys, by the real ``ssh-keygen``, and who has signed is told."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stacks import Site
from tests.support import User
from tykky.errors import Exit

WHO = "anna@centre.example"


@pytest.fixture
def keys(place: Path) -> Path:
    """A folder with the keys ``anna``, ``bert`` and ``locked``; the first is an allowed signer."""
    folder = place / "keys"
    folder.mkdir()
    for name in ("anna", "bert", "locked"):
        word = "secret" if name == "locked" else ""
        line = ["ssh-keygen", "-q", "-t", "ed25519", "-N", word, "-C", name, "-f", folder / name]
        subprocess.run(line, check=True)
    own = f'{WHO} namespaces="tykky-install" {(folder / "anna.pub").read_text()}'
    (folder / "allowed").write_text(own)
    return folder


@pytest.fixture
def signing(site: Site, keys: Path) -> Site:
    """A site where all that is installed is signed, and must be."""
    site.hello()
    return site.with_env(
        TYKKY_SIGNING_KEY=str(keys / "anna"), TYKKY_SIGNING_ALLOWED_SIGNERS=str(keys / "allowed")
    )


def state(site: Site, *words: str, status: int | None = None) -> str:
    """What 'verify' says of the signature of the only install."""
    (answer,) = [a for a in site.json("verify", *words, status=status) if a["module"]]
    return str(answer["signature"]["state"])


def test_what_is_installed_is_signed_and_stays_so(signing: Site, keys: Path) -> None:
    signing("install", "hello")
    said = signing("verify", "--signatures").stdout
    assert f"hello/1.0: signed by {WHO}, 20" in said
    # The page says how to check it without Tykky.
    where = signing.generation("hello")
    checked = signing.user.bash(
        f"cd {where}; sed '/^-----BEGIN/,$d' signature >/$HOME/t\n"
        "sed -n '/^-----BEGIN/,$p' signature >$HOME/t.sig; sha256sum record.json | cut -c-64\n"
        f"ssh-keygen -Y verify -f {keys}/allowed -I {WHO} -n tykky-install -s $HOME/t.sig <$HOME/t"
    )
    assert f"record {checked.stdout.split()[0]}\n" in (where / "signature").read_text()
    signing("refresh", "hello", "--isolation", "mounts")
    assert state(signing, "--signatures", "hello#2", status=0) == "good"
    unsigned = signing.with_env(TYKKY_SIGNING_KEY="")
    said = unsigned("refresh", "hello", "--isolation", "open").stderr
    assert "hello/1.0#3 is not signed, as #2 was" in said
    assert "1 generation without the signature" in unsigned("verify").stderr
    strict = unsigned.with_env(TYKKY_SIGNING_POLICY="require")
    assert "nobody has signed it" in strict("verify", status=Exit.DAMAGED).stdout
    strict("sign", "hello#3", "--key", keys / "anna")
    strict("verify")
    (keys / "allowed").chmod(0o666)
    said = strict("verify", status=Exit.DAMAGED).stdout
    assert "the list of allowed signers cannot be trusted" in said


def test_a_key_that_cannot_sign_stops_the_install_and_all_is_as_it_was(
    signing: Site, keys: Path
) -> None:
    signing("install", "hello")
    before = signing.record("hello")
    cases = {
        keys / "locked": (Exit.COMMIT, "incorrect passphrase"),
        keys / "none": (Exit.CONFIG, "No such file"),
    }
    for key, (code, why) in cases.items():
        other = signing.with_env(TYKKY_SIGNING_KEY=str(key))
        failed = other("install", "--force", "hello", status=code, timeout=30)
        assert why in failed.stderr
        assert "ssh-add" in failed.stderr
    assert signing.record("hello") == before
    nowhere = signing.user.home / "nowhere"
    nowhere.mkdir()
    for name in ("tykky", "mksquashfs", "unsquashfs"):
        found = subprocess.run(
            ["which", name], env=signing.user.env, capture_output=True, text=True, check=True
        )
        (nowhere / name).symlink_to(found.stdout.strip())
    lost = replace(
        signing, user=User(signing.user.home, {**signing.user.env, "PATH": str(nowhere)})
    )
    failed = lost("install", "--force", "hello", status=Exit.MISSING_TOOL)
    assert "ssh-keygen is not installed" in failed.stderr
    # One that an agent holds signs by its public part.
    agent = "eval $(ssh-agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT\n"
    helper = keys / "secret.sh"
    helper.write_text("#!/bin/sh\necho secret\n")
    helper.chmod(0o755)
    signing.user.bash(
        f"{agent} SSH_ASKPASS={helper} SSH_ASKPASS_REQUIRE=force ssh-add -q {keys}/locked\n"
        f"mv {keys}/locked {keys}/away\ntykky sign hello --key {keys}/locked.pub",
    )
    assert "allowed signer" in signing("verify").stderr
    # Nor is anything set aside, to be made again, that could not be signed then.
    folder = signing.generation("hello")
    (folder / "record.json").unlink()
    unable = signing.with_env(TYKKY_SIGNING_KEY=str(keys / "none"))
    assert "cannot be used to sign" in unable("doctor", "--store", "--fix", status=None).stderr
    assert (folder / "launch.conf").exists()
    signing("doctor", "--store", "--fix")
    assert state(signing, status=0) == "good"


def test_each_signature_that_is_not_good_is_told_apart(signing: Site, keys: Path) -> None:
    signing("install", "hello")
    folder = signing.generation("hello")
    signature, record = folder / "signature", folder / "record.json"
    good, other = signature.read_bytes(), record.read_bytes()
    for name, change, wanted in (
        ("another record", lambda: record.write_bytes(other + b" "), "bad"),
        (
            "another time",
            lambda: signature.write_bytes(good.replace(b"signed 20", b"signed 21")),
            "bad",
        ),
        ("garbage", lambda: signature.write_bytes(b"x"), "bad"),
        ("empty", lambda: signature.write_bytes(b""), "bad"),
        ("cut", lambda: signature.write_bytes(good[:-60]), "bad"),
        ("gone", signature.unlink, "unsigned"),
        ("other key", lambda: sign(signature, good, keys / "bert", "tykky-install"), "stranger"),
        ("other purpose", lambda: sign(signature, good, keys / "anna", "git"), "bad"),
    ):
        change()
        assert state(signing, "--signatures", status=Exit.DAMAGED) == wanted, name
        signature.write_bytes(good)
        record.write_bytes(other)
    assert state(signing, "--signatures", status=0) == "good"


def test_a_change_that_was_noted_as_well_is_found_by_the_signature(signing: Site) -> None:
    signing("install", "hello")
    signing("install", "--force", "hello")
    hidden = signing.prefix("hello") / ".tykky"
    one, two = (hidden / f"generations/{number}" for number in (1, 2))
    # Who knows how: as if it had been written so.
    note = (
        "import sys; from pathlib import Path; from tykky.files import Permissions\n"
        "from tykky.store import Place, state\n"
        "here = Place(Path(sys.argv[1]))\n"
        "for n in here.numbers:\n"
        "    state.renote(here, here.generation(n) / 'record.json', Permissions())\n"
    )
    plain = signing.with_env(TYKKY_SIGNING_ALLOWED_SIGNERS="", TYKKY_SIGNING_KEY="")

    def wrong() -> list[str]:
        """What is wrong, once that was noted; without a look at signatures it is nothing."""
        signing.user.run(sys.executable, "-c", note, hidden.parent)
        plain("reindex")
        plain("verify")
        answers = signing.json("verify", status=Exit.DAMAGED)
        return [Path(f["file"]).name for answer in answers for f in answer["faults"]]

    # The record of one generation is not that of another.
    kept = {path.name: path.read_bytes() for path in two.iterdir() if path.is_file()}
    for name in kept:
        (two / name).write_bytes((one / name).read_bytes())
    assert wrong() == ["signature"]
    for name, data in kept.items():
        (two / name).write_bytes(data)
    for record in (one / "record.json", two / "record.json"):
        record.write_text(record.read_text().replace("hello.example", "evil.example"))
    assert wrong() == ["signature", "signature"]
    failed = signing("sign", "hello", status=Exit.DAMAGED)
    assert "nothing was signed" in failed.stderr


def sign(target: Path, text: bytes, key: Path, namespace: str) -> None:
    """Sign a text anew with another key, or for another purpose."""
    lines = text.partition(b"-----BEGIN")[0]
    line = ["ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", namespace]
    done = subprocess.run(line, input=lines, capture_output=True, check=True)
    target.write_bytes(lines + done.stdout)

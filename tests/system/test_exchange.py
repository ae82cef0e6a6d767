"""Stacks go into real registries, and out of them at other places, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults import Fault, Front, stand_before
from tests.images import PASSWORD, USER, Registry, has_registry, run_registry
from tests.stacks import TINY, Site, listing, recipe, settle
from tests.support import log_in, new_place, remove
from tests.system.strangers import OtherUser
from tests.system.test_kill_everywhere import stop_everywhere
from tests.system.wholeness import assert_nothing_is_half_done, assert_whole
from tests.tokens import give_tokens
from tykky.config import Config
from tykky.errors import Exit, StepError, StoreError
from tykky.exchange import inputs
from tykky.exchange.archive import Named, reading, write
from tykky.exchange.artifact import INPUTS, Artifact, Part
from tykky.exchange.placing import keep_image
from tykky.exchange.plain import unpacked
from tykky.exchange.registries import summary
from tykky.inventory import files
from tykky.store import Place, Store

pytestmark = pytest.mark.skipif(
    not has_registry(),
    reason="docker-registry or skopeo is not installed: tools/provision registry",
)

#: What makes the image of the stack larger than what is sent at once.
SIZE = 9 << 20
MORE = f"""
def finish(self, box):
    box.run("head -c {SIZE} /dev/urandom > " + str(box.inside("noise")))
"""


@dataclass(frozen=True)
class Pushed:
    """A site that has pushed ``hello``, the registry that has it, and what stands before that."""

    site: Site
    registry: Registry
    front: Front

    @property
    def path(self) -> str:
        """What is configured."""
        return f"{self.front.host}/site"

    def elsewhere(self, place: Path, **env: str) -> Site:
        """Somebody with nothing but the registry's name, as yet."""
        (place / "c").mkdir(exist_ok=True)
        mine = {"TYKKY_ROOT": str(place / "other/root"), "TYKKY_CACHE_DIR": str(place / "c")}
        mine |= {"TYKKY_BUILD_DIR": str(place / "b"), "TYKKY_REGISTRIES": self.path}
        return self.site.with_env(**{**mine, "TYKKY_REPOS": "", **env})


@pytest.fixture(scope="module")
def everybody() -> Iterator[Pushed]:
    place = new_place()
    site = settle(place, log_in(place))
    site.hello(more=MORE)
    folder = place / "registry"
    folder.mkdir()
    with run_registry(folder) as registry, stand_before(registry.host) as front:
        site = site.with_env(TYKKY_CACHE_DIR=str(place / "cache"))
        site("install", "hello")
        site("push", "hello", "--to", f"{front.host}/site")
        yield Pushed(site, registry, front)
    remove(place)


@pytest.fixture
def pushed(everybody: Pushed) -> Pushed:
    everybody.front.clear()
    return everybody


def nothing(site: Site) -> bool:
    """Whether nothing of an install is to be seen, or takes space."""
    left = [p for p in listing(site.root) if p.endswith((".sqfs", "record.json", ".lua", "hello"))]
    return not left or left == ["store/hello"]


def killed(front: Front, site: Site, pattern: str, at: int, *words: str) -> None:
    """Run a command that is killed when it asks for something the so-and-so-many-th time."""
    running: list[Any] = []
    stop = Fault(pattern, 503, does=lambda: os.kill(running[0].pid, signal.SIGKILL), after=at)
    front.faults = [stop]
    running.append(site.start(*words))
    assert running[0].wait() == -signal.SIGKILL


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """What a command says that has failed: cause and remedy, each in a line."""
    said = done.stderr
    assert "Traceback" not in said, said
    assert re.search(r"tykky: (error: )?.*\n  .+", said), said
    assert PASSWORD not in said
    return said


def test_pushed_here_and_pulled_at_another_path_by_another_user(
    pushed: Pushed, place: Path, other_user: OtherUser
) -> None:
    home, nowhere = other_user.home, "http://127.0.0.1:9"
    theirs = {"TYKKY_ROOT": f"{home}/root", "TYKKY_CACHE_DIR": f"{home}/c", "TYKKY_REPOS": ""}
    theirs |= {"TYKKY_BUILD_DIR": f"{home}/b", "TYKKY_REGISTRIES": pushed.path}
    theirs |= {"http_proxy": nowhere, "https_proxy": nowhere, "no_proxy": "127.0.0.1"}
    them = Site(replace(other_user, env={**other_user.env, **theirs}), place)
    got = them.json("pull", "hello")
    assert got[0]["images"][0]["sha256"] == pushed.site.record("hello")["images"][0]["sha256"]
    assert them.lmod("module load hello; hello you").stdout == "hello 1.0 you\n"
    them("verify", "hello")
    assert them.json("pull", "hello/1.0")[0]["did"] == "nothing"
    assert [row["version"] for row in them.json("registry", "list")] == ["1.0"]


def test_an_update_moves_only_the_layer_that_is_new(pushed: Pushed, place: Path) -> None:
    site = pushed.site
    there = pushed.elsewhere(place)
    site.write("tiny", TINY)
    site("install", "tiny")
    first = site.json("push", "tiny", "--to", pushed.path)[0]
    there("pull", "tiny")
    site.write("tiny", TINY.replace('"six==1.17.0"', '"six==1.17.0", "colorama==0.4.6"'))
    site("-c", "layers.above=0", "install", "tiny")
    lower, layer = site.record("tiny")["images"]
    pushed.front.clear()
    second = site.json("push", "tiny", "--to", pushed.path)[0]
    assert layer["bytes"] < second["sent"] < layer["bytes"] + 200_000 < first["sent"] / 4
    assert pushed.front.sent < second["sent"] + 20_000
    got = there.json("pull", "tiny")[0]
    assert (
        got["bytes_there"] == lower["bytes"]
        and layer["bytes"] < got["bytes_fetched"] < second["sent"]
    )
    assert pushed.front.given < layer["bytes"] + 400_000
    python = there.prefix("tiny") / "bin/python"
    said = there.user.run(python, "-c", "import colorama, six; print(colorama.__file__)").stdout
    assert said.startswith(str(there.root))
    there("verify")


def test_a_base_of_two_stacks_is_sent_once(pushed: Pushed, scratch: Path) -> None:
    for name in ("first", "second"):
        recipe(pushed.site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'", name)
    pushed.site("install", "first", "second")
    names = ("first", "second", "--to", pushed.path)
    sent = {row["module"]: row["sent"] for row in pushed.site.json("push", *names)}
    assert sent["second/1"] < sent["first/1"] / 3
    assert any("mount=sha256" in each for each in pushed.front.asked)


def test_nothing_that_is_pushed_names_a_home_or_a_password(pushed: Pushed, place: Path) -> None:
    """What is of the builder only stays; what would have to go is refused."""
    site = pushed.site
    home = str(site.user.home)
    blobs = [p for p in pushed.registry.folder.rglob("data") if p.is_file()]
    assert len(blobs) > 6
    for blob in blobs:
        data = blob.read_bytes()
        if data[:4] == b"hsqs":
            folder = place / blob.parent.name[:16]
            subprocess.run(["unsquashfs", "-q", "-n", "-d", folder, blob], check=True)
            data = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        assert b"build.log" not in data, blob
        for secret in (home.encode(), PASSWORD.encode(), str(site.repo).encode()):
            assert secret not in data, (blob, secret)
    for name, line, why in (
        ("homely", f"# as in {home}/notes", "names a home directory"),
        ("secret", "# https://kim:hunter2@mirror.example/x", "has a password or token"),
    ):
        site.hello(name)
        (site.repo / name / "notes.txt").write_text(line)
        site("install", name)
        pushed.front.clear()
        if name == "secret":  # which is not even kept with the install
            assert "hunter2" not in site("push", name, "--to", pushed.path).stderr
            continue
        said = error_of(site("push", name, "--to", pushed.path, status=Exit.RECIPE))
        assert why in said and not pushed.front.sent
    keys = {
        "id_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n",
        "notes.txt": f"GITHUB=ghp_{'hunter2' * 6}\n",
        "settings.yaml": "user: kim\npassword: hunter2\n",
    }
    for name, text in keys.items():
        (site.repo / "hello" / name).write_text(text)
    told = site("install", "--force", "hello").stderr
    assert all(f"{name} has a password, token or key in it" in told for name in keys)
    kept = [p.read_text() for p in (site.generation("hello") / "recipe").rglob("*") if p.is_file()]
    assert kept and not any("hunter2" in text for text in kept)
    for name in keys:
        (site.repo / "hello" / name).unlink()
    done = site("push", "hello", "--to", "kim:hunter2@127.0.0.1/x", status=Exit.CONFIG)
    assert "hunter2" not in done.stderr
    done = site("-c", "registries=kim:hunter2@x", "push", "hello", status=Exit.CONFIG)
    assert "hunter2" not in done.stderr
    within = site.with_env(TYKKY_ROOT=f"{home}/stacks")
    within("install", "hello")
    assert "others will see that path" in within("push", "hello", "--to", pushed.path).stderr


def test_install_takes_what_has_the_same_build_digest_and_builds_otherwise(
    pushed: Pushed, place: Path
) -> None:
    site = pushed.elsewhere(place, TYKKY_REPOS=str(place / "repo"))
    site = replace(site, repo=place / "repo")
    site.hello(more=MORE)
    pushed.site("push", "hello", "--to", pushed.path)
    done = site("install", "hello")
    assert "installed hello/1.0#1 as it was built elsewhere" in done.stderr
    assert "squash" not in done.stderr
    # What only users see is another matter: the same contents with what is said here.
    site.hello(more=f'family = "greeters"\n{MORE}')
    assert site.json("install", "hello")[0]["did"] in ("published", "built")
    pushed.front.clear()
    site.hello("other", "2.0")
    assert "squash" in site("install", "other").stderr
    assert len(pushed.front.asked) == 1, pushed.front.asked
    for fault in (Fault("GET", 503), Fault("GET.*/blobs/", lies=True)):
        pushed.front.clear()
        pushed.front.faults = [fault]
        site.hello(more=MORE)
        site("uninstall", "hello", status=None)
        done = site("install", "hello", env={"TYKKY_ROOT": str(place / f"r{fault.status}")})
        assert "so it is not taken from" in done.stderr and "squash" in done.stderr


QUOTA = b'{"errors": [{"code": "DENIED", "message": "adding 9 MiB exceeds the quota of 5 MiB"}]}'
FULL = b'{"errors": [{"code": "UNKNOWN", "message": "unknown error", "detail": {"Err": 28}}]}'
#: What a registry does to an upload, how that ends, and what is said of it.
REFUSALS = {
    "large": (Fault("PATCH", 413), Exit.NO_SPACE, "413"),
    "full": (Fault("PATCH", 507), Exit.NO_SPACE, "ask who runs it for space"),
    "disk": (Fault("PATCH", 500, FULL), Exit.NO_SPACE, "ask who runs it for space"),
    "quota": (Fault("PUT.*uploads", 403, QUOTA), Exit.NO_SPACE, "exceeds the quota"),
    "read-only": (Fault("POST", 405), Exit.NOT_WRITABLE, "it is read-only"),
    "login": (Fault("POST", 401), Exit.NOT_WRITABLE, "podman login"),
    "broken": (Fault("PATCH", 503), Exit.NETWORK, "what has come is kept"),
    "lies": (Fault("PUT.*uploads", 400), Exit.DAMAGED, "another sha256"),
    "denied": (Fault("PUT.*manifests", 403), Exit.NOT_WRITABLE, "podman login"),
    "gone": (Fault(".", cuts=0), Exit.NETWORK, "cannot be reached"),
}


def test_a_registry_that_refuses_is_told_in_words_and_the_next_push_goes_on(
    pushed: Pushed,
) -> None:
    site, target = pushed.site, f"{pushed.front.host}/refusing"
    for name, (fault, code, words) in REFUSALS.items():
        pushed.front.faults = [fault]
        said = error_of(site("push", "hello", "--to", target, status=code))
        assert words in said, (name, said)
        tags = pushed.registry.folder.rglob("repositories/refusing/hello/_manifests/tags/*")
        assert not [*tags], name
    # One piece has not come, then a token has ended: it goes on from there.
    token = {"WWW-Authenticate": 'Basic realm="tests"'}
    pushed.front.clear()
    pushed.front.faults = [Fault("PATCH", 502, times=1, after=1), Fault("PATCH", 401, times=1)]
    pushed.front.faults[1].headers = token
    target = f"{pushed.front.host}/again"
    logged = site.with_env(APPTAINER_DOCKER_USERNAME=USER, APPTAINER_DOCKER_PASSWORD=PASSWORD)
    sent = logged.json("push", "hello", "--to", target)[0]["sent"]
    assert SIZE < sent < SIZE + 200_000 and pushed.front.sent < SIZE + 200_000
    # Who was killed between two pieces goes on, too.
    target = f"{pushed.front.host}/killed"
    killed(pushed.front, site, "PATCH", 1, "push", "hello", "--to", target)
    pushed.front.clear()
    assert site.json("push", "hello", "--to", target)[0]["sent"] < SIZE - (3 << 20)


def test_a_pull_that_fails_leaves_nothing_and_the_next_one_goes_on(
    pushed: Pushed, place: Path
) -> None:
    """Broken off, lied to, or killed at any request; what has come is not asked for again."""
    site, front = pushed.elsewhere(place), pushed.front
    pushed.site("push", "hello", "--to", pushed.path)
    image = pushed.site.record("hello")["images"][0]
    blob = f"GET.*/blobs/sha256:{image['sha256']}"
    front.clear()
    site("pull", "hello/1.0")
    requests = len(front.asked)
    site("uninstall", "hello")
    cases = [
        (Fault("GET.*/blobs/", lies=True), Exit.DAMAGED, "not the file that was expected"),
        (Fault(blob, lies=True), Exit.DAMAGED, "not the file that was expected"),
        (Fault(blob, 404), Exit.NOT_FOUND, "push it again"),
        (Fault("GET.*/manifests/", body=b"<html>", status=200), Exit.NOT_FOUND, "is nothing that"),
        (Fault("GET.*/manifests/", 404), Exit.NOT_FOUND, "there is no hello"),
        (Fault("GET.*/manifests/", 401), Exit.NOT_FOUND, "podman login"),
        (Fault("GET", 500), Exit.NETWORK, "try again later"),
        (Fault(blob, cuts=0), Exit.NETWORK, "broke off"),
    ]
    for number, (fault, code, words) in enumerate(cases):
        other = site.with_env(TYKKY_ROOT=str(place / f"case{number}"))
        front.faults = [fault]
        said = error_of(other("pull", "hello/1.0", status=code))
        assert words in said, (fault, said)
        assert nothing(other)
    for at in range(requests - 1):  # the image is there from the failure before
        other = site.with_env(TYKKY_ROOT=str(place / f"kill{at}"))
        killed(front, other, ".", at, "pull", "hello/1.0")
        assert nothing(other)
    front.clear()
    front.faults = [Fault(blob, cuts=5 << 20, times=1)]
    other("pull", "hello/1.0")
    assert other.lmod("module load hello; hello").stdout == "hello 1.0\n"
    assert front.given < SIZE * 2


def test_signatures_decide_what_is_pulled_as_the_site_wants_it(pushed: Pushed, place: Path) -> None:
    for name in ("anna", "bert"):
        line = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name]
        subprocess.run(line, check=True)
    (place / "allowed").write_text(f"anna@x {(place / 'anna.pub').read_text()}")
    pushed.site.hello("signed")
    pushed.site("install", "signed")
    site = pushed.elsewhere(
        place,
        TYKKY_SIGNING_ALLOWED_SIGNERS=str(place / "allowed"),
        TYKKY_SIGNING_POLICY="require",
    )

    def push(key: str) -> None:
        named = pushed.site.with_env(TYKKY_SIGNING_KEY=str(place / key) if key else "")
        pushed.site("uninstall", "signed", status=None)
        named("install", "--force", "signed")
        named("push", "signed", "--to", pushed.path)

    for key, why in (("", "nobody has signed it"), ("bert", "is no key of an allowed signer")):
        push(key)
        assert why in error_of(site("pull", "signed/1.0", status=Exit.DAMAGED))
        assert nothing(site)
        lax = site.with_env(TYKKY_SIGNING_POLICY="warn", TYKKY_ROOT=str(place / f"lax{key}"))
        assert why in lax("pull", "signed/1.0").stderr
    push("anna")
    # Another record under the signature of this one; then the other parts, one by one.
    session = f"http://{pushed.registry.host}/v2/site/signed"
    tag = next(p.name for p in pushed.registry.folder.rglob("signed/_manifests/tags/1.0-*"))
    good = _curl(f"{session}/manifests/{tag}", "-H", f"Accept: {MANIFEST}")
    manifest = json.loads(good)
    record = json.loads(_curl(f"{session}/blobs/{manifest['config']['digest']}"))
    record["commands"] = ["hello", "evil"]
    evil = json.loads(good)
    evil["config"].update(_upload(session, json.dumps(record).encode()))
    bad = [evil]
    for number, layer in enumerate(manifest["layers"]):
        title = layer["annotations"]["org.opencontainers.image.title"]
        if title in ("files.gz", "packages.json", "recipe.tar", "sbom.cdx.json"):
            continue  # as lock.json
        other = json.loads(good)
        other["layers"][number].update(_upload(session, b"something else"))
        bad.append(other)
    # Nobody has to be deceived for these: no record of Tykky's says such a thing.
    lax = site.with_env(TYKKY_SIGNING_POLICY="ignore", TYKKY_ROOT=str(place / "evil"))
    for strange in (
        {"launch": {**record["launch"], "runtime": "evil"}},
        {"commands": ["../../../evil"]},
        {"notes": {"../../evil": "644 0 0"}},
        {"shown": {}},
        {"shown": {**record["shown"], "setenv": {"LD_PRELOAD": "/tmp/evil.so"}}},
        {"shown": {**record["shown"], "about": 1}},
        {"homepage": "\ud800"},
        {"description": "\33[2J"},
        {"shown": {**record["shown"], "about": "\33]0;x"}},
        {"launch": {**record["launch"], "gpu": "evil"}},
        {"launch": {**record["launch"], "of_image": [["evil", "A", "b"]]}},
        {"notes": {"evil": "evil"}},
        {"notes": {"evil\0": "644 0 0"}},
        {"base": {"digest": "../../evil", "image": hashlib.sha256(b"evil").hexdigest()}},
        {"needs": ["x"], "needed": {"x": "y"}},
    ):
        evil = json.loads(good)
        evil["config"].update(_upload(session, json.dumps({**record, **strange}).encode()))
        if "base" in strange:  # what it runs on is to be written where that says
            evil["layers"].append(_upload(session, b"evil") | {"mediaType": ROOT})
        _tag(session, tag, json.dumps(evil))
        error_of(lax("pull", "signed/1.0", status=Exit.DAMAGED))
        assert nothing(lax)
    for number, each in enumerate(bad):
        text = json.dumps(each)
        _tag(session, tag, text)
        said = error_of(site("pull", "signed/1.0", status=Exit.DAMAGED))
        assert re.search("changed|does not have|not speak|no signature|not made", said), (
            number,
            said,
        )
        assert nothing(site)
    _tag(session, tag, good.decode())
    site("pull", "signed/1.0")
    assert site.record("signed")["by"]["signed"].startswith("anna@x 20")
    # Whoever has pulled it need not answer for it; and it can be held against the key later.
    assert "signed by anna@x" in site("verify", "--signatures", "signed").stdout
    site("refresh", "--isolation", "mounts", "signed")
    site("verify")
    kept = site.generation("signed") / "pulled/signature"
    kept.chmod(0o644)
    kept.write_bytes(kept.read_bytes().replace(b"signed 20", b"signed 19"))
    assert "pulled/signature" in site("verify", status=Exit.DAMAGED).stdout
    # That somebody has signed is not to be believed because the record says so.
    named = {**record, "by": {**record["by"], "signed": "root@centre 2026"}, "commands": ["hello"]}
    evil = json.loads(good)
    evil["config"].update(_upload(session, json.dumps(named).encode()))
    evil["layers"] = [
        each
        for each in evil["layers"]
        if each["annotations"]["org.opencontainers.image.title"] != "signature"
    ]
    _tag(session, tag, json.dumps(evil))
    lax("pull", "signed/1.0")
    assert "signed" not in lax.record("signed")["by"]


MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ROOT = "application/vnd.tykky.root.v1"


def _curl(url: str, *words: str) -> bytes:
    return subprocess.run(["curl", "-sSfL", *words, url], check=True, stdout=subprocess.PIPE).stdout


def _tag(session: str, tag: str, manifest: str) -> None:
    """Let a tag mean another manifest."""
    kind = f"Content-Type: {MANIFEST}"
    _curl(f"{session}/manifests/{tag}", "-X", "PUT", "-H", kind, "-d", manifest)


def _upload(session: str, data: bytes) -> dict[str, Any]:
    """Put a part into a registry as anybody may who may push; its digest and size."""
    import requests

    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    where = requests.post(f"{session}/blobs/uploads/").headers["Location"]
    requests.put(where, params={"digest": digest}, data=data).raise_for_status()
    return {"digest": digest, "size": len(data)}


def test_an_image_is_of_use_to_plain_apptainer(pushed: Pushed, place: Path, debian: Path) -> None:
    """The command of share/doc/how-to/between-machines.md, and no Tykky."""
    pushed.site("push", "hello", "--to", pushed.path)
    session = f"http://{pushed.registry.host}/v2/site/hello"
    manifest = json.loads(
        _curl(f"{session}/manifests/1.0-{os.uname().machine}", "-H", f"Accept: {MANIFEST}")
    )
    (layer,) = [each for each in manifest["layers"] if each["mediaType"].endswith(".squashfs")]
    (place / "image.sqfs").write_bytes(_curl(f"{session}/blobs/{layer['digest']}"))
    prefix = manifest["annotations"]["org.tykky.prefix"]
    pushed.site.user.run(
        "mv", pushed.site.prefix("hello"), place / "away"
    )  # which is not seen by accident
    try:
        line = ["apptainer", "exec", "-B", f"{place}/image.sqfs:{prefix}:image-src=/", debian]
        said = pushed.site.user.run(*line, f"{prefix}/bin/hello", "plainly").stdout
        assert said == "hello 1.0 plainly\n"
    finally:
        (place / "away").rename(prefix)


def closed(site: Site, *words: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command where there is no network at all."""
    return site.user.run("unshare", "-rn", "tykky", *words, status=status)


def test_a_bundle_of_stacks_is_installed_where_there_is_no_network(
    site: Site, place: Path, scratch: Path
) -> None:
    """With what they need, the image that one wraps, and the signature that is asked for."""
    line = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / "anna"]
    subprocess.run(line, check=True)
    (place / "allowed").write_text(f"anna@x {(place / 'anna.pub').read_text()}")
    site.hello("low")
    site.hello("up", more='needs = "low"')
    recipe(site, f'image = "docker-archive:{scratch}"\ncommands = "/opt/tools/hello"')
    site("install", "low", "up", "wrapped")
    signing = {"TYKKY_SIGNING_KEY": str(place / "anna")}
    site("bundle", "up", "wrapped", "-o", place / "f.tar", env=signing)
    own = {"TYKKY_ROOT": str(place / "n"), "TYKKY_CACHE_DIR": str(place / "c"), "TYKKY_REPOS": ""}
    asked = {
        "TYKKY_SIGNING_ALLOWED_SIGNERS": str(place / "allowed"),
        "TYKKY_SIGNING_POLICY": "require",
    }
    there = site.with_env(**own, **asked)
    said = closed(there, "import", place / "f.tar", "--list").stdout
    assert re.findall(r"^(\w+) 1", said, re.MULTILINE) == ["low", "up", "wrapped"]
    whole = (place / "f.tar").read_bytes()
    for at in range(600, len(whole), len(whole) // 3):
        other = there.with_env(TYKKY_ROOT=str(place / f"at{at}"))
        for text in (whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :], whole[:at]):
            (place / "bad.tar").write_bytes(text)
            done = other("import", place / "bad.tar", status=None)
            if done.returncode == 0:  # what lies between the files of an archive
                break
            assert done.returncode == Exit.DAMAGED, done.stderr
            error_of(done)
    site("bundle", "up", "-o", place / "unsigned.tar")
    done = closed(there, "import", place / "unsigned.tar", status=Exit.DAMAGED)
    assert "nobody has signed it" in error_of(done)
    assert nothing(there)
    said = closed(there, "import", place / "f.tar").stdout
    assert said == "imported low/1.0#1\nimported up/1.0#1\nimported wrapped/1#1\n"
    assert there.record("up")["needs"] == [f"{there.prefix('low')}#1"]
    for name in ("up", "wrapped"):
        assert there.lmod(f"module load {name}; hello").stdout.startswith("hello")
    there("verify", "low", "up", env={"TYKKY_SIGNING_POLICY": "warn"})
    assert str(place / "n/bases") in there.record("wrapped")["launch"]["root"]


def test_a_bundle_goes_nowhere_but_where_it_is_said(pushed: Pushed, place: Path) -> None:
    """Whatever others have put there who may write to the folder as well."""
    folder, mine = place / "project", place / "mine"
    folder.mkdir()
    mine.write_text("mine")
    for name in ("a.tar", "a.tar.new", ".a.tar.new"):
        (folder / name).symlink_to(mine)
    os.link(mine, folder / ".b.tar.new")
    both = [pushed.site.start("bundle", "hello", "-o", folder / name) for name in ("a.tar",) * 2]
    assert [each.wait(120) for each in both] == [0, 0]
    pushed.site("bundle", "hello", "-o", folder / "b.tar")
    assert mine.read_text() == "mine"
    for name in ("a.tar", "b.tar"):
        assert (folder / name).is_file() and not (folder / name).is_symlink()
        pushed.elsewhere(place, TYKKY_ROOT=str(place / f"of-{name}"))("import", folder / name)
    (folder / "c.tar").mkdir()
    said = error_of(pushed.site("bundle", "hello", "-o", folder / "c.tar", status=None))
    assert "root" not in said


def test_a_bundle_of_inputs_builds_where_there_is_no_network(site: Site, place: Path) -> None:
    site.write("tiny", TINY)
    (site.repo / "tiny/table.txt").write_text("1 2\n")
    osv = place / "osv.zip"
    osv.write_bytes(b"PK\x05\x06" + bytes(18))
    site("bundle", "--inputs", "tiny", "-o", place / "in.tar", "-c", f"advisories.osv={osv}")
    own = {"TYKKY_ROOT": str(place / "n"), "TYKKY_CACHE_DIR": str(place / "c")}
    there = site.with_env(**own, TYKKY_REPOS=str(place / "n/recipes/repo"))
    said = closed(there, "import", place / "in.tar").stdout
    assert "imported 3 files and 0 images, for tiny@1.0" in said
    assert f"advisories: tykky config set advisories.osv {place}/n/advisories.zip" in said
    assert (place / "n/recipes/repo/tiny/table.txt").read_text() == "1 2\n"
    assert "not locked" not in closed(there, "install", "tiny").stderr
    assert "tabulate" in there.lmod("module load tiny; tabulate --help").stdout
    # The same without a file between: what is fetched is there when the network is not.
    cache = site.with_env(TYKKY_CACHE_DIR=str(place / "c2"), TYKKY_ROOT=str(place / "n2"))
    (place / "list.yaml").write_text("stacks: [tiny, {spec: never, arch: aarch64}]\n")
    cache("lock", "tiny")
    assert cache.json("fetch", "--list", place / "list.yaml")["specs"] == ["tiny@1.0"]
    assert json.loads(closed(cache, "fetch", "tiny", "--json").stdout)["status"] == "ok"


def test_a_registry_that_wants_tokens_gets_one_for_reading_and_one_for_writing(
    pushed: Pushed, place: Path
) -> None:
    (place / "tokens").mkdir()
    (place / "private").mkdir()
    login = {"APPTAINER_DOCKER_USERNAME": USER, "APPTAINER_DOCKER_PASSWORD": PASSWORD}
    with (
        give_tokens(place / "tokens") as tokens,
        run_registry(place / "private", private=True, auth=tokens.auth) as registry,
    ):
        target = f"{registry.host}/own"
        said = error_of(pushed.site("push", "hello", "--to", target, status=Exit.NOT_FOUND))
        assert f"podman login {registry.host}" in said
        pushed.site.with_env(**login)("push", "hello", "--to", target)
        user, asked = tokens.asked[-1]
        name, _, actions = asked.rpartition(":")
        # The registry names them in any order.
        assert (user, name, {*actions.split(",")}) == (
            USER,
            "repository:own/hello",
            {"pull", "push"},
        )
        there = pushed.elsewhere(place, TYKKY_REGISTRIES=target, **login)
        there("pull", "hello")
        kept = [p for top in (there.root, place / "c") for p in top.rglob("*") if p.is_file()]
        assert kept and not [p for p in kept if PASSWORD.encode() in p.read_bytes()]


def test_a_pull_stopped_before_any_operation_leaves_nothing_half_done(
    pushed: Pushed, place: Path
) -> None:
    def check(here: Site, status: int) -> None:
        assert_nothing_is_half_done(here)
        here("pull", "hello/1.0")
        assert_whole(here)
        assert here.lmod("module load hello; hello").stdout == "hello 1.0\n"

    site = pushed.elsewhere(place)
    site = site.with_env(TYKKY_ROOT=str(place / "root"))
    stop_everywhere(site, signal.SIGKILL, ["pull", "hello/1.0"], prepare=[], check=check, every=12)


def test_an_archive_of_a_few_bytes_does_not_fill_a_disk_or_the_memory(place: Path) -> None:
    part, config = Part("", 64 * "0", 1 << 40), Config.load({"cache_dir": str(place)})
    blob = place / f"blobs/sha256/{part.sha256}"
    blob.parent.mkdir(parents=True)
    blob.touch()
    os.truncate(blob, part.size)
    (place / "index.json").write_text('{"manifests": []}')
    for name in ("--format=gnu", "--format=posix"):
        line = ["tar", "-S", name, "-cf", "x.tar", "index.json", "blobs"]
        subprocess.run(line, cwd=place, check=True)
        opened = reading(place / "x.tar", config)
        with opened as archive, pytest.raises(StoreError, match="has no blobs"):
            archive.fetch("", part, print)
        with pytest.raises(StoreError, match="that Tykky has not made"):
            unpacked((place / "x.tar").read_bytes(), "x")
    for text in (b"[]", b"{", b'{"specs": 1}'):
        strange = Artifact(INPUTS, Part.of(text, INPUTS), ())
        write(place / "x.tar", [Named("x", ("x",), strange)], None, print)
        opened = reading(place / "x.tar", config)
        with opened as archive, pytest.raises(StoreError, match="what its inputs are for"):
            inputs.take(archive, strange, Store.of(config), config, print)
    index = '{"manifests": [{"digest": "", "annotations": {"%s": {"a:b": 1}}}]}'
    (place / "index.json").write_text(index % "org.opencontainers.image.ref.name")
    subprocess.run(["tar", "-cf", "x.tar", "index.json"], cwd=place, check=True)
    with pytest.raises(StoreError, match="nothing that"), reading(place / "x.tar", config):
        pass
    with pytest.raises(StepError, match="can be understood"):
        summary(b'{"layers": [{"size": 1e400}]}', "x")
    (place / "files.gz").write_bytes(gzip.compress(bytes(100))[:-20])
    with pytest.raises(StoreError, match="ends too early"):
        files.read(place)


def test_an_image_that_somebody_else_has_put_into_the_cache_is_not_theirs_any_more(
    place: Path, other_user: OtherUser
) -> None:
    kept, here = other_user.home / "kept", Place(place / "hello/1.0")
    other_user.run("sh", "-c", f"echo image > {kept}; chmod 666 {kept}")
    keep_image(kept, here, "x.sqfs", Store(place))
    image = here.images / "x.sqfs"
    assert image.read_text() == "image\n" and not image.samefile(kept)

"""Bases from registries, archives and files: pulled once, verified, and what goes wrong."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import Registry, docker_archive, has_registry, run_registry
from tests.servers import serve
from tests.stacks import Site
from tykky.errors import Exit


@pytest.fixture
def archive(place: Path, hello: bytes) -> Path:
    env = ["PATH=/opt/tools:/bin", "GREETING=hello"]
    return docker_archive(place / "image.tar", {"opt/tools/hello": hello}, env=env)


@pytest.fixture
def registry(place: Path) -> Iterator[Registry]:
    if not has_registry():
        pytest.skip("docker-registry or skopeo is not installed: tools/provision registry")
    folder = place / "registry"
    folder.mkdir()
    with run_registry(folder) as registry:
        yield registry


@pytest.fixture
def site(site: Site, place: Path) -> Site:
    """A site whose downloads are not those of other tests."""
    return site.with_env(TYKKY_CACHE_DIR=str(place / "cache"))


def pulled(site: Site) -> list[dict[str, str]]:
    answer = site.json("base", "list")
    assert isinstance(answer, list)
    return answer


def nothing_left(site: Site) -> bool:
    """No image, and no half of one, in the cache of bases or the place for builds."""
    left = [p for p in (site.root / "bases").glob("*") if p.suffix != ".lock"]
    left += list(Path(site.user.env["TYKKY_BUILD_DIR"]).glob("pull-*"))
    return left == []


def test_image_is_pulled_from_a_registry_once_and_known_by_its_digest(
    site: Site, registry: Registry, archive: Path
) -> None:
    digest = registry.push(archive, "tools/hello:1")
    name = f"docker://{registry.host}/tools/hello:1"
    site("base", "pull", name)
    (row,) = pulled(site)
    assert (row["reference"], row["digest"]) == (name, digest)
    # A tag means what it meant, without asking again; the same image has one copy.
    shutil.rmtree(registry.folder / "blobs")
    assert "pulled before" in site("base", "pull", name).stderr
    assert len(list((site.root / "bases").glob("*.sif"))) == 1
    site("base", "verify")


def test_image_pulled_by_digest_and_by_tag_is_one(
    site: Site, registry: Registry, archive: Path
) -> None:
    digest = registry.push(archive, "tools/hello:1")
    site("base", "pull", f"docker://{registry.host}/tools/hello@sha256:{digest}")
    site("base", "pull", f"docker://{registry.host}/tools/hello:1")
    assert len(pulled(site)) == 1


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_archive_is_pulled_and_known_by_the_digest_of_its_file(
    site: Site, place: Path, archive: Path, kind: str
) -> None:
    if kind == "oci-archive":
        target = f"oci-archive:{place}/oci.tar:latest"
        subprocess.run(
            ["skopeo", "copy", "--quiet", f"docker-archive:{archive}", target], check=True
        )
        archive = place / "oci.tar"
    site("base", "pull", f"{kind}:{archive}")
    (row,) = pulled(site)
    assert row["reference"] == f"{kind}:{archive}"
    archive.write_bytes(archive.read_bytes() + bytes(512))
    site("base", "pull", f"{kind}:{archive}")
    assert len(pulled(site)) == 2


def test_layout_is_known_by_the_digest_of_what_a_tag_names(
    site: Site, place: Path, archive: Path
) -> None:
    copy = ["skopeo", "copy", "--quiet", f"docker-archive:{archive}"]
    for tag in ("1", "latest"):
        subprocess.run([*copy, f"oci:{place}/layout:{tag}"], check=True)
    # Both names mean the same image.
    site("base", "pull", f"oci:{place}/layout:1")
    site("base", "pull", f"oci:{place}/layout")
    (row,) = pulled(site)
    index = json.loads((place / "layout/index.json").read_text())
    assert {f"sha256:{row['digest']}"} == {entry["digest"] for entry in index["manifests"]}


def test_image_can_be_pulled_without_apptainer(
    site: Site, place: Path, registry: Registry, archive: Path
) -> None:
    if not shutil.which("umoci"):
        pytest.skip("umoci is not installed: tools/provision registry")
    registry.push(archive, "tools/hello:1")
    tools = place / "tools"
    tools.mkdir()
    (tools / "tykky").symlink_to(place / "bin/tykky")
    for name in ("umoci", "skopeo", "mksquashfs", "unsquashfs", "sh", "cc"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    site = site.with_env(PATH=str(tools))
    site("base", "pull", f"docker://{registry.host}/tools/hello:1")
    site("base", "pull", f"docker-archive:{archive}")
    target = f"oci:{place}/layout:one"
    subprocess.run(["skopeo", "copy", "--quiet", f"docker-archive:{archive}", target], check=True)
    other = site.with_env(TYKKY_BASES_DIR=str(place / "layouts"))
    other("base", "pull", target)
    assert len(list((place / "layouts").glob("*.sqfs"))) == 1
    assert sorted(path.suffix for path in (site.root / "bases").glob("*.s*")) == [".sqfs", ".sqfs"]
    (tools / "umoci").unlink()
    other = site.with_env(TYKKY_BASES_DIR=str(place / "others"))
    done = other("base", "pull", f"docker-archive:{archive}", status=Exit.MISSING_TOOL)
    assert "neither apptainer nor umoci" in done.stderr


def test_damaged_image_is_found_by_verify_and_replaced_by_pulling_again(
    site: Site, archive: Path
) -> None:
    site("base", "pull", f"docker-archive:{archive}")
    (image,) = (site.root / "bases").glob("*.sif")
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    done = site("base", "verify", status=Exit.DAMAGED)
    assert "--again" in done.stderr
    site("base", "pull", "--again", f"docker-archive:{archive}")
    site("base", "verify")


def test_registry_that_is_not_there_or_has_no_such_image_is_one_error(
    site: Site, registry: Registry, archive: Path
) -> None:
    registry.push(archive, "tools/hello:1")
    for name, status, cause in (
        (f"docker://{registry.host}/tools/hello:2", Exit.BASE, "404"),
        (f"docker://{registry.host}/tools/bye", Exit.BASE, "404"),
        ("docker://127.0.0.1:9/x", Exit.NETWORK, "cannot be downloaded"),
        (f"docker://{registry.host}/UPPER", Exit.BASE, "no name of an image"),
        (f"oras://{registry.host}/tools/hello:1", Exit.BASE, "no image in SIF format"),
    ):
        done = site("base", "pull", name, status=status)
        assert cause in done.stderr
        assert "Traceback" not in done.stderr
        assert nothing_left(site)


def test_image_for_another_architecture_is_refused(
    site: Site, place: Path, registry: Registry, hello: bytes
) -> None:
    archive = docker_archive(place / "arm.tar", {"hello": hello}, arch="arm64")
    registry.push(archive, "arm:1")
    for name in (f"docker://{registry.host}/arm:1", f"docker-archive:{archive}"):
        done = site("base", "pull", name, status=Exit.BASE)
        assert "not for x86_64, but for aarch64" in done.stderr
        assert nothing_left(site)


def test_registry_that_serves_other_bytes_is_found_out(
    site: Site, registry: Registry, archive: Path
) -> None:
    digest = registry.push(archive, "tools/hello:1")
    manifest = json.loads(registry.blob(digest).read_bytes())
    layer = registry.blob(manifest["layers"][0]["digest"].removeprefix("sha256:"))
    data = layer.read_bytes()
    layer.write_bytes(data[:100] + b"evil" + data[104:])
    done = site("base", "pull", f"docker://{registry.host}/tools/hello:1", status=Exit.DAMAGED)
    assert manifest["layers"][0]["digest"].removeprefix("sha256:") in done.stderr
    assert nothing_left(site)
    layer.write_bytes(data)
    site("base", "pull", f"docker://{registry.host}/tools/hello:1")


def test_sif_from_a_registry_is_taken_as_it_is(site: Site, place: Path, archive: Path) -> None:
    site("base", "pull", f"docker-archive:{archive}")
    (image,) = (site.root / "bases").glob("*.sif")
    import hashlib

    data = image.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    layer = {
        "mediaType": "application/vnd.sylabs.sif.layer.v1.sif",
        "digest": f"sha256:{digest}",
        "size": len(data),
    }
    empty = hashlib.sha256(b"{}").hexdigest()
    config = {"mediaType": "x", "digest": f"sha256:{empty}", "size": 2}
    with serve() as web:
        manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
        web.files["/v2/h/manifests/1"] = json.dumps(manifest).encode()
        web.files[f"/v2/h/blobs/sha256:{digest}"] = data
        site("base", "pull", f"oras://{web.address.removeprefix('http://')}/h:1")
    assert sorted(p.stat().st_size for p in (site.root / "bases").glob("*.sif")) == [len(data)] * 2


def test_debian_image_is_made_of_the_mirror_that_has_the_suite(site: Site, place: Path) -> None:
    if not shutil.which("mmdebstrap"):
        pytest.skip("mmdebstrap is not installed")
    definition = place / "image.txt"
    definition.write_text("suite bookworm\npackages python3\n")
    release = place / "mirror/deb.debian.org/debian/dists/bookworm/InRelease"
    release.parent.mkdir(parents=True)
    release.write_text("not signed by anybody\n")
    mirrors = f"mirrors=file://{place}/empty file://{place}/mirror"
    done = site("-c", mirrors, "base", "pull", f"debian:{definition}", status=Exit.NETWORK)
    # No other is asked instead of it, and what is not Debian's is not believed.
    assert f"copy:{release}" in done.stderr
    assert "Clearsigned file isn't valid" in done.stderr
    assert nothing_left(site)


def test_image_that_is_replaced_keeps_all_its_names(
    site: Site, registry: Registry, archive: Path
) -> None:
    digest = registry.push(archive, "tools/hello:1")
    names = [f"docker://{registry.host}/tools/hello{end}" for end in (f"@sha256:{digest}", ":1")]
    for name in names:
        site("base", "pull", name)
    (image,) = (site.root / "bases").glob("*.sif")
    image.unlink()
    site("base", "pull", "--again", names[1])
    # The first name is known still, and asks nobody.
    shutil.rmtree(registry.folder / "blobs")
    assert "pulled before" in site("base", "pull", names[0]).stderr


def test_file_that_is_no_archive_is_one_line_of_cause(site: Site, place: Path) -> None:
    (place / "some.tar").write_text("nothing of the kind\n")
    done = site("base", "pull", f"docker-archive:{place}/some.tar", status=Exit.DAMAGED)
    assert len(done.stderr.splitlines()) == 3, done.stderr


@pytest.mark.parametrize("left", [20, 200, 5000, -4096])
def test_truncated_sif_is_refused(site: Site, place: Path, archive: Path, left: int) -> None:
    site("base", "pull", f"docker-archive:{archive}")
    (image,) = (site.root / "bases").glob("*.sif")
    cut = place / "cut.sif"
    cut.write_bytes(image.read_bytes()[:left])
    site.hello("onimage", more=f"base = {str(cut)!r}")
    done = site("install", "onimage", status=Exit.DAMAGED)
    assert f"the image {cut}" in done.stderr
    assert "compare its digest" in done.stderr
    assert site.found() == []


def test_sif_for_another_architecture_and_foreign_files_are_refused(
    site: Site, place: Path, archive: Path
) -> None:
    site("base", "pull", f"docker-archive:{archive}")
    (image,) = (site.root / "bases").glob("*.sif")
    data = bytearray(image.read_bytes())
    start = struct.unpack_from("<q", data, 96)[0]
    for at in range(start, start + 585 * 4, 585):
        if struct.unpack_from("<i", data, at)[0] == 0x4004:
            data[at + 201 + 8 : at + 201 + 10] = b"04"
    arm = place / "arm.sif"
    arm.write_bytes(data)
    site.hello("onimage", more=f"base = {str(arm)!r}")
    assert "not for x86_64, but for aarch64" in site("install", "onimage", status=Exit.BASE).stderr
    site.hello("onfile", more=f"base = {str(archive)!r}")
    done = site("install", "onfile", status=Exit.DAMAGED)
    assert "neither a SIF nor a squashfs" in done.stderr


def test_aliases_lead_to_references_and_auto_to_the_host(site: Site, archive: Path) -> None:
    config = site.user.home / ".config/tykky/config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"bases:\n  mine: docker-archive:{archive}\n  gone: /nowhere.sif\n")
    rows = {row["name"]: row["state"] for row in pulled(site)}
    assert rows == {"mine": "not pulled", "gone": "missing"}
    site("base", "pull", "mine")
    assert [row["state"] for row in pulled(site) if row["name"] == "mine"] == ["pulled"]
    done = site("base", "pull", "auto", status=Exit.BASE)
    assert "there is no alias 'debian-12'" in done.stderr
    site("-c", "bases=debian-12=mine {inherited}", "base", "pull", "auto")
    done = site("-c", "bases=a=b b=a", "base", "pull", "a", status=Exit.CONFIG)
    assert "go in a circle: a -> b -> a" in done.stderr
    assert "did you mean 'mine'?" in site("base", "pull", "mime", status=Exit.BASE).stderr

"""``tykky doctor`` on this machine, and on the same machine with parts taken away.

What is taken away is taken away for one process only: in a user namespace of its own.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tests.stacks import Site
from tykky.errors import Exit

# Become root of a namespace to change something, then the same user again.
AS_ROOT = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-ec"]
BACK = f'exec unshare --user --map-user={os.getuid()} --map-group={os.getgid()} "$@"'


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {probe["name"]: probe["verdict"] for probe in report["probes"]}


def probe(report: dict[str, Any], name: str) -> dict[str, str]:
    (found,) = (probe for probe in report["probes"] if probe["name"] == name)
    return dict(found)


def examine(site: Site, *before: str, status: int, **env: str) -> dict[str, Any]:
    """The report of a doctor that is started by other programs."""
    import json

    done = site.user.run(*before, "tykky", "doctor", "--json", status=status, env=env)
    report = json.loads(done.stdout)["result"]
    assert isinstance(report, dict)
    return report


def test_machine_of_the_tests_is_healthy(site: Site) -> None:
    done = site("doctor")
    assert "run stacks      yes" in done.stdout
    assert "install stacks  yes" in done.stdout
    report = site.json("doctor")
    assert verdicts(report)["a stack on trial"] == "ok"
    assert verdicts(report)["mounts of images"] == "ok"
    assert verdicts(report)["layers on trial"] == verdicts(report)["layers in build_dir"] == "ok"
    assert verdicts(report)["Lmod"] == "ok"
    assert report["run"] is True


def test_doctor_makes_no_root_and_leaves_nothing(site: Site, place: Path) -> None:
    before = sorted(place.rglob("*"))
    site("doctor")
    after = [path for path in sorted(place.rglob("*")) if ".cache" not in path.parts]
    assert after == [path for path in before if ".cache" not in path.parts]


def test_absent_fuse_device_is_named_with_what_to_ask_for(site: Site) -> None:
    # A file of somebody who is unknown in the namespace: it cannot be opened.
    script = f"mount --bind /etc/shadow /dev/fuse; {BACK}"
    report = examine(site, *AS_ROOT, script, "bash", status=Exit.NODE)
    found = probe(report, "/dev/fuse")
    assert found["verdict"] == "no"
    assert "0666" in found["remedy"]
    assert "/dev/fuse" in probe(report, "a stack on trial")["found"]
    assert report["run"] is report["install"] is False


def test_forbidden_user_namespaces_are_named_with_their_sysctl(site: Site) -> None:
    forbid = "echo 0 >/proc/sys/user/max_user_namespaces"
    own_user = ["unshare", "--user", f"--map-user={os.getuid()}", "--keep-caps"]
    before = [*own_user, "bash", "-ec", f'{forbid}; exec "$@"', "bash"]
    report = examine(site, *before, status=Exit.NODE)
    found = probe(report, "user namespaces")
    assert found["verdict"] == "no"
    assert "user.max_user_namespaces=0" in found["found"]
    assert "ask the administrator" in found["remedy"]
    assert verdicts(report)["mounts of images"] == "no"


def test_a_build_dir_that_can_have_no_layers_is_named(site: Site, place: Path) -> None:
    for name in ("lower", "upper", "work", "build"):
        (place / name).mkdir(mode=0o700)
    options = "lowerdir=lower,upperdir=upper,workdir=work,userxattr"  # no ground for another one
    script = f"cd {place}; mount -t overlay none -o {options} build; {BACK}"
    report = examine(site, *AS_ROOT, script, "bash", status=0, TYKKY_BUILD_DIR=f"{place}/build")
    found = probe(report, "layers in build_dir")
    assert (found["verdict"], "whole stack (mount: " in found["found"]) == ("limited", True)
    assert "local disk" in found["remedy"]
    assert report["install"] is True


def without(place: Path, *missing: str) -> str:
    """A PATH that has the commands of this machine except some."""
    folder = place / "commands"
    folder.mkdir()
    for source in ("/usr/bin", "/usr/sbin"):
        for path in Path(source).iterdir():
            if path.name not in missing and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return f"{place / 'bin'}:{folder}"


def test_missing_mksquashfs_forbids_installing_and_not_running(site: Site, place: Path) -> None:
    report = examine(site, status=0, PATH=without(place, "mksquashfs"))
    assert verdicts(report)["mksquashfs"] == "no"
    assert "squashfs-tools" in probe(report, "mksquashfs")["remedy"]
    assert probe(report, "a stack on trial")["verdict"] == "limited"
    assert report["run"] is True
    assert report["install"] is False


def test_root_without_execution_forbids_running(site: Site) -> None:
    site.root.mkdir()
    script = f"mount -t tmpfs -o noexec none {site.root}; {BACK}"
    report = examine(site, *AS_ROOT, script, "bash", status=Exit.NODE)
    assert "noexec" in probe(report, "programs in root")["found"]


def test_root_that_cannot_be_written_forbids_installing_only(site: Site) -> None:
    report = site.json("--root", "/proc/nowhere", "doctor")
    assert verdicts(report)["root"] == "no"
    assert report["install"] is False
    assert report["run"] is True


def test_root_below_a_closed_directory_is_no_surprise(site: Site, place: Path) -> None:
    (place / "closed").mkdir(mode=0o000)
    report = site.json("--root", str(place / "closed/deep/root"), "doctor")
    assert "cannot be made" in probe(report, "root")["found"]


def test_little_space_is_a_warning(site: Site) -> None:
    site.root.mkdir()
    script = f"mount -t tmpfs -o size=20m none {site.root}; {BACK}"
    report = examine(site, *AS_ROOT, script, "bash", status=0)
    assert verdicts(report)["space for stacks"] == "limited"


def test_wrong_server_is_named_with_the_place_that_sets_it(site: Site) -> None:
    report = site.json("-c", "server=/nowhere/squashfuse_ll", "doctor", status=Exit.NODE)
    found = probe(report, "squashfuse_ll")
    assert found["verdict"] == "no"
    assert "-c server" in found["remedy"]


def test_group_that_nobody_knows_is_named(site: Site) -> None:
    report = site.json("-c", "permissions.group=no-such-group", "doctor")
    assert probe(report, "group")["verdict"] == "no"


def test_repository_that_does_not_exist_is_named(site: Site) -> None:
    report = site.json("-c", "repos=/nowhere/recipes", "doctor")
    assert "/nowhere/recipes" in probe(report, "recipes")["found"]


def test_compressor_that_mksquashfs_lacks_is_noticed(site: Site, place: Path) -> None:
    # The real program with one compressor less: that of an old distribution.
    old = place / "old"
    old.mkdir()
    real = shutil.which("mksquashfs")
    (old / "mksquashfs").write_text(f'#!/bin/sh\n{real} "$@" 2>&1 | grep -v zstd\n')
    (old / "mksquashfs").chmod(0o755)
    path = f"{old}:{site.user.env['PATH']}"
    report = examine(site, status=0, PATH=path)
    assert "not with zstd" in probe(report, "mksquashfs")["found"]
    assert "squash.compression" in probe(report, "mksquashfs")["remedy"]

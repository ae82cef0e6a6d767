"""Installations as earlier versions of the classic commands left them.

Written from what those are known to leave on disk: wrappers that are bash scripts, a directory of
links, an image, ``common.sh`` whose end is what ``--environ`` gave, and ``share/conf.yaml`` as each
version wrote it. The wrappers enter the image with Apptainer, as theirs did.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

#: What of conf.yaml was different from version to version.
VERSIONS = {
    "0.3": {"isolate": False, "composable": True, "conda_version": "4.12.0"},
    "0.4": {"isolate": False, "composable": True, "use_uv": "no", "pipcache": "yes"},
    "0.5": {"isolate": "no", "use_uv": "no", "pipcache": True, "share_container": False},
}

_WRAPPER = """\
#!/bin/bash
DIR="$(cd -P "$(dirname "$(readlink -f "${{BASH_SOURCE[0]}}")")" && pwd)"
source "$DIR/../common.sh"
exec apptainer --silent exec --no-mount=home \\
    -B "$DIR/../$SQFS_IMAGE:$INSTALLATION_PATH:image-src=/" \\
    -B /usr,/bin,/lib,/lib64,/etc,/home,/tmp "$DIR/../$CONTAINER_IMAGE" {target} "$@"
"""


def make(prefix: Path, tree: Path, version: str, mode: str, inside: str, environment: str) -> None:
    """Lay out an installation whose image has the contents of ``tree``.

    ``environment`` is where in it the environment is.
    """
    for name in ("bin", "_bin", "share/previous_input/0"):
        (prefix / name).mkdir(parents=True)
    subprocess.run(
        ["mksquashfs", tree, prefix / "img.sqfs", "-noappend", "-quiet", "-no-progress"],
        check=True,
        capture_output=True,
    )
    (prefix / "container.sif").write_bytes(b"not needed here\n")
    programs = tree / environment / "bin"
    for program in programs.iterdir():
        target = f"{inside}/{environment}/bin/{program.name}"
        (prefix / "_bin" / program.name).symlink_to(target)
        wrapper = prefix / "bin" / program.name
        wrapper.write_text(_WRAPPER.format(target=target))
        wrapper.chmod(0o755)
    (prefix / "common.sh").write_text(
        "#!/bin/bash\nSQFS_IMAGE=img.sqfs\nCONTAINER_IMAGE=container.sif\n"
        f"INSTALLATION_PATH={inside}\nexport SINGULARITY_BIND=/tmp\n"
        f"export env_root={inside}/{environment}/\nexport install_root={inside}\n"
        "export FROM_BEFORE=kept\n"
    )
    conf = {
        "add_ld": "yes",
        "build_tmpdir": "/tmp/cw-ABCDEF",
        "build_tmpdir_base": "/tmp",
        "conda_arch": "Linux-x86_64",
        "container_image": "container.sif",
        "container_src": "docker://opensuse/leap:15.4",
        "env_file": "env.yml",
        "env_name": "env1",
        "excluded_mount_points": "/appl",
        "installation_file_paths": ["env.yml"],
        "installation_path": inside,
        "installation_prefix": "/somewhere/else",
        "mode": mode,
        "mount_points": ["/projappl"],
        "requirements_file": "gone.txt",
        "post_install": [{"file": "/gone/post.sh"}],
        "sqfs_image": "img.sqfs",
        "template_script": f"{mode}.sh",
        "update_installation": "no",
        "workdir": "/gone",
        **VERSIONS[version],
    }
    (prefix / "share/conf.yaml").write_text(yaml.safe_dump(conf))
    (prefix / "share/VERSION.yml").write_text(f"tag: v{version}.0\ncommit: abc\nbuild-time: old\n")
    (prefix / "share/previous_input/0/env.yml").write_text("channels: [local]\n")

"""Whatever of an install is changed by hand, 'verify' names the file, and what brings it back.

The stack ``hello`` has two generations of one image, ``up`` needs ``low``, and ``p`` is a classic
install. Each tampering is done on a copy of them, found, and undone by what is said to undo it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stacks import settle
from tests.support import log_in, new_place, remove
from tests.system.test_damage import LOW
from tykky.errors import Exit

#: What is done, and the files that must be named for it. Variables are set in ``Tampered``.
TAMPERINGS = {
    "launcher: replaced": ("cp /bin/true $H/x; mv -f $H/x $H/launch", "$H/launch"),
    "launcher: emptied": (": > $H/launch", "$H/launch"),
    "launcher: a byte changed": ("flip $H/launch 9000", "$H/launch"),
    "launcher: of another version": (
        "cp $H/launch $H/x; echo >> $H/x; mv -f $H/x $H/launch; ln -f $H/launch $S/bin/hello",
        "$H/launch",
    ),
    "launcher: gone": ("rm $H/launch", "$H/launch"),
    "launcher: a link": ("mv $H/launch /tmp/l$$; ln -s /tmp/l$$ $H/launch", "$H/launch"),
    "launcher: mode 777": ("chmod 777 $H/launch", "$H/launch"),
    "launcher: may not be run": ("chmod 644 $H/launch", "$H/launch"),
    "command: emptied": ("other; : > $S/bin/hello", "$S/bin/hello"),
    "command: cut": ("other; truncate -s 4000 $S/bin/hello", "$S/bin/hello"),
    "command: a byte changed": ("other; flip $S/bin/hello 9000", "$S/bin/hello"),
    "command: a folder": ("rm $S/bin/hello; mkdir $S/bin/hello", "$S/bin/hello"),
    "command: a link elsewhere": ("ln -sf /bin/true $S/bin/hello", "$S/bin/hello"),
    "command: a link to the launcher": ("ln -sf ../.tykky/launch $S/bin/hello", "$S/bin/hello"),
    "command: gone": ("rm $S/bin/hello", "$S/bin/hello"),
    "command: one more": ("cp /bin/true $S/bin/more", "$S/bin/more"),
    "command: group may write": ("other; chmod g+w $S/bin/hello", "$S/bin/hello"),
    "bin: gone": ("rm -r $S/bin", "$S/bin"),
    "bin: a link elsewhere": ("mv $S/bin $R/../b; ln -s $R/../b $S/bin", "$S/bin"),
    "bin: mode 777": ("chmod 777 $S/bin", "$S/bin"),
    "launch.conf: empty": (": > $G/launch.conf", "$G/launch.conf"),
    "launch.conf: garbage": ("head -c 99 /dev/urandom > $G/launch.conf", "$G/launch.conf"),
    "launch.conf: may not be read": ("chmod 0 $G/launch.conf", "$G/launch.conf"),
    "launch.conf: closed to others": ("chmod 600 $G/launch.conf", "$G/launch.conf"),
    "launch.conf: a line more": ("echo set LD_PRELOAD /x.so >> $G/launch.conf", "$G/launch.conf"),
    "launch.conf: gone": ("rm $G/launch.conf", "$G/launch.conf"),
    "launch.conf: a link": (
        "mv $G/launch.conf $R/../c; ln -s $R/../c $G/launch.conf",
        "$G/launch.conf",
    ),
    "record: changed": ("sed -i s/hello.example/evil.example/ $G/record.json", "$G/record.json"),
    "record: a byte more": ("echo >> $G/record.json", "$G/record.json"),
    "record: garbage": ("echo '{' > $G/record.json", "$G/record.json"),
    "record: gone": ("rm $G/record.json", "$G/record.json"),
    "record: with its image": (
        "flip $I 200; n=$(sha256sum $I | cut -c-64); sed -i s/$(sha $G)/$n/ $G/record.json",
        "$G/record.json",
    ),
    "record: mode 666": ("chmod 666 $G/record.json", "$G/record.json"),
    "image: first byte": ("flip $I 0", "$I"),
    "image: middle": ("flip $I 300", "$I"),
    "image: last byte": ("flip $I $(($(stat -c %s $I) - 1))", "$I"),
    "image: cut": ("truncate -s -100 $I", "$I"),
    "image: longer": ("echo >> $I", "$I"),
    "image: replaced": ("head -c $(stat -c %s $I) /dev/zero > $R/x; mv -f $R/x $I", "$I"),
    "image: gone": ("rm $I", "$I"),
    "image: a link": ("mv $I $R/../i; ln -s $R/../i $I", "$I"),
    "image: mode 666": ("chmod 666 $I", "$I"),
    "image: closed to others": ("chmod 600 $I", "$I"),
    "images: a stranger": ("echo > $H/images/x.sqfs", "$H/images/x.sqfs"),
    "images: mode 777": ("chmod 777 $H/images", "$H/images"),
    "lock: changed": ("echo >> $G/lock.json", "$G/lock.json"),
    "bill: changed": ("sed -i s/hello/hallo/ $G/sbom.cdx.json", "$G/sbom.cdx.json"),
    "bill: gone": ("rm $G/sbom.cdx.json", "$G/sbom.cdx.json"),
    "lock: gone": ("rm $G/lock.json", "$G/lock.json"),
    "recipe: changed": ("echo >> $G/recipe/recipe.py", "$G/recipe/recipe.py"),
    "recipe: gone": ("rm -r $G/recipe", "$G/recipe"),
    "recipe: one more": ("echo > $G/recipe/more.py", "$G/recipe/more.py"),
    "log: cut": ("truncate -s -1 $G/build.log.gz", "$G/build.log.gz"),
    "log: gone": ("rm $G/build.log.gz", "$G/build.log.gz"),
    "generation: a file more": ("echo > $G/more", "$G/more"),
    "generation: mode 777": ("chmod 777 $G", "$G"),
    "older generation: lock changed": ("echo >> $O/lock.json", "$O/lock.json"),
    "older generation: record changed": ("echo >> $O/record.json", "$O/record.json"),
    "older generation: record garbage": ("echo > $O/record.json", "$O/record.json"),
    "older generation: launch.conf": ("echo idle 5 >> $O/launch.conf", "$O/launch.conf"),
    "recipe: what lies beside it": ("echo >> $G/recipe/beside/0/more", "$G/recipe/beside/0/more"),
    "signature: changed": ("sed -i s/^signed.20/signed\\ 21/ $G/signature", "$G/signature"),
    "signature: gone": ("rm $G/signature", "$G/signature"),
    "signature: of another generation": ("cp $O/signature $G/signature", "$G/signature"),
    "journal: a line changed": ("sed -i '2s/install/update/' $J", "$J"),
    "journal: a line less": ("sed -i 2d $J", "$J"),
    "journal: a line more": ("sed -i 2p $J", "$J"),
    "journal: a digest less": ("sed -i '2s/, .digest.*/}/' $J", "$J"),
    "journal: the last line": ('sed -i \'$s/"why": ""/"why": "x"/\' $J', "$J"),
    "history: changed": ('sed -i \'s/"why": ""/"why": "x"/\' $H/state.json', "$H/state.json"),
    "history: garbage": ("echo '[' > $H/state.json", "$H/state.json"),
    "history: gone": ("rm $H/state.json", "$H/state.json"),
    "current: another generation": ("ln -sfn generations/1 $H/current", "$H/current"),
    "current: dangling": ("ln -sfn generations/9 $H/current", "$H/current"),
    "current: elsewhere": (
        "cp -r $H $R/../h; ln -sfn $R/../h/generations/2 $H/current",
        "$H/current",
    ),
    "current: gone": ("rm $H/current", "$H/current"),
    "place: a draft that was left": (
        "mkdir $H/generations/new-0a1b2c3d",
        "$H/generations/new-0a1b2c3d",
    ),
    "place: a file that was left": ("echo > $H/.launch.new", "$H/.launch.new"),
    "place: a strange generation": ("mkdir $H/generations/007", "$H/generations/007"),
    "place: a stranger": ("echo > $H/more", "$H/more"),
    "place: another stranger": ("echo > $S/more", "$S/more"),
    "place: mode 777": ("chmod 777 $S", "$S"),
    "module: a line more": ('echo \'setenv("A", "b")\' >> $M', "$M"),
    "module: only its first line": ("sed -i 1q $M", "$M"),
    "module: gone": ("rm $M", "$M"),
    "module: a folder": ("rm $M; mkdir $M", "$M"),
    "module: a link elsewhere": ("mv $M $R/../m; ln -s $R/../m $M", "$M"),
    "module: mode 666": ("chmod 666 $M", "$M"),
    "module: of no install": ("sed s,hello/1.0,hello/9, $M > $M9", "$M9"),
    "default: another": ("sed -i s/1.0/6.6/ $V", "$V"),
    "default: gone": ("rm $V", "$V"),
    "entry: gone": ("rm $D", "$D"),
    "entry: garbage": ("echo > $D", "$D"),
    "entry: changed": ('sed -i \'s/"generation": 2/"generation": 1/\' $D', "$D"),
    "entry: elsewhere": ('sed -i \'s,"prefix": .*,"prefix": "/opt"\\,,\' $D', "$D"),
    "entry: of nothing": ("sed s/hello/bye/g $D > $R/db/hello/2.json", "$R/db/hello/2.json"),
    "entry: mode 666": ("chmod 666 $D", "$D"),
    "database: gone": ("rm -r $R/db", "$D"),
    "need: changed": ('sed -i \'/"build"/s/: .*/: "0",/\' $N/record.json', "$N"),
    "need: broken": ("flip $N/../../images/*.sqfs 300", "$N/../../images/*.sqfs"),
    "root: mode 777": ("chmod 777 $R", "$R"),
    "store: mode 777": ("chmod 777 $R/store", "$R/store"),
    "above the root: mode 777": ("chmod 777 $R/..", "$R/.."),
    "classic: command gone": ("rm $P/bin/hello", "$P/bin/hello"),
    "classic: command changed": ("rm $P/bin/hello; cp /bin/true $P/bin/hello", "$P/bin/hello"),
    "classic: link of the image": ("ln -sfn /dev/null $P/img.sqfs", "$P/img.sqfs"),
    "classic: _bin": ("rm $P/_bin; mkdir $P/_bin", "$P/_bin"),
    "classic: common.sh": ("echo >> $C/layout/common.sh", "$C/layout/common.sh"),
    "classic: another common.sh": ("rm $P/common.sh; echo > $P/common.sh", "$P/common.sh"),
    "classic: conf.yaml": ("echo >> $C/layout/share/conf.yaml", "$C/layout/share/conf.yaml"),
    "classic: share": ("rm $P/share", "$P/share"),
    "classic: link of a program": ("ln -sfn /bin/true $C/bin/hello", "$C/bin/hello"),
    "classic: launch.conf": ("echo idle 5 >> $C/launch.conf", "$C/launch.conf"),
    "classic: image": ("flip $P/.tykky/images/*.sqfs 300", "$P/.tykky/images/*.sqfs"),
}
HELPERS = """
flip() { python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2]))
b = f.read(1)[0]; f.seek(int(sys.argv[2])); f.write(bytes([b ^ 1]))' "$@"; }
other() { cp $S/bin/hello $S/x; mv -f $S/x $S/bin/hello; }
sha() { python3 -c 'import json, sys
print(json.load(open(sys.argv[1] + "/record.json"))["images"][0]["sha256"])' $1; }
"""


class Tampered:
    """The installs, of which a copy is put back for each case."""

    def __init__(self, place: Path) -> None:
        self.place, self.site = place, settle(place, log_in(place))
        key = place / "key"
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", key], check=True)
        (place / "allowed").write_text(f"me {key.with_suffix('.pub').read_text()}")
        self.site = site = self.site.with_env(
            TYKKY_SIGNING_KEY=str(key),
            TYKKY_SIGNING_ALLOWED_SIGNERS=str(place / "allowed"),
            TYKKY_SIGNING_POLICY="require",
        )
        (place / "bin/wrap-install").symlink_to(Path(sys.executable).parent / "wrap-install")
        site.hello()
        (site.repo / "hello/more").write_text("more")
        site.write("low", LOW.format(name="Low", text="echo low", more=""))
        site.write("up", LOW.format(name="Up", text="low", more='needs = "low"'))
        site("install", "hello", "low", "up")
        site("install", "--force", "hello")
        site.user.bash(
            "mkdir -p t/bin; printf '#!/bin/sh\\necho hi\\n' > t/bin/hello; chmod +x t/bin/hello\n"
            "wrap-install -w bin --prefix p t"
        )
        prefix, hidden = site.root / "store/hello/1.0", site.root / "store/hello/1.0/.tykky"
        self.names = {
            "R": site.root,
            "S": prefix,
            "H": hidden,
            "G": hidden / "generations/2",
            "O": hidden / "generations/1",
            "I": next((hidden / "images").iterdir()),
            "M": site.modules / "hello/1.0.lua",
            "M9": site.modules / "hello/9.lua",
            "V": site.modules / "hello/.modulerc.lua",
            "D": site.root / "db/hello/1.0.json",
            "J": site.root / "journal.jsonl",
            "N": site.root / "store/low/1.0/.tykky/generations/1",
            "P": site.user.home / "p",
            "C": site.user.home / "p/.tykky/generations/1",
        }
        self.kept = {site.root: place / "kept-t", site.user.home: place / "kept-home"}
        for path, copy in self.kept.items():
            subprocess.run(["cp", "-a", path, copy], check=True)

    def restore(self) -> None:
        """All as it was."""
        for path, copy in self.kept.items():
            path.chmod(0o700)
            remove(path)
            subprocess.run(["cp", "-a", copy, path], check=True)
        self.place.chmod(0o755)
        for name in ("b", "c", "h", "i", "m"):
            subprocess.run(["rm", "-rf", self.place / name], check=True)

    def bash(self, script: str) -> str:
        """What a script prints that knows the names."""
        env = {name: str(path) for name, path in self.names.items()}
        return self.site.user.bash(HELPERS + script, env=env).stdout

    def faults(self, *words: str, status: int | None = None) -> list[dict[str, Any]]:
        """All that is wrong."""
        answers = self.site.json("verify", *words, status=status)
        return [fault for answer in answers for fault in answer["faults"]]


@pytest.fixture(scope="module")
def installs() -> Iterator[Tampered]:
    place = new_place()
    yield Tampered(place)
    remove(place)


@pytest.fixture
def tampered(installs: Tampered) -> Tampered:
    installs.restore()
    return installs


@pytest.mark.parametrize("case", TAMPERINGS)
def test_what_was_tampered_with_is_named_and_brought_back(tampered: Tampered, case: str) -> None:
    script, name = TAMPERINGS[case]
    wanted = tampered.bash(f"{script}; realpath -s {name}").strip()
    found = tampered.faults(status=int(Exit.DAMAGED))
    assert wanted in [str(Path(fault["file"]).absolute()) for fault in found], found
    assert all(fault["wrong"] and fault["remedy"] for fault in found)
    said = " ".join(fault["remedy"] for fault in found)
    remedies = dict.fromkeys(re.findall(r"'((?:tykky|chmod|rm|mv) [^']*)'", said))
    if remedies or case not in ONLY_ANEW:
        # A generation that is needed can be removed only after what needs it.
        tampered.bash("".join(f"{it} || later='{it}'\n" for it in remedies) + "$later")
        assert tampered.faults() == []
        assert tampered.bash("$S/bin/hello; $P/bin/hello") == "hello 1.0\nhi\n"


#: Of a classic install, whose input is the user's: "make it anew".
ONLY_ANEW = [case for case in TAMPERINGS if case.startswith("classic")]


def test_there_are_enough_of_them() -> None:
    assert len(TAMPERINGS) >= 60


def test_nothing_is_wrong_with_what_nobody_touched(tampered: Tampered) -> None:
    assert tampered.faults(status=0) == []
    assert tampered.faults("hello", "up", status=0) == []
    for path in (tampered.site.root, tampered.site.user.home / "p"):
        subprocess.run(["chmod", "-R", "a-w", path], check=True)
    assert tampered.faults(status=0) == []


def test_each_file_of_a_generation_is_named_if_it_was_changed(tampered: Tampered) -> None:
    folder = tampered.names["G"]
    every = [str(path) for path in folder.rglob("*") if path.is_file()]
    for name in every:
        if Path(name) != folder / "record.json":  # without which there is nothing to compare with
            with Path(name).open("ab") as stream:
                stream.write(b"\n")
    found = {fault["file"] for fault in tampered.faults("hello#2", status=int(Exit.DAMAGED))}
    assert {*every} - found == {str(folder / "record.json")}


def test_what_belongs_to_somebody_else_is_named(tampered: Tampered) -> None:
    if not shutil.which("newuidmap"):
        pytest.skip("nobody lends uids here: install uidmap")
    for name in ("G/record.json", "G/lock.json", "H/launch", "M", "D", "I"):
        tampered.restore()
        become = "unshare --user --map-auto --map-root-user chown 61000"
        tampered.bash(f"{become} ${name}")
        path = tampered.bash(f"echo ${name}").strip()
        found = tampered.faults(status=int(Exit.DAMAGED))
        assert path in [fault["file"] for fault in found]
        assert all(fault["wrong"].startswith("belongs to") for fault in found), found
        assert all("chown" in fault["remedy"] for fault in found)
        tampered.bash(f"unshare --user --map-auto --map-root-user chown 0 {path}")


def test_an_image_is_read_once_though_generations_share_it(tampered: Tampered) -> None:
    trace = tampered.place / "trace"
    tampered.site.user.run(
        *("strace", "-f", "-e", "trace=openat", "-o", trace, "tykky", "verify", "hello")
    )
    opened = [line for line in trace.read_text().splitlines() if ".sqfs" in line]
    assert len([line for line in opened if "O_RDONLY" in line]) <= 3, opened

"""What builds of the classic commands see of the keys of their user: nothing, unless told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.classic import Classic
from tests.support import DOWNLOADS
from tykky.errors import Exit
from tykky.resources import resource

#: What a script or a package may try: to read keys, and to talk to who holds them.
LOOK = """\
cat ~/.ssh/id_rsa ~/.gnupg/key 2>&1 || true
echo "${SSH_AUTH_SOCK:-no agent} ${GPG_AGENT_INFO:-no agent}"
for socket in $AGENT $GPG; do python3 -c "
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
    print('answered')
except OSError:
    print('silent')
" $socket; done
"""


@pytest.fixture
def keeper(classic: Classic) -> Iterator[Classic]:
    """Somebody with keys, an agent of ssh that listens, and one of GnuPG in the same folder."""
    classic.sh("mkdir -m 700 .ssh .gnupg t; echo SECRET | tee .ssh/id_rsa .gnupg/key; mkdir t/bin")
    classic.write("t/bin/tool", "#!/bin/sh\necho tool\n").chmod(0o755)
    classic.write("look.sh", LOOK)
    socket, pid = classic.says("eval $(ssh-agent) >&2; echo $SSH_AUTH_SOCK $SSH_AGENT_PID").split()
    other = str(classic.home / "S.gpg")
    more = classic.says(f"ssh-agent -a {other} | grep -o 'PID=[0-9]*' | head -1").partition("=")[2]
    env = {"SSH_AUTH_SOCK": socket, "AGENT": socket, "GPG": other, "GPG_AGENT_INFO": f"{other}:1:1"}
    yield classic.with_env(SSH_AGENT_PID=pid, **env)
    classic.sh(f"kill {pid} {more}")


NOTHING = ["no agent no agent", "silent", "silent"]


@pytest.mark.parametrize("how", ["--pre-install", "--post-install"])
def test_builds_see_no_keys_and_no_agents(keeper: Classic, how: str) -> None:
    said = keeper.sh(f"wrap-install -w bin --prefix p {how} look.sh t").stdout.splitlines()
    assert "SECRET" not in said
    assert said[-3:] == NOTHING
    keeper.sh("cat .ssh/id_rsa; ssh-add -l || [ $? = 1 ]")  # nothing has become of them


def test_isolated_builds_see_none_either(keeper: Classic) -> None:
    here = keeper.with_env(TYKKY_BASES_DIR=str(DOWNLOADS / "bases"))
    here.write(
        "isolated.yaml",
        "isolate: yes\nrequirements_file: req.txt\ninstallation_prefix: p\n"
        f"container_src: debian:{resource('builds') / 'debian-12.txt'}\n"
        "post_install: [{file: look.sh}]\n",
    )
    here.write("req.txt", "six\n")
    said = here.sh("pip-containerize advanced isolated.yaml").stdout.splitlines()
    assert "SECRET" not in said
    assert said[-3:] == NOTHING


def test_packages_of_conda_see_none(keeper: Classic) -> None:
    keeper.write("env.yml", "channels: [local]\ndependencies: [scripted]\n")
    keeper.write("spy.sh", "ls -A ~/.ssh | sed 's/^/seen: /'\n")
    said = keeper.sh("conda-containerize new --prefix c --post spy.sh env.yml").stdout
    assert "seen:" not in said


def test_builds_see_what_they_are_told_to(keeper: Classic) -> None:
    wrap = "wrap-install -w bin --prefix p --post look.sh t"
    shown = ["SECRET", "SECRET", "{AGENT} {GPG_AGENT_INFO}", "answered", "answered"]
    expected = [line.format(**keeper.user.env) for line in shown]
    assert keeper.sh(f"TYKKY_CLASSIC_HIDES=[] {wrap}").stdout.splitlines()[-5:] == expected
    keeper.sh("tykky config set classic_hides []")
    assert keeper.sh(wrap).stdout.splitlines()[-5:] == expected
    keeper.sh("mkdir mine; echo SECRET > mine/key; tykky config set classic_hides ~/mine ~/no")
    keeper.write("look.sh", "cat mine/key 2>/dev/null || echo hidden; cat ~/.ssh/id_rsa\n")
    assert keeper.sh(wrap).stdout.splitlines()[-2:] == ["hidden", "SECRET"]


@pytest.mark.parametrize(
    "said",
    [
        "git@host: Permission denied (publickey).",
        "Host key verification failed.",
        "gpg: No secret key",
    ],
)
def test_who_misses_a_key_is_told_why(keeper: Classic, said: str) -> None:
    keeper.write("post.sh", f"echo '{said}'; false\n")
    done = keeper.sh("wrap-install -w bin --prefix p --post post.sh t", status=int(Exit.BUILD))
    assert "tykky config set classic_hides []" in done.stderr
    line = "TYKKY_CLASSIC_HIDES=[] wrap-install -w bin --prefix p --post post.sh t"
    assert "classic_hides" not in keeper.sh(line, status=int(Exit.BUILD)).stderr


def test_a_variable_for_an_agent_may_be_empty_or_odd(keeper: Classic) -> None:
    keeper.write("post.sh", "ls t/bin\n")
    for value in ("", ".", "t/bin", "/nowhere/agent"):
        here = keeper.with_env(SSH_AUTH_SOCK=value, GPG_AGENT_INFO=value)
        assert here.says("wrap-install -w bin --prefix p --post post.sh t") == "tool"


def test_a_folder_of_keys_may_be_a_link_and_need_not_be_there(keeper: Classic) -> None:
    keeper.sh("mv .ssh elsewhere; ln -s elsewhere .ssh; rm -r .gnupg")
    keeper.write("post.sh", "cat elsewhere/id_rsa .ssh/id_rsa 2>/dev/null || echo hidden\n")
    said = keeper.says("wrap-install -w bin --prefix p --post post.sh t")
    assert said.splitlines() == ["hidden"]
    assert Path(keeper.home / "elsewhere/id_rsa").read_text() == "SECRET\n"

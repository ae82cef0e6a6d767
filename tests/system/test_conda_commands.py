"""``conda``, ``mamba`` and ``pip`` in the script that finishes a stack."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pytest

from tests.channel import channel
from tests.stacks import Site
from tests.support import log_in, new_place, remove
from tests.system.conda_site import make, recipe

# Each command's output comes below its own heading, with its status at the end.
_TRY = """\
packages = "python=3.11", "six=1.16", "activated"

def finish(self, box):
    def say(title, command):
        box.run(f"echo '== {title}'; ( {command} ) 2>&1 || echo status $?")

    say("active", "echo $CONDA_PREFIX $DATA_LEVEL")
    say("install", "conda install -y -n base -c local tabulate 'left=1.*'")
    say("list", "conda list")
    say("pattern", "conda list --json ^six")
    say("explicit", "conda list --explicit")
    say("freeze", "mamba install --yes --freeze-installed packaging")
    say("update", "mamba update -y six")
    say("remove", "conda remove -y packaging")
    say("dependents", "conda remove -y -q shared; conda list --export")
    say("script", "conda install -yq scripted; cat $CONDA_PREFIX/share/scripted")
    say("run", "conda run -n trial python -c 'print(6 * 7)'")
    say("file", "printf 'dependencies: [prefixed, {pip: [colorama==0.4.6]}]' > /tmp/more.yml; "
        "conda env update -q -f /tmp/more.yml; show-prefix")
    say("pip", "pip list")
    say("clean", "conda clean --all --yes; conda clean -afy")
    say("start", "bash -ec 'source $(conda info --base)/etc/profile.d/conda.sh; conda init bash; "
        'eval "$(conda shell.bash hook)"; conda activate base; source activate trial; '
        "source $(conda info --base)/bin/activate; conda deactivate; which python'")
    say("export", "conda env export --no-builds -f /tmp/as-it-is.yml; cat /tmp/as-it-is.yml")
    say("history", "conda env export --from-history")
    say("channels", "conda config --set changeps1 no --append channels a --append channels b; "
        "conda config --remove channels a; conda info --json; conda env list --json; "
        "conda config --remove channels b; conda info")
    say("absent", "conda update -y -n base conda")
    say("search", "mamba search numpy")
    say("renew", "conda env create -f x.yml")
    say("config", "conda config --add channels nowhere; conda install -y modern")
    say("option", "conda install -y --copy tabulate")
    say("command", "conda create -n other python")
    say("other", "conda install -n other python")
    say("prefix", "mamba install -p /other python")
    say("unknown", "conda install -y -O -c local no-such")
    say("missing", "conda remove no-such")
    say("activate", "conda activate other")
    say("setting", "conda config --set proxy_servers x")
    say("dry", "conda config --remove channels nowhere; "
        "conda install -y --dry-run packaging; conda remove -d six")
    say("alone", "mamba install -y -S --no-deps right; conda list --export right; "
        "mamba list --export shared; conda remove -yq right")
    say("needed", "conda install -y --only-deps --no-update-deps left; conda remove -y shared")
    say("micro", "printf 'dependencies: [left]' > /tmp/left.yml; "
        "micromamba install -y -n base -f /tmp/left.yml; micromamba clean --all --yes; "
        'conda clean -tipsy; eval "$(micromamba shell hook --shell bash)"; conda init --all; '
        "conda config --set channel_priority false --set remote_max_retries 9; conda -V; "
        "micromamba run -n base python -c 'print(7)'; conda info --envs | tail -n 1; "
        "conda config --set channel_priority strict")
    say("flexible", "conda config --set channel_priority flexible")
    say("force", "conda install -y -f six")
    say("prune", "printf 'dependencies: [python=3.11, six, activated, tabulate, scripted, "
        "prefixed]' > /tmp/all.yml; conda env update --prune -n base -f /tmp/all.yml")
    say("hostile", "ln -s /etc/hosts /tmp/link.yml; mkfifo /tmp/ready; "
        "echo 'dependencies: [{pip: [-r /etc/hosts]}]' > /tmp/pip.yml; "
        f"python {box.directory}/hostile.py")
    say("after", "conda list -f six --export")
    say("end", "true")
"""

# What is built may speak to the other side of conda's socket in an image by itself.
_HOSTILE = """\
import contextlib, os, signal, socket, struct, subprocess, sys

PATH = "/tmp/tykky-bin/socket"

def connect(*pieces, files=(1, 2)):
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(60)
    stream.connect(PATH)
    if pieces:
        socket.send_fds(stream, pieces[:1], files)
    for piece in pieces[1:]:
        with contextlib.suppress(OSError):  # it may have been refused by then
            stream.sendall(piece)
    return stream

def size(number):
    return struct.pack("=I", number)

if not os.path.exists(PATH):
    sys.exit("no socket")
null = os.open("/dev/null", os.O_WRONLY)
good = b"/\\0conda\\0info\\0"
silent = connect()
kept = [silent, connect(size(9), b"half", files=(silent.fileno(),) * 2)]
if os.fork() == 0:  # stays, with connections that nothing follows on
    kept += [connect() for _ in range(30)] + [connect(size(99), b"half") for _ in range(30)]
    os.write(os.open("/tmp/ready", os.O_WRONLY), b".")
    os.closerange(0, 3)
    signal.pause()
with open("/tmp/ready", "rb") as ready:
    ready.read(1)
bad = [
    connect(size(0)), connect(size(0xFFFFFFFF), good), connect(b"\\0\\0"),
    connect(size(2), b"/\\0"), connect(size(5), b"/\\0abc"),
    connect(size(len(good)), good, files=()), connect(size(len(good)), good, files=(1,)),
    connect(size(2), b"\\0\\0", files=(1, 2, 1, 2)),
    connect(size(100_000), b"/\\0" + b"x" * 99_997 + b"\\0", files=(null, null)),
]
def answer(stream):
    try:
        return len(stream.recv(9))
    except ConnectionResetError:
        return 0

print(*map(answer, bad))
for name in ("/etc/hosts", "/proc/self/environ", "/tmp/link.yml", "/tmp/pip.yml"):
    done = subprocess.run(["conda", "env", "update", "-f", name], stderr=subprocess.PIPE, text=True)
    print(done.returncode, done.stderr.splitlines()[0])
for number in range(3, 9):  # of these, the other side has what it keeps
    line = ["conda", "env", "export", "-f", f"/proc/self/fd/{number}"]
    subprocess.run(line, stderr=subprocess.DEVNULL)
"""


@pytest.fixture(scope="module", params=["host", "image"])
def trial(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site with a stack whose finish step tries everything, on the host and in an image."""
    place = new_place()
    site = make(place, log_in(place))
    base = "host" if request.param == "host" else request.getfixturevalue("debian")
    file = recipe(site, "trial", f"network = True\nbase = '{base}'\n{_TRY}")
    (file.parent / "hostile.py").write_text(_HOSTILE)
    site("install", "trial")
    yield site
    remove(place)


@pytest.fixture(scope="module")
def said(trial: Site) -> dict[str, str]:
    """What each of the commands printed."""
    log = gzip.decompress((trial.generation("trial") / "build.log.gz").read_bytes()).decode()
    parts = (part.partition("\n") for part in log.split("\n== ")[1:])
    return {title: text.partition("$ echo '== ")[0] for title, _, text in parts}


def test_commands_of_a_recipe_run_in_the_active_environment(
    trial: Site, said: dict[str, str]
) -> None:
    assert said["active"].split() == [str(trial.prefix("trial")), "3"]


def test_install_adds_packages_and_keeps_what_is_there(said: dict[str, str]) -> None:
    assert said["install"].splitlines() == [
        "+ left 1.0 0",
        "+ shared 1.0 0",
        "+ tabulate 0.9.0 pyh0_0",
    ]
    assert "six 1.16.0" in " ".join(said["list"].split())
    assert "+ packaging 24.2" in said["freeze"]


def test_list_has_the_forms_that_scripts_read(said: dict[str, str]) -> None:
    (six,) = json.loads(said["pattern"])
    assert (six["version"], six["channel"]) == ("1.16.0", "local")
    assert (six["build_string"], six["platform"]) == ("pyh0_0", "linux-64")
    assert said["explicit"].startswith("@EXPLICIT\n")
    assert f"{channel().as_uri()}/noarch/six-1.16.0-pyh0_0.tar.bz2#" in said["explicit"]


def test_update_and_remove_change_what_they_name(said: dict[str, str]) -> None:
    assert said["update"].split() == ["six", "1.16.0", "pyh0_0", "->", "1.17.0", "pyh0_0"]
    assert said["remove"].strip() == "- packaging 24.2 pyh0_0"
    left = said["dependents"].split()
    assert "tabulate=0.9.0=pyh0_0" in left
    assert not [name for name in left if name.startswith(("shared", "left"))]


def test_link_scripts_run_and_so_do_commands(said: dict[str, str]) -> None:
    assert said["script"].strip() == "scripted 1.0"
    assert said["run"].strip() == "42"


def test_an_environment_file_adds_to_the_environment_and_so_does_pip(
    trial: Site, said: dict[str, str]
) -> None:
    assert "status" not in said["file"]
    assert said["file"].strip().splitlines()[-1] == str(trial.prefix("trial"))
    assert "colorama" in said["pip"]


def test_cleaning_is_accepted(said: dict[str, str]) -> None:
    assert said["clean"].strip() == ""


def test_what_scripts_do_to_have_an_environment_active_changes_nothing(
    trial: Site, said: dict[str, str]
) -> None:
    assert said["start"] == f"{trial.prefix('trial')}/bin/python\n"


def test_an_environment_is_exported_as_a_file_that_makes_it(
    trial: Site, said: dict[str, str]
) -> None:
    assert "- six=1.17.0\n" in said["export"] and "  - colorama==0.4.6\n" in said["export"]
    assert "- python=3.11\n" in said["history"] and "shared" not in said["history"]
    file = recipe(trial, "again", "environment = 'environment.yml'")
    (file.parent / "environment.yml").write_text(said["export"])
    trial("lock", "again")


def test_channels_are_added_and_taken_away(said: dict[str, str]) -> None:
    text, _, rest = said["channels"].partition("}\n")
    assert json.loads(text + "}")["channels"] == ["local", "b"]
    assert "channels : local\n" in rest


@pytest.mark.parametrize(
    ("title", "words", "status"),
    [
        ("config", "nowhere", 22),
        ("option", "the build has no option --copy", 2),
        ("command", "'conda create' is not there: the stack has one environment", 2),
        ("absent", "there is no package 'conda' in the environment", 23),
        ("search", "'mamba search' is not there", 2),
        ("renew", "'conda env create' is not there", 2),
        ("other", "there is no environment 'other'", 2),
        ("prefix", "there is no environment /other", 2),
        ("unknown", "there is no package 'no-such'", 23),
        ("missing", "there is no package 'no-such'", 23),
        ("activate", "there is no environment 'other'", 2),
        ("setting", "no setting 'proxy_servers'", 2),
        ("flexible", "no setting 'channel_priority flexible'", 2),
        ("force", "the build has no option -f", 2),
    ],
)
def test_what_is_not_understood_or_not_there_is_named(
    said: dict[str, str], title: str, words: str, status: int
) -> None:
    assert words in said[title]
    assert said[title].rstrip().endswith(f"status {status}")
    assert "Traceback" not in said[title]


def test_a_dry_run_only_says_what_would_change(said: dict[str, str]) -> None:
    assert said["dry"].splitlines() == ["+ packaging 24.2 pyh0_0", "- six 1.17.0 pyh0_0"]


def test_packages_are_installed_without_what_they_need_and_the_other_way_round(
    said: dict[str, str],
) -> None:
    assert said["alone"].strip().splitlines() == ["+ right 1.0 0", "right=1.0=0"]
    assert said["needed"].splitlines() == ["+ shared 1.0 0", "- shared 1.0 0"]


def test_lines_for_micromamba_and_of_containers_are_understood(
    trial: Site, said: dict[str, str]
) -> None:
    added, also, version, seven, environment = said["micro"].splitlines()
    assert (added, also, seven) == ("+ left 1.0 0", "+ shared 1.0 0", "7")
    assert version.startswith("conda ") and environment.endswith(str(trial.prefix("trial")))


def test_pruning_leaves_only_what_the_file_names(said: dict[str, str]) -> None:
    assert said["prune"].splitlines() == ["- left 1.0 0", "- shared 1.0 0"]


def test_nothing_that_is_built_gets_at_the_host_by_way_of_conda(said: dict[str, str]) -> None:
    assert said["after"].strip() == "six=1.17.0=pyh0_0"
    if "no socket" in said["hostile"]:
        return
    answers, *refused = said["hostile"].splitlines()
    assert answers.split() == ["0"] * 8 + ["5"]
    for line, name in zip(
        refused, ("/etc/hosts", "/proc/self/environ", "/tmp/link.yml"), strict=False
    ):
        assert line.startswith("6 ") and f"{name} cannot be read: it is " in line
    assert "/etc/hosts cannot be read: it is " in refused[3]


def test_what_scripts_have_installed_is_in_the_record_and_the_list(trial: Site) -> None:
    (entry,) = trial.json("find", "trial", "--packages")
    found = {package["name"]: package for package in entry["packages"]}
    assert found["tabulate"]["channel"] == "local"
    assert found["colorama"]["channel"] == "pypi"
    assert found["six"]["version"] == "1.17.0"
    assert "packaging" not in found
    assert ["six", "1.17.0"] in trial.record("trial")["packages"]


def test_users_get_the_commands_of_what_scripts_have_installed(trial: Site) -> None:
    prefix = trial.prefix("trial")
    assert trial.user.run(prefix / "bin/tabulate", "--help").stdout
    assert not (prefix / "bin/conda").exists()

"""A Slurm of several nodes on this machine, for one test: its own munged, slurmctld and slurmds.

All of it runs as the user who tests, without accounting, and ends with the test. Memory is
enforced.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_CONFIG = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=400
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
ReturnToService=2
KillWait=3
SlurmdParameters=config_overrides
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool-%n
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd-%n.log
MailProg=/bin/true
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=4 "


def is_there() -> bool:
    """Whether what it is made of is installed: tools/provision slurm."""
    return all(shutil.which(each, path=PATH) for each in ("munged", "slurmctld", "slurmd"))


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so; fail if it never is."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.05)


@dataclass
class Cluster:
    """The cluster; ``env`` is what its programs find it by."""

    place: Path
    nodes: dict[str, str] = field(default_factory=lambda: {"n1": "", "n2": ""})

    @property
    def env(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.place / "slurm.conf")}

    def run(self, *command: str) -> str:
        env = {**os.environ, **self.env, "PATH": PATH}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def start(self) -> None:
        self.place.mkdir()
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (self.place / name).mkdir()
        ports = free_ports(1 + len(self.nodes))
        text = _CONFIG.format(ports=ports, user=getpass.getuser(), place=self.place)
        for (name, features), port in zip(self.nodes.items(), ports[1:], strict=True):
            text += _NODE.format(name=name, port=port)
            text += f"RealMemory=4000 State=UNKNOWN{f' Features={features}' if features else ''}\n"
        (self.place / "slurm.conf").write_text(text)
        key = self.place / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(256))
        names = ("key-file=munge.key", "socket=munge.socket", "pid-file=munged.pid")
        names += ("log-file=munged.log", "seed-file=munge.seed")
        options = [f"--{option}={self.place}/{n}" for option, n in (x.split("=") for x in names)]
        self.run("munged", "--force", *options)
        self.start_controller()
        for node in self.nodes:
            self.run("slurmd", "-N", node)
        wait_for(lambda: "idle" in self.run("sinfo", "--noheader", "--format=%T"))

    def start_controller(self) -> None:
        self.run("slurmctld")

    def stop_controller(self) -> None:
        self._end(self.place / "slurmctld.pid")

    def requeue(self, job: str) -> None:
        """End a running job, which is to begin anew, as after the end of its node."""
        self.run("scontrol", "requeue", job)
        wait_for(lambda: self.jobs()[job] == "PENDING")

    def begin_again(self, job: str) -> None:
        """Let one that was requeued begin now, and not in two minutes."""
        self.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    def jobs(self) -> dict[str, str]:
        """The state of each job."""
        lines = self.run("squeue", "-h", "--array", "--states=all", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def stop(self) -> None:
        with contextlib.suppress(AssertionError):  # it may not have come up
            self.run("scancel", f"--user={getpass.getuser()}")
            wait_for(lambda: not {"RUNNING", "COMPLETING"} & {*self.jobs().values()}, 20)
        for file in self.place.glob("*.pid"):
            self._end(file, signal.SIGKILL if file.name != "munged.pid" else signal.SIGTERM)

    def _end(self, file: Path, with_signal: signal.Signals = signal.SIGTERM) -> None:
        process = int(file.read_text())
        os.kill(process, with_signal)
        wait_for(lambda: _is_gone(process), 20)


def _is_gone(process: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{process}/stat").read_text()  # init may take its time
    except OSError:
        return True


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()

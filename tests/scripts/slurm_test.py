#!/usr/bin/env python3
"""A run under a real Slurm on this machine: submitted, warned, stopped, requeued with its reason, and done in the end.

    tests/scripts/slurm_test.py PREIMAGE

Needs root, slurm-wlm and munge (Debian packages); exits with 77 (skipped) where they are missing. All daemons live in
a folder of the test's own and are ended by their pids.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={port1}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=5
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def wait_for(what, condition, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s")


class Slurm:
    def __init__(self, folder):
        self.folder = folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "slurm.conf").write_text(
            CONF.format(host=socket.gethostname().split(".")[0], folder=folder, port=port, port1=port + 1))
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.pids = []

    def start(self):
        self.run("munged", "--force", f"--socket={self.folder}/munge.socket", f"--key-file={self.folder}/munge.key",
                 f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log",
                 f"--seed-file={self.folder}/munged.seed")
        self.run("slurmctld")
        self.run("slurmd")
        wait_for("the node is idle", lambda: "idle" in self.run("sinfo", "-h", "-o", "%T"))

    def stop(self):
        for name in ("slurmd.pid", "slurmctld.pid", "munged.pid"):
            try:
                os.kill(int((self.folder / name).read_text()), signal.SIGTERM)
            except (OSError, ValueError):
                pass

    def run(self, *words):
        done = subprocess.run(words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {done.stdout}")
        return done.stdout


def write_job(root, path, steps):
    (path.parent / "text.jsonl").write_text('{"text": "a b c d e f g h"}\n')
    path.write_text(json.dumps({
        "method": "finetune",
        "finetune": {"model": str(root / "tests/lm/fixtures/qwen2_text"), "text": str(path.parent / "text.jsonl"),
                     "validation": str(path.parent / "text.jsonl"),
                     "train": {"steps": steps, "shard_tokens": 8, "micro_shards": 2,
                               "context": 16}},
        "run": {"device": "cpu", "threads": 1}}))


def check(preimage, root, folder, slurm):
    job, out, script = folder / "job.json", folder / "logs/deep/out", folder / "job.sbatch"
    write_job(root, job, 10_000_000)
    subprocess.run([preimage, "submit", job, "--slurm", "-n", "2", "--time", "10", "--requeues", "1", "--out", out,
                    "--script", script], check=True, cwd=root)
    number = slurm.run("sbatch", "--parsable", str(script)).strip().split(";")[0]
    log = out.parent / f"out.slurm-{number}.log"
    wait_for("the run has begun", lambda: (out / "state.json").exists())
    time.sleep(2)
    slurm.run("scancel", "--signal=USR2", "--batch", number)  # as --signal=B:USR2@240 does
    wait_for("the job is requeued", lambda: "Restarts=1" in slurm.run("scontrol", "show", "job", number))
    text = log.read_text()
    assert f"preimage: job {number} is requeued, 1 of 1: stopped (signal)" in text, text
    state = json.loads((out / "state.json").read_text())
    assert state["status"] == "stopped" and state["exit_code"] == 75, state
    slurm.run("scancel", number)
    print(text)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if os.geteuid() != 0:
        skip("needs root")
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        if shutil.which(program) is None:
            skip(f"{program} is not here (Debian packages slurm-wlm and munge)")
    with tempfile.TemporaryDirectory(prefix="preimage-slurm-") as name:
        folder = pathlib.Path(name)
        slurm = Slurm(folder)
        try:
            slurm.start()
            check(sys.argv[1], pathlib.Path(__file__).resolve().parents[2], folder, slurm)
        finally:
            slurm.stop()
            time.sleep(1)


if __name__ == "__main__":
    main()

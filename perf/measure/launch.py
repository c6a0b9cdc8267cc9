"""Starts ranks, watches their memory, and ends them whatever happens."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sample_memory import RANK_VARIABLES, PeakSampler

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "perf"  # texts, configurations and logs of the runs
TRIREME = ROOT / "build" / "release" / "launch" / "trireme"

# As root mpirun asks to be allowed; it binds a lone rank to one core, and two namespaced hosts to core 0.
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]


@dataclass(frozen=True)
class Finished:
    """What a command left: its output, and the peak bytes of its ranks."""
    output: str
    peak_bytes: dict  # by rank
    together_bytes: int  # the largest sum over the first launcher's ranks at one time


def give_up(message):
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


# Threads of a rank sleep where they wait long, but not between two kernels: waking one takes 0.1 ms of a virtual CPU.
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000000"}


def environment(**more):
    """This process's environment without a rank of an outer run, and with what both sides need alike."""
    kept = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}
    return kept | WAITING | {"PYTHONDONTWRITEBYTECODE": "1"} | more


def exit_on_signals():
    """A signal that would end this program at once raises SystemExit instead: what it started is ended, too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))


def end(process):
    """The launcher and all that it started: it leads a process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def outputs(commands, env=None, timeout_s=7200, begun=lambda process: None):
    """Runs one or several launchers together to their end: [what each said]. `begun` is called with each process.

    Errors: ends this program, with the last lines of the one that failed.
    """
    exit_on_signals()
    commands = [commands] if isinstance(commands[0], str) else commands
    processes = [subprocess.Popen(command, env=env or environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, start_new_session=True) for command in commands]
    try:
        for process in processes:
            begun(process)
        said = [process.communicate(timeout=timeout_s)[0] for process in processes]
    except subprocess.TimeoutExpired:
        give_up(f"ran longer than {timeout_s} s: {' '.join(commands[0])}")
    finally:
        for process in processes:
            end(process)
    for process, output, command in zip(processes, said, commands):
        if process.returncode != 0:
            give_up(f"exit code {process.returncode} of {' '.join(command)}\n" + "\n".join(output.splitlines()[-25:]))
    return said


def run(commands, env=None, timeout_s=7200):
    """The same with the memory of their ranks; the first one's output is what counts."""
    samplers = []
    try:
        said = outputs(commands, env, timeout_s, lambda process: samplers.append(PeakSampler(process.pid).start()))
    finally:
        peaks = {}
        for sampler in samplers:
            peaks |= sampler.stop()
    return Finished(said[0], peaks, samplers[0].node_peak())


def timed_lines(command):
    """Runs one launcher to its end: [(seconds, line)], with the time at which each line was printed.

    Errors: ends this program, with the last lines, where it failed.
    """
    exit_on_signals()
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    try:
        lines = [(time.monotonic(), line.rstrip("\n")) for line in process.stdout]
        process.wait()
    finally:
        end(process)
    if process.returncode != 0:
        give_up(f"exit code {process.returncode} of {' '.join(command)}\n" + "\n".join(line for _, line in lines[-25:]))
    return lines


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def text_file():
    """The King James Bible, made once from the package bible-kjv."""
    path = WORK / "kjv.txt"
    if not path.exists():
        if not shutil.which("bible"):
            give_up("there is no text to train on: install the package bible-kjv (launch/install_packages.sh does)")
        WORK.mkdir(parents=True, exist_ok=True)
        text = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], check=True, capture_output=True).stdout
        path.write_bytes(text)
    return path

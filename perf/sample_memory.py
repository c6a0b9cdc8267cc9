#!/usr/bin/env python3
"""What the ranks of a run hold, sampled from outside: the proportional set size, in which a page that several processes
share counts once in their sum.

usage: sample_memory.py [--name PROGRAM] -- COMMAND...
runs COMMAND (an mpirun or the program itself) and prints its ranks' peaks as JSON.
"""

import json
import os
import subprocess
import sys
import threading
import time

INTERVAL_S = 0.05


def children(pid):
    """Process numbers of the children of all threads of a process."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(word) for word in file.read().split()]
    except OSError:
        pass  # it ended
    return found


def program_name(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def rank_of(pid):
    """The rank that the launcher gave the process; 0 where it gave none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for entry in file.read().split(b"\0"):
                if entry.startswith(b"OMPI_COMM_WORLD_RANK="):
                    return int(entry.split(b"=")[1])
    except OSError:
        pass
    return 0


def held_bytes(pid):
    """Of a process: (proportional set size, the part of it that no file on disk backs), or nothing where it ended."""
    sizes = {}
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                words = line.split()
                if len(words) == 3 and words[2] == "kB":
                    sizes[words[0]] = 1024 * int(words[1])
    except OSError:
        return None
    if "Pss:" not in sizes:
        return None
    return sizes["Pss:"], sizes["Pss:"] - sizes.get("Pss_File:", 0)


class PeakSampler:
    """Samples every process called `name` at or below a launcher, until stop()."""

    def __init__(self, pid_of_launcher, name):
        self.launcher = pid_of_launcher
        self.name = name[:15]  # as long as the kernel keeps it
        self.samples = []  # (seconds, {rank: bytes}, {rank: bytes that no file backs})
        self._ranks = {}  # of processes seen so far
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        """Peak bytes by rank."""
        self._stopping.set()
        self._thread.join()
        peaks = {}
        for _, held, _ in self.samples:
            for rank, count in held.items():
                peaks[rank] = max(peaks.get(rank, 0), count)
        return peaks

    def node_peak(self):
        """The largest sum over the ranks at one time."""
        return max((sum(held.values()) for _, held, _ in self.samples), default=0)

    def _processes(self):
        found, ahead = [], [self.launcher]
        while ahead:
            pid = ahead.pop()
            ahead += children(pid)
            if program_name(pid) == self.name:
                found.append(pid)
        return found

    def _sample(self):
        held, unbacked = {}, {}
        for pid in self._processes():
            sizes = held_bytes(pid)
            if sizes is None:
                continue
            if pid not in self._ranks:
                self._ranks[pid] = rank_of(pid)
            held[self._ranks[pid]], unbacked[self._ranks[pid]] = sizes
        if held:
            self.samples.append((time.monotonic(), held, unbacked))

    def _run(self):
        while not self._stopping.is_set():
            begun = time.monotonic()
            self._sample()
            # A look at gigabytes in small pages takes a while: it gets a tenth of one core at most.
            self._stopping.wait(max(INTERVAL_S, 9 * (time.monotonic() - begun)))


def main(arguments):
    name = "trireme"
    if arguments[:1] == ["--name"] and len(arguments) > 1:
        name, arguments = arguments[1], arguments[2:]
    if arguments[:1] != ["--"] or len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    process = subprocess.Popen(arguments[1:], stdout=sys.stderr)
    sampler = PeakSampler(process.pid, name).start()
    code = process.wait()
    peaks = sampler.stop()
    print(json.dumps({"ranks": {str(rank): peaks[rank] for rank in sorted(peaks)}, "node": sampler.node_peak(),
                      "samples": len(sampler.samples)}))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

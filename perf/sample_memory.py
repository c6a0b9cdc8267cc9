#!/usr/bin/env python3
"""What the ranks of a run hold, sampled from outside: the same for mpirun, torchrun and whatever else starts ranks.

The number is the proportional set size of /proc/PID/smaps_rollup: a page that k processes map counts 1/k in each.

usage: sample_memory.py [--name PROGRAM] -- COMMAND...
runs COMMAND (a launcher or the program itself) and prints its ranks' peaks as JSON.
"""
import json
import os
import subprocess
import sys
import threading
import time

RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "RANK")
INTERVAL_S = 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def read(pid, name):
    """The bytes of a file of a process in /proc; none where it ended."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def children(pid):
    """Process numbers of the children of all threads of a process."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for thread in threads for child in read(pid, f"task/{thread}/children").split()]


def rank_of(pid):
    """The rank that a launcher gave this process or one above it; None where there is none."""
    environment = dict(entry.partition(b"=")[::2] for entry in read(pid, "environ").split(b"\0"))
    return next((int(environment[name.encode()]) for name in RANK_VARIABLES if name.encode() in environment), None)


def resident_bytes(pid):
    fields = read(pid, "statm").split()
    return int(fields[1]) * PAGE_BYTES if fields else 0


def held_bytes(pid):
    """Of a process: (proportional set size, the part of it that no file on disk backs); zeros where it ended."""
    lines = (line.split() for line in read(pid, "smaps_rollup").splitlines())
    sizes = {words[0]: 1024 * int(words[1]) for words in lines if len(words) == 3 and words[2] == b"kB"}
    held = sizes.get(b"Pss:", 0)
    return held, held - sizes.get(b"Pss_File:", 0)


def find_ranks(launcher, name=""):
    """{pid: rank}: all processes called `name` at or below the launcher; without a name the topmost ones with a rank."""
    ranks, unseen = {}, [launcher]
    while unseen:
        pid = unseen.pop()
        rank = rank_of(pid)
        is_rank = read(pid, "comm").strip() == name[:15].encode() if name else rank is not None
        if is_rank:
            ranks[pid] = rank or 0
        if name or not is_rank:
            unseen += children(pid)
    return ranks


class PeakSampler:
    """Looks at the ranks of a launcher every 50 ms on a thread of its own, from start() to stop().

    smaps_rollup walks page tables, 10 ms and more a GiB: it would slow what is measured, and the larger process more.
    So it is read when the resident size, which costs nothing to read, is above all that was seen, and beside that only
    as often as takes 1% of a core.
    """

    look_for_ranks_s = 1.0
    start_s = 3.0  # ranks start one after the other: until then they are looked for at every sample
    share_of_core = 0.01
    growth_bytes = 1 << 20

    def __init__(self, pid_of_launcher, name=""):
        self.samples = []  # (seconds, {rank: bytes}, {rank: bytes that no file backs}), one per reading
        self._launcher, self._name = pid_of_launcher, name
        self._held, self._unbacked = {}, {}  # the last reading, by rank
        self._highest, self._idle_until = {}, {}  # by pid: resident bytes at a reading; no further one before then
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

    def _run(self):
        ranks, looked, started = {}, 0.0, time.monotonic()
        while not self._stopping.wait(INTERVAL_S):
            now = time.monotonic()
            if not ranks or now - started < self.start_s or now - looked > self.look_for_ranks_s:
                ranks, looked = find_ranks(self._launcher, self._name), now
            for pid, rank in ranks.items():
                if self._is_due(pid):
                    self._sample(pid, rank)

    def _is_due(self, pid):
        resident = resident_bytes(pid)
        grown = resident > self._highest.get(pid, 0) + self.growth_bytes
        self._highest[pid] = max(self._highest.get(pid, 0), resident if grown else 0)
        return resident > 0 and (grown or time.monotonic() >= self._idle_until.get(pid, 0))

    def _sample(self, pid, rank):
        start = time.monotonic()
        held, unbacked = held_bytes(pid)
        end = time.monotonic()
        self._idle_until[pid] = end + (end - start) / self.share_of_core
        if held:
            self._held, self._unbacked = self._held | {rank: held}, self._unbacked | {rank: unbacked}
            self.samples.append((end, self._held, self._unbacked))


def main(arguments):
    name = ""
    if arguments[:1] == ["--name"] and len(arguments) > 1:
        name, arguments = arguments[1], arguments[2:]
    if arguments[:1] != ["--"] or len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    outside = {variable: value for variable, value in os.environ.items() if variable not in RANK_VARIABLES}
    process = subprocess.Popen(arguments[1:], stdout=sys.stderr, env=outside)
    sampler = PeakSampler(process.pid, name).start()
    code = process.wait()
    peaks = sampler.stop()
    print(json.dumps({"ranks": {str(rank): peaks[rank] for rank in sorted(peaks)}, "node": sampler.node_peak(),
                      "samples": len(sampler.samples)}))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

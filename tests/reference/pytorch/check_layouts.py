"""One trajectory: reference cases in every layout of reference_layouts.txt end with the same weights and states."""

import itertools
import os

COLUMNS = {"ranks": ("1", "2", "3", "4", "6"), "sharding": ("0", "1", "2", "3", "node2", "node3"), "threads": ("1", "2"),
           "prefetch": ("0", "1", "2", "3"), "recompute": ("none", "attention", "mlp", "block"), "transport": ("in_place", "messages")}
NODE_RANKS = {"node2": "4", "node3": "6"}  # two nodes of 2 and of 3
SUM_GROUPS = (1, 2, 4)  # a trajectory each


def go_together(row):
    return NODE_RANKS.get(row[1], row[0]) == row[0]


def pairs(row):
    return {((i, row[i]), (j, row[j])) for i, j in itertools.combinations(range(len(row)), 2)}


def read_layouts():
    """Rows of the file. Raises RuntimeError unless they cover all pairs of values."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference_layouts.txt")
    with open(path) as file:
        rows = [tuple(line.split()) for line in file if not line.startswith("#")]
    wanted = set().union(*map(pairs, filter(go_together, itertools.product(*COLUMNS.values()))))
    missing = wanted - set().union(*map(pairs, rows))
    if missing or not all(map(go_together, rows)):
        raise RuntimeError(f"{path} lacks {sorted(missing)}" if missing else f"{path}: node_shard on other ranks")
    return rows


def arguments(row):
    _, sharding, threads, prefetch, recompute, transport = row
    shard = [f"--parallel.zero={sharding}"]
    if sharding in NODE_RANKS:
        shard = ["--parallel.node_shard", f"--parallel.ranks_per_node={sharding[4:]}"]
    return [*shard, f"--device.threads={threads}", f"--parallel.prefetch={prefetch}", f"--memory.recompute={recompute}",
            f"--memory.share={'true' if transport == 'in_place' else 'false'}"]


def check(program, cases, computes):
    """How many runs ended with other bits than the first layout's, or failed to be three trajectories."""
    rows, failures = read_layouts(), 0
    for compute, case in itertools.product(computes, cases):
        trajectories = set()
        for group in SUM_GROUPS:
            expected, differing = None, 0
            for row in rows:
                run = program.train(case, compute, int(row[0]), [f"--train.sum_group={group}", *arguments(row)])
                if len(run.hashes) != 2:
                    raise RuntimeError(f"{case.name}: no weights= and state= in the output")
                expected = expected or run.hashes
                if run.hashes != expected:
                    differing += 1
                    print(f"DIFFERS {case.name} {compute} sum_group {group} in layout {' '.join(row)}: {run.hashes}", flush=True)
            trajectories.add(tuple(expected))
            failures += differing
            print(f"{case.name} {compute} sum_group {group}: {len(rows)} layouts, {differing} differ from {' '.join(expected)}", flush=True)
        if len(trajectories) != len(SUM_GROUPS):
            failures += 1
            print(f"DIFFERS {case.name} {compute}: {len(trajectories)} trajectories of {len(SUM_GROUPS)} sums", flush=True)
    return failures

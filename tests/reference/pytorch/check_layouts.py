"""One trajectory: reference cases in every layout of reference_layouts.txt end with the same weights and states."""

import itertools
import os

COLUMNS = {"ranks": ("1", "2", "3", "4", "6"), "sharding": ("0", "1", "2", "3", "node2", "node3"),
           "threads": ("1", "2"), "prefetch": ("0", "1", "2", "3"), "recompute": ("none", "attention", "mlp", "block"),
           "transport": ("in_place", "messages")}
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


def hashes_of(program, case, compute, group, row):
    """weights= and state= of a run."""
    run = program.train(case, compute, int(row[0]), [f"--train.sum_group={group}", *arguments(row)])
    if len(run.hashes) != 2:
        raise RuntimeError(f"{case.name}: no weights= and state= in the output")
    return tuple(run.hashes)


def check(program, cases, computes):
    """How many runs ended with other bits than the first layout's, or failed to be three trajectories."""
    rows, failures = read_layouts(), 0
    for compute, case in itertools.product(computes, cases):
        trajectories = set()
        for group in SUM_GROUPS:
            hashes = [hashes_of(program, case, compute, group, row) for row in rows]
            differing = [row for row, found in zip(rows, hashes) if found != hashes[0]]
            trajectories.add(hashes[0])
            failures += len(differing)
            what = f"{case.name} {compute} sum_group {group}"
            print(f"{what}: {len(rows)} layouts, {len(differing)} differ from {' '.join(hashes[0])}", flush=True)
            for row in differing:
                print(f"DIFFERS {what} in layout {' '.join(row)}", flush=True)
        if len(trajectories) != len(SUM_GROUPS):
            failures += 1
            print(f"DIFFERS {case.name} {compute}: the same bits for other sum_group", flush=True)
    return failures

#!/usr/bin/env python3
"""Trireme against the trajectories of PyTorch: loss and gradient norm of every step.

Needs no PyTorch, but for --live, which makes new trajectories first.
"""

import argparse
import math
import os
import sys
import tempfile

import check_layouts
import recipe
from trireme_run import Case, Program, case_names

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "cases")
# Relative, of every step: loss, gradient norm.
TOLERANCE = {"f32": (2e-4, 2e-3), "bf16": (2e-2, 2e-2)}
# Of the stored cases, where f32 and f64 in PyTorch differ by 3e-7 and 2e-5.
STORED_TOLERANCE = {"f32": (2e-5, 2e-4), "bf16": (2e-2, 2e-2)}
# Recipes that differ in one thing.
FAULTS = [("llama/plain", ["--train.weight_decay=0"]), ("gpt2/plain", ["--train.clip=0"]),
          ("qwen2/plain", ["--train.warmup=4"]), ("qwen2/plain", ["--train.beta2=0.96"]),
          ("gpt2/plain", ["--data.order=shuffled"]), ("qwen3/groups", ["--train.groups=[]"]),
          ("qwen2/groups", ["--train.groups=[]"]),
          ("llama/documents", ["--data.documents=false", "--data.end_of_document=-1"]),
          ("mistral/documents", ["--data.documents=false", "--data.end_of_document=-1"]),
          ("llama/ignored", [f'--data.train=["{CASES}/data/plain.bin"]'])]


def differences(expected, got):
    """Largest relative differences of loss and of gradient norm over the steps."""
    if [s["step"] for s in expected] != [s["step"] for s in got]:
        raise RuntimeError(f"{len(got)} steps were logged, not {len(expected)}")
    wrong_rate = [s["step"] for s, g in zip(expected, got) if abs(g["lr"] - s["lr"]) > 1e-12 * s["lr"]]
    if wrong_rate:
        return math.inf, math.inf

    def largest(key):
        values = [abs(g[key] / s[key] - 1) for s, g in zip(expected, got)]
        return math.inf if any(map(math.isnan, values)) else max(values)
    return largest("loss"), largest("grad_norm")


def compare(program, case, compute, ranks, arguments=()):
    """Prints a line; true where every step is within tolerance."""
    loss, norm = differences(case.steps, program.train(case, compute, ranks, arguments).steps)
    largest_loss, largest_norm = (STORED_TOLERANCE if case.folder == CASES else TOLERANCE)[compute]
    agrees = loss <= largest_loss and norm <= largest_norm
    what = " ".join([case.name, compute, f"{ranks} ranks", *arguments])
    print(f"{'agrees ' if agrees else 'DIFFERS'} {what}: loss {loss:.1e}, gradient norm {norm:.1e}", flush=True)
    return agrees


def check(program, folder, names, computes, ranks):
    """How many comparisons failed."""
    if not names:
        raise RuntimeError(f"no case in {folder}")
    return sum(not compare(program, Case(folder, name), compute, ranks) for compute in computes for name in names)


def check_faults(program, ranks):
    """How many runs with another recipe were not told from the right one."""
    return sum(compare(program, Case(CASES, name), "f32", ranks, arguments) for name, arguments in FAULTS)


def check_live(program, options):
    """Makes trajectories of other sizes with the PyTorch that is installed, and compares."""
    import make_trajectories
    with tempfile.TemporaryDirectory() as folder:
        sizes = recipe.sizes(options.width, options.heads, options.vocab, options.context, options.layers, options.ffn)
        run = dict(recipe.TRAIN, sequence=options.sequence)
        saving = {"dtype": options.dtype, "max_shard_size": options.shard}
        make_trajectories.make(folder, sizes, options.seed, run, saving)
        return check(program, folder, case_names(folder), options.compute, options.ranks)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trireme", help="the program")
    parser.add_argument("cases", nargs="*", help="gpt2/plain ...; all by default")
    parser.add_argument("--compute", nargs="+", choices=TOLERANCE, default=["f32"])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--faults", action="store_true", help="runs with another recipe must differ")
    parser.add_argument("--layouts", action="store_true", help="the same bits over a covering set of layouts")
    parser.add_argument("--live", action="store_true", help="make new trajectories: needs torch and transformers")
    for name, value in {**recipe.sizes(), "sequence": recipe.TRAIN["sequence"], "seed": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"of --live ({value})")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="of the files")
    parser.add_argument("--shard", default="5GB", help="largest file of --live; beyond it there are several")
    return parser.parse_intermixed_args()


def main():
    options = parse()
    with Program(options.trireme) as program:
        names = options.cases or case_names(CASES)
        if options.live:
            failures = check_live(program, options)
        elif options.layouts:
            failures = check_layouts.check(program, [Case(CASES, name) for name in names], options.compute)
        else:
            failures = check(program, CASES, names, options.compute, options.ranks)
        if options.faults:
            failures += check_faults(program, options.ranks)
    print(f"{failures} failed")
    return failures != 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"FAILED: {error}")

#!/usr/bin/env python3
"""After training, an exported folder loads in transformers and has the loss there that Trireme's validation found.

usage: check_export.py TRIREME [CASES...]      needs torch and transformers
"""

import os
import sys

import torch

import make_trajectories
from check_trajectories import CASES
from trireme_run import Case, Program, case_names

TOLERANCE = 2e-6  # relative: a mean of f32 losses; in both programs their rounding is a tenth of it


def loss_of(folder, case, tokens_path):
    """Mean loss over all sequences of a token file, as transformers computes it in f32."""
    data, run = make_trajectories.read_data(tokens_path, case.config), case.config["train"]
    model = make_trajectories.load_model(folder).eval()
    loss, valid = 0.0, 0
    with torch.no_grad():
        for first in range(0, data.sequences, run["micro_batch"]):
            inputs, targets = data.batch(first, min(run["micro_batch"], data.sequences - first))
            loss += make_trajectories.loss_sum(model, data, inputs, targets).item()
            valid += int((targets >= 0).sum())
    return loss / valid


def check(program, case):
    """Prints a line; true where both losses agree."""
    exported = os.path.join(program.folder, "exported_" + case.name.replace("/", "_"))
    steps = case.config["train"]["steps"]
    arguments = [f'--data.valid=["{case.tokens}"]', f"--train.valid_every={steps}", "--export", exported]
    run = program.train(case, arguments=arguments)
    expected, got = run.validations[-1], loss_of(exported, case, case.tokens)
    difference, moved = abs(got / expected - 1), abs(loss_of(case.model, case, case.tokens) / expected - 1)
    agrees = difference <= TOLERANCE < moved
    print(f"{'agrees ' if agrees else 'DIFFERS'} {case.name}: loss {expected:.9f}, in transformers {got:.9f}: "
          f"{difference:.1e}", flush=True)
    return agrees


def main():
    torch.set_num_threads(1)
    with Program(sys.argv[1]) as program:
        failures = sum(not check(program, Case(CASES, name)) for name in sys.argv[2:] or case_names(CASES))
    print(f"{failures} failed")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())

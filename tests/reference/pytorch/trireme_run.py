"""Runs the real program on a reference case: a run.toml, mpirun, and what the run said."""

import json
import os
import re
import shutil
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "perf"))
from measure import launch  # noqa: E402


class Case:
    """FOLDER/FAMILY/VARIANT.json, with its model and FOLDER/data/VARIANT.bin."""

    def __init__(self, folder, name):
        self.folder, self.name, (family, variant) = os.path.abspath(folder), name, name.split("/")
        self.model = os.path.join(self.folder, family)
        self.tokens = os.path.join(self.folder, "data", variant + ".bin")
        with open(os.path.join(self.model, variant + ".json")) as file:
            stored = json.load(file)
        self.config, self.steps = stored["config"], stored["steps"]


def case_names(folder):
    """FAMILY/VARIANT of every case that is there."""
    variants = [file[:-4] for file in os.listdir(os.path.join(folder, "data")) if file.endswith(".bin")]
    return sorted(f"{family}/{variant}" for family in os.listdir(folder) for variant in variants
                  if os.path.exists(os.path.join(folder, family, variant + ".json")))


def toml_value(value):
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml_value(v)}" for key, v in value.items()) + " }"
    return json.dumps(value)  # strings, numbers, true and false are written alike


def write_config(path, case, compute):
    """The case as Trireme's run.toml; the wire type is the compute type."""
    sections = {"model": {"hf": case.model}, "data": {"train": [case.tokens], **case.config["data"]},
                "train": case.config["train"], "precision": {"compute": compute, "wire": compute},
                "parallel": {"deadline_s": 600}}
    with open(path, "w") as file:
        for section, keys in sections.items():
            file.write(f"[{section}]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in keys.items()))


class Result:
    """What a run said: `steps` as in steps.jsonl with exact numbers, `hashes` the weights= and state= lines."""

    def __init__(self, output, log):
        self.hashes = re.findall(r"^(?:weights|state)=\S+", output, re.MULTILINE)
        with open(log) as file:
            lines = [json.loads(line) for line in file]
        self.steps = [{"step": line["step"], "lr": line["lr"], "loss": float.fromhex(line["loss_hex"]),
                       "grad_norm": float.fromhex(line["grad_norm_hex"])} for line in lines if "loss_hex" in line]
        self.validations = [float.fromhex(line["valid_loss_hex"]) for line in lines if "valid_loss_hex" in line]


class Program:
    """A trireme binary, and a folder for what its runs write."""

    def __init__(self, trireme):
        self.trireme, self.folder = os.path.abspath(trireme), tempfile.mkdtemp(prefix="trireme_reference_")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def train(self, case, compute="f32", ranks=2, arguments=()):
        """Result of a run; ends this program with the last lines where it fails."""
        config, log = os.path.join(self.folder, "run.toml"), os.path.join(self.folder, "log")
        write_config(config, case, compute)
        command = [*launch.MPIRUN, "-n", str(ranks), self.trireme, "train", config, f"--log.dir={log}",
                   "--log.existing=replace", *arguments]
        output, = launch.outputs(command, env={**os.environ, "OMP_WAIT_POLICY": "passive"}, timeout_s=3600)
        return Result(output, os.path.join(log, "steps.jsonl"))

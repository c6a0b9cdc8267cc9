"""Our side: a configuration, a run, and what its log says."""
import json
import re
import shlex
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from measure import launch
from measure.case import CASES
from measure.measurement import WARM_UP_STEPS, Measurement
from measure.timeline import Trace


@dataclass(frozen=True)
class Program:
    """The binary, and keys of the configuration that every run gets beside its own."""
    binary: Path = launch.TRIREME
    keys: tuple = ()


@dataclass(frozen=True)
class Layout:
    """How a run is laid out; none of it changes what is computed but the number of microbatches."""
    ranks: int = 2
    threads: int = 1
    recompute: str = "none"
    prefetch: int = 1
    microbatches: int = 0  # of the step; 0: one per rank
    prefix: tuple = tuple(launch.MPIRUN)


def find_program(binary, products="auto", keys=()):
    """The binary with the order of sums that is asked for, where this version has that key, and with further keys.

    Errors: ends this program where the binary is missing.
    """
    path = Path(binary)
    if not path.exists():
        launch.give_up(f"{path} is not there: cmake --preset release && cmake --build --preset release --target trireme")
    order = f"--precision.products={products}"
    known = knows_key(path, CASES["gpt2-tiny"], order)
    return Program(path, ((order,) if known else ()) + tuple(keys))


def config_text(case, layout, steps, folder):
    model = case.model
    microbatches = layout.microbatches or layout.ranks
    return f"""[model]
family = "{model.family}"
layers = {model.layers}
width = {model.width}
heads = {model.heads}
kv_heads = {model.kv_heads}
ffn = {model.ffn}
vocab = {model.vocab}
context = {case.tokens}
tied = {str(model.tied).lower()}
[data]
train = ["{launch.text_file()}"]
[train]
steps = {steps}
global_batch = {case.sequences * microbatches}
micro_batch = {case.sequences}
sequence = {case.tokens}
lr = 3e-4
[parallel]
prefetch = {layout.prefetch}
[memory]
recompute = "{layout.recompute}"
[device]
threads = {layout.threads}
[log]
dir = "{folder}"
"""


def add_options(parser):
    """What every script asks about our side."""
    parser.add_argument("--trireme", default=launch.TRIREME, help="the binary")
    parser.add_argument("--products", default="auto", help="precision.products, where this version has the key")
    parser.add_argument("--key", action="append", default=[], help="a further --section.key=value of our runs")


def write_config(case, layout, steps):
    folder = launch.WORK / f"{case.name}.{layout.ranks}x{layout.threads}.{layout.recompute}.prefetch{layout.prefetch}"
    folder.mkdir(parents=True, exist_ok=True)
    for log in ("steps.jsonl", "trace.json"):  # of the run before, which the next one would not write over
        (folder / log).unlink(missing_ok=True)
    path = folder / "run.toml"
    path.write_text(config_text(case, layout, steps, folder))
    return path


def knows_key(binary, case, key):
    """Whether this binary has a key of the configuration, for example --precision.products=auto."""
    config = write_config(case, Layout(), steps=1)
    asked = subprocess.run([binary, "plan", config, "--ranks", "2", key], capture_output=True, env=launch.environment())
    return asked.returncode == 0


def resolved(output, key):
    """The value of a key in the configuration that a run printed."""
    found = re.search(rf"^{key} = (.*)$", output, re.MULTILINE)
    return found.group(1).strip("\"'") if found else ""


def read_steps(folder):
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    return [line for line in lines if "step_ms" in line and line["step"] >= WARM_UP_STEPS]


def exposed_share(step):
    """Of a line of steps.jsonl, whose exposed_comm_ms has no skew in it."""
    return step["exposed_comm_ms"] / step["step_ms"]


def run(program, case, layout, steps):
    """One run from its start to its end: medians over its steps, the first ones left out."""
    config = write_config(case, layout, steps)
    command = [*layout.prefix, "-n", str(layout.ranks), str(program.binary), "train", str(config), *program.keys]
    finished = launch.run(command)
    lines = read_steps(config.parent)
    median = lambda value: statistics.median(map(value, lines))
    thread_peak = float(re.search(r"peak ([0-9.]+) GF/s a thread", finished.output).group(1)) * 1e9
    register_flops = thread_peak * layout.ranks * layout.threads
    isa = re.search(r"instruction set (\S+);", finished.output)
    return Measurement(
        tokens_per_s=median(lambda line: line["tokens_per_s"]),
        step_s=median(lambda line: line["step_ms"]) / 1000,
        peak_bytes=max(finished.peak_bytes.values(), default=0),
        model_flops=median(lambda line: line["mfu"]) * register_flops,
        register_flops=register_flops,
        exposed_share=median(exposed_share),
        notes={"command": shlex.join(command), "instruction set": isa.group(1) if isa else "",
               "products": resolved(finished.output, "products"), "trace": Trace(config.parent / "trace.json"),
               "exposed": [exposed_share(line) for line in lines]})

"""The other side: PyTorch FSDP2, run by torchrun from an environment of its own."""
import json
from dataclasses import dataclass
from pathlib import Path

from measure import hosts, launch
from measure.measurement import Measurement

SCRIPT = launch.ROOT / "perf" / "peers" / "fsdp2.py"
INSTALL = "python3 -m venv {0} && {0}/bin/pip install torch==2.15.0 numpy"


@dataclass(frozen=True)
class Peer:
    """Where PyTorch is, and the most that oneDNN may use of the CPU ("" = all)."""
    folder: Path
    isa: str = ""


def find_peer(folder, isa=""):
    """Errors: ends this program, and says how to make what is missing."""
    path = Path(folder).expanduser()
    if not (path / "bin" / "torchrun").exists():
        launch.give_up(f"no PyTorch in {path}; make it (5 GB) with: {INSTALL.format(path)}")
    return Peer(path, isa)


def options(case, steps, recompute, compiled, threads):
    model = case.model
    sizes = dict(family=model.family, layers=model.layers, width=model.width, heads=model.heads, kv_heads=model.kv_heads,
                 ffn=model.ffn, vocab=model.vocab, tokens=case.tokens, sequences=case.sequences, steps=steps, threads=threads)
    flags = ["--recompute"] * recompute + ["--compile"] * compiled
    return [word for name, value in sizes.items() for word in (f"--{name}", str(value))] + flags


def environment(peer, interface, threads):
    # One compile thread: a pool of them would run beside the first steps.
    more = dict(OMP_NUM_THREADS=str(threads), GLOO_SOCKET_IFNAME=interface, TORCHINDUCTOR_COMPILE_THREADS="1")
    if peer.isa:
        more["ONEDNN_MAX_CPU_ISA"] = peer.isa
    return launch.environment(**more)


def read(finished):
    line = next(line for line in finished.output.splitlines() if line.startswith('{"peer"'))
    said = json.loads(line)
    return Measurement(tokens_per_s=said["tokens_per_s"], step_s=said["step_s"],
                       peak_bytes=max(finished.peak_bytes.values(), default=0), notes=said)


def run(peer, case, steps, ranks=2, threads=1, recompute=False, compiled=False):
    """One run on this host, from its start to its end."""
    torchrun = [str(peer.folder / "bin" / "torchrun"), "--nproc-per-node", str(ranks), "--master-addr", "127.0.0.1",
                "--master-port", str(launch.free_port()), str(SCRIPT)]
    command = torchrun + options(case, steps, recompute, compiled, threads)
    return read(launch.run(command, environment(peer, "lo", threads)))


def run_on_two_hosts(peer, case, steps):
    """One run with a rank on each of the two namespaced hosts."""
    commands = []
    for host, device in enumerate(hosts.DEVICES):
        torchrun = [str(peer.folder / "bin" / "torchrun"), "--nnodes", "2", "--node-rank", str(host), "--nproc-per-node", "1",
                    "--master-addr", hosts.ADDRESSES[0], "--master-port", "29511", str(SCRIPT)]
        rank = ["env", f"GLOO_SOCKET_IFNAME={device}", *torchrun, *options(case, steps, False, False, threads=1)]
        commands.append(hosts.inside(host, rank))
    return read(launch.run(commands, environment(peer, "lo", threads=1)))

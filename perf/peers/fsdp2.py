"""GPT-2 or Llama trained with PyTorch FSDP2 on CPU ranks (gloo): what a user would pick instead.

bf16 compute and wire, f32 masters, fused AdamW, gradients clipped to 1. Needs PyTorch in an environment of its own:
    python3 -m venv ~/peers && ~/peers/bin/pip install torch==2.15.0 numpy
Run under torchrun, one process per rank; rank 0 prints one line of JSON:
    OMP_NUM_THREADS=1 GLOO_SOCKET_IFNAME=lo ~/peers/bin/torchrun --nproc-per-node 2 fsdp2.py --steps 6
"""
import argparse
import json
import resource
import statistics
import time

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from models import LanguageModel

WARM_UP_STEPS = 2
PHASES = ("forward", "backward", "clip", "update")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=["gpt2", "llama"], default="gpt2")
    sizes = dict(layers=12, width=768, heads=12, kv_heads=12, ffn=3072, vocab=50304, tokens=512, sequences=4, steps=6, threads=1)
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--recompute", action="store_true", help="compute blocks again in the backward pass")
    parser.add_argument("--compile", action="store_true", help="torch.compile every block")
    parser.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16")
    return parser.parse_args()


def make_model(options):
    torch.manual_seed(0)
    model = LanguageModel(options)
    options.parameters = sum(parameter.numel() for parameter in model.parameters())
    low = dict(param_dtype=torch.bfloat16, reduce_dtype=torch.bfloat16) if options.dtype == "bf16" else {}
    policy = MixedPrecisionPolicy(**low)
    for block in model.blocks:
        if options.compile:
            block.compile()
        fully_shard(block, mp_policy=policy)
    return fully_shard(model, mp_policy=policy)


def step(model, optimizer, ids):
    """One step; the times at which it began and at which each phase ended."""
    times = [time.perf_counter()]
    loss = model(ids[:, :-1], ids[:, 1:])
    times.append(time.perf_counter())
    loss.backward()
    times.append(time.perf_counter())
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    times.append(time.perf_counter())
    optimizer.step()
    optimizer.zero_grad()
    return times + [time.perf_counter()]


def train(options):
    model = make_model(options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    random = torch.Generator().manual_seed(dist.get_rank())
    shape = (options.sequences, options.tokens + 1)
    return [step(model, optimizer, torch.randint(0, options.vocab, shape, generator=random)) for _ in range(options.steps)]


def summary(options, steps):
    measured = steps[WARM_UP_STEPS:]
    step_s = statistics.median(times[-1] - times[0] for times in measured)
    phases = {name: statistics.median(times[i + 1] - times[i] for times in measured) for i, name in enumerate(PHASES)}
    tokens = dist.get_world_size() * options.sequences * options.tokens
    return dict(peer="fsdp2", torch=torch.__version__, ranks=dist.get_world_size(), parameters=options.parameters,
                tokens_per_s=tokens / step_s, step_s=step_s, phases_s=phases,
                peak_resident_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    dist.init_process_group("gloo")
    steps = train(options)
    if dist.get_rank() == 0:
        print(json.dumps(summary(options, steps)), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

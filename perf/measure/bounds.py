"""The bounds that hold for each case of `compare`, as far as the sides that ran can say."""

SPEED = {  # (case, other side): how many times as fast we are, at least
    ("gpt2-124m", "fsdp2"): 2.5,
    ("gpt2-124m", "fsdp2-compile"): 2.1,
    ("llama-124m", "fsdp2"): 2.3,
    ("gpt2-30m", "fsdp2"): 2.5,
}
PEAK_SHARE = {"gpt2-124m": 0.70}
MEMORY = {  # (case, our side, other side): our peak over its, at most
    ("gpt2-124m", "trireme", "fsdp2"): 0.55,
    ("gpt2-124m", "trireme-recompute", "fsdp2-recompute"): 0.42,
}
RECOMPUTE_TIME = {"gpt2-124m": 1.36}


def judge(case, medians, report):
    """Says which bounds hold; nothing where the case has none or a side did not run."""
    ours = medians.get("trireme")
    for (name, side), limit in SPEED.items():
        if name == case.name and ours and side in medians:
            report.bound(f"{name}: tokens/s against {side}", ours.tokens_per_s / medians[side].tokens_per_s, at_least=limit)
    if case.name in PEAK_SHARE and ours:
        report.bound(f"{case.name}: share of the register peak", ours.peak_share(), at_least=PEAK_SHARE[case.name])
    for (name, our_side, side), limit in MEMORY.items():
        if name == case.name and our_side in medians and side in medians:
            report.bound(f"{name}: peak memory a rank, {our_side} against {side}",
                         medians[our_side].peak_bytes / medians[side].peak_bytes, at_most=limit)
    if case.name in RECOMPUTE_TIME and ours and "trireme-recompute" in medians:
        report.bound(f"{case.name}: time of a step with block recompute over without",
                     medians["trireme-recompute"].step_s / ours.step_s, at_most=RECOMPUTE_TIME[case.name])

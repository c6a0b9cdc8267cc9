"""What is trained to be measured: models, and the shape of a rank's share of a step."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """Sizes as in the section [model] of a configuration. tied: embedding and head share their table."""
    family: str  # gpt2, llama
    layers: int
    width: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int = 50304
    tied: bool = True


@dataclass(frozen=True)
class Case:
    """One model, `sequences` of `tokens` tokens per rank and step: one microbatch."""
    name: str
    model: Model
    sequences: int
    tokens: int
    sides: tuple  # who runs by default


GPT2_124M = Model("gpt2", layers=12, width=768, heads=12, kv_heads=12, ffn=3072)
LLAMA_121M = Model("llama", layers=12, width=768, heads=12, kv_heads=4, ffn=2304)
GPT2_30M = Model("gpt2", layers=6, width=384, heads=6, kv_heads=6, ffn=1536)
LLAMA_32M = Model("llama", layers=8, width=512, heads=8, kv_heads=4, ffn=1408, vocab=8192, tied=False)
TINY = {family: Model(family, layers=2, width=128, heads=4, kv_heads=kv_heads, ffn=512, vocab=512)
        for family, kv_heads in (("gpt2", 4), ("llama", 2))}

PLAIN = ("trireme", "fsdp2")
ALL_SIDES = ("trireme", "fsdp2", "fsdp2-compile", "trireme-recompute", "fsdp2-recompute")

CASES = {case.name: case for case in (
    Case("gpt2-124m", GPT2_124M, sequences=4, tokens=512, sides=ALL_SIDES),
    Case("llama-124m", LLAMA_121M, sequences=4, tokens=512, sides=PLAIN),
    Case("gpt2-30m", GPT2_30M, sequences=2, tokens=256, sides=PLAIN),
    Case("llama-30m", LLAMA_32M, sequences=2, tokens=256, sides=("trireme",)),  # the peer's tables are tied
    # To try the scripts themselves: seconds, no bounds.
    Case("gpt2-tiny", TINY["gpt2"], sequences=2, tokens=64, sides=ALL_SIDES),
    Case("llama-tiny", TINY["llama"], sequences=2, tokens=64, sides=PLAIN),
)}
DEFAULT_CASES = ("gpt2-124m", "llama-124m", "gpt2-30m")

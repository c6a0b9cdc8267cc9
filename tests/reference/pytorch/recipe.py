"""What the reference runs are: models, data and the recipe of training, without PyTorch."""

import array
import fnmatch
import math
import re
import struct

FAMILIES = ("gpt2", "llama", "qwen2", "qwen3", "mistral")
VARIANTS = ("plain", "ignored", "documents", "groups")
END_OF_DOCUMENT = 7
# Of the variant groups, by Trireme's names; the first that matches has a tensor.
GROUPS = [{"pattern": "*.norm.weight", "lr_factor": 0.1, "decay": True}, {"pattern": "blocks.0.mlp.*", "frozen": True},
          {"pattern": "embedding.token.weight", "lr_factor": 0.5, "decay": False},
          {"pattern": "*.qkv.*", "lr_factor": 2.0}]

# Sections and keys of Trireme's run.toml. 100 sequences of data: the ninth step begins a new epoch.
TRAIN = {"steps": 12, "global_batch": 12, "micro_batch": 2, "sequence": 40, "lr": 3e-3, "min_lr": 3e-4, "warmup": 3,
         "schedule": "cosine", "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1, "clip": 1.0}
TOKENS = 4009

# Clipping acts in some steps and not in others; where norms come to lie depends on the model.
CLIP = {"gpt2": 0.54, "llama": 1.2, "qwen2": 1.2, "qwen3": 1.2, "mistral": 1.2}

# Heads whose size is no part of the width.
HEAD_DIM = {"qwen3": 34, "mistral": 26}


def sizes(width=90, heads=3, vocab=307, context=64, layers=2, ffn=202):
    """Of a model, every one odd for a kernel by default."""
    return {"width": width, "heads": heads, "vocab": vocab, "context": context, "layers": layers, "ffn": ffn}


class Random:
    """A generator with the same numbers in every Python (64-bit multiply and shift, Knuth's constants)."""

    def __init__(self, seed):
        self.state = (seed * 2 + 1) * 0x9E3779B97F4A7C15 % 2**64

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) * limit >> 31


def make_tokens(variant, vocab, seed, count=TOKENS):
    """Tokens with something to learn: half follow from the last one, the others come from a few. Documents end in
    END_OF_DOCUMENT, some at once, some not within a sequence."""
    random, tokens, left = Random(seed), [], 0
    while len(tokens) < count:
        if variant == "documents":
            if left == 0:
                left = (1, 2, 5, 9, 17, 30, 40, 90)[random.below(8)]
            left -= 1
            if left == 0:
                tokens.append(END_OF_DOCUMENT)
                continue
        last = tokens[-1] if tokens else 1
        token = (last * 5 + 11) % vocab if random.below(2) else random.below(1 + random.below(vocab))
        tokens.append(token + 1 if variant == "documents" and token == END_OF_DOCUMENT else token)
    return tokens


def make_mask(count, seed, train):
    """Which tokens count as targets: 5 of 6, none of a whole microbatch of step 0, none of one sequence of step 1."""
    random, sequence = Random(seed + 1), train["sequence"]
    mask = bytearray(0 if random.below(6) == 0 else 1 for _ in range(count))
    first = 3 * train["micro_batch"]
    lost = [*range(first, first + train["micro_batch"]), train["global_batch"] + 5]
    for i in lost:  # the targets of sequence i
        mask[i * sequence + 1:(i + 1) * sequence + 1] = bytes(sequence)
    return bytes(mask)


def write_tokens(path, tokens):
    """The .bin layout: 256 int32 (magic, version, count, zeros), then uint16."""
    with open(path, "wb") as file:
        file.write(struct.pack("<256i", 20240520, 1, len(tokens), *[0] * 253))
        file.write(array.array("H", tokens).tobytes())


# Names in Hugging Face folders and Trireme's names.
NAMES = [("transformer.", ""), ("model.", ""), ("layers.", "blocks."), ("wte", "embedding.token"),
         ("embed_tokens", "embedding.token"), ("wpe", "embedding.position"), ("lm_head", "head.vocabulary"),
         ("attn.c_attn", "attention.qkv"), ("attn.c_proj", "attention.out"), ("mlp.c_fc", "mlp.up"),
         ("mlp.c_proj", "mlp.down"), ("self_attn.q_proj", "attention.qkv"), ("self_attn.k_proj", "attention.qkv"),
         ("self_attn.v_proj", "attention.qkv"), ("self_attn.q_norm", "attention.q_norm"),
         ("self_attn.k_norm", "attention.k_norm"), ("self_attn.o_proj", "attention.out"), ("gate_proj", "gate_up"),
         ("up_proj", "gate_up"), ("down_proj", "down"), ("input_layernorm", "attention.norm"),
         ("post_attention_layernorm", "mlp.norm"), ("ln_1", "attention.norm"), ("ln_2", "mlp.norm"),
         ("ln_f", "head.norm")]


def trireme_name(name):
    """Of a tensor of a Hugging Face folder."""
    for theirs, ours in NAMES:
        name = name.replace(theirs, ours)
    name = re.sub(r"^h\.", "blocks.", name)
    return "head." + name if name.startswith("norm.") else name


def group_of(name, groups):
    """The group that has a tensor of Trireme's name."""
    return next((group for group in groups if fnmatch.fnmatchcase(name, group["pattern"])), {})


def learning_rate(step, train):
    """Warm-up, then cosine."""
    if step < train["warmup"]:
        return train["lr"] * (step + 1) / train["warmup"]
    done = (step - train["warmup"]) / (train["steps"] - train["warmup"])
    return train["min_lr"] + (train["lr"] - train["min_lr"]) * (1 + math.cos(math.pi * done)) / 2

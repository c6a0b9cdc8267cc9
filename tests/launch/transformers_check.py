#!/usr/bin/env python3
"""Model folders against transformers, both ways, for GPT-2, Llama (GQA, untied, scaled RoPE), Qwen2, Qwen3
and Mistral.

usage: transformers_check.py TRIREME      (with a Python that has torch and transformers; 1 minute)
1. A folder that transformers saved in f32, bf16 and f16: our loss over its tokens is its loss, and what is exported after
   0 steps has the same tensors, bit for bit.
2. A model from the seed, and one after 3 steps on 2 ranks, exported: transformers loads it without a word about missing or
   unexpected tensors, and has our loss.
"""
import os
import struct
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "perf"))
from measure import launch  # noqa: E402

SEQUENCE, SEQUENCES, VOCABULARY = 40, 6, 307
# f32 sums in another order: 240 tokens, logits of 2 layers.
F32_RELATIVE = 2e-6
SIZES = dict(vocab_size=VOCABULARY, max_position_embeddings=48, hidden_size=90, intermediate_size=101, num_hidden_layers=2,
             num_attention_heads=9, initializer_range=0.2)
SCALING = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
CONFIGS = {
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_positions=48, n_embd=90, n_layer=2, n_head=3, initializer_range=0.2, resid_pdrop=0,
                       embd_pdrop=0, attn_pdrop=0, bos_token_id=1, eos_token_id=2),
    "gpt2-untied": GPT2Config(vocab_size=VOCABULARY, n_positions=48, n_embd=90, n_layer=2, n_head=3, n_inner=77, initializer_range=0.2,
                              resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False),
    "llama": LlamaConfig(**SIZES, num_key_value_heads=3, rope_scaling=SCALING, rope_theta=500000.0),
    "llama-tied": LlamaConfig(**SIZES, num_key_value_heads=9, tie_word_embeddings=True),
    "qwen2": Qwen2Config(**SIZES, num_key_value_heads=3, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**SIZES, num_key_value_heads=3, head_dim=16, tie_word_embeddings=True),
    "mistral": MistralConfig(**SIZES, num_key_value_heads=3, head_dim=14, sliding_window=SEQUENCE),
}
SEEDED = {
    "gpt2": 'family = "gpt2"\nheads = 3\nffn = 77',
    "llama": 'family = "llama"\nheads = 9\nkv_heads = 3\nffn = 101\ntied = false\nrope_theta = 500000.0\nrope_scaling = { rope_type = '
             '"llama3", factor = 4.0, low_freq_factor = 1.0, high_freq_factor = 4.0, original_max_position_embeddings = 32 }',
    "qwen3": 'family = "qwen3"\nheads = 9\nkv_heads = 3\nhead_dim = 16\nffn = 101\nnorm_eps = 1e-6',
    "mistral": 'family = "mistral"\nheads = 9\nkv_heads = 3\nhead_dim = 14\nffn = 101\ntied = false',
    "qwen2": 'family = "llama"\nheads = 9\nkv_heads = 3\nffn = 101\nqkv_bias = true\nnorm_eps = 1e-6',
}
RUN = f"""
[data]
train = ["tokens.bin"]
valid = ["tokens.bin"]
order = "sequential"
[train]
steps = 0
global_batch = 2
micro_batch = 1
sequence = {SEQUENCE}
warmup = 0
[precision]
compute = "f32"
wire = "f32"
"""


def write_tokens():
    tokens = torch.randint(0, VOCABULARY, (SEQUENCE * SEQUENCES + 1,), generator=torch.Generator().manual_seed(3)).tolist()
    with open("tokens.bin", "wb") as file:
        file.write(struct.pack("<256i", 20240520, 1, len(tokens), *[0] * 253) + struct.pack(f"<{len(tokens)}H", *tokens))
    return torch.tensor(tokens)


def loss_of(folder, tokens):
    model, notes = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    if said := {key: value for key, value in notes.items() if value}:
        raise AssertionError(f"{folder}: transformers says {said}")
    with torch.no_grad():
        logits = model(tokens[:-1].view(SEQUENCES, SEQUENCE)).logits
    return torch.nn.functional.cross_entropy(logits.double().view(-1, VOCABULARY), tokens[1:]).item()


def train(trireme, model, ranks, *arguments):
    """Runs; the last validation loss."""
    with open("run.toml", "w") as file:
        file.write(f"[model]\n{model}\n{RUN}")
    command = [*launch.MPIRUN, "-n", str(ranks), trireme, "train", "run.toml", *arguments]
    output, = launch.outputs(command, env=os.environ | {"OMP_WAIT_POLICY": "passive"})
    return float([line for line in output.splitlines() if "valid_loss=" in line][-1].split("valid_loss=")[1])


def near(what, ours, theirs):
    if not abs(ours - theirs) <= F32_RELATIVE * abs(theirs):
        raise AssertionError(f"{what}: our loss {ours}, transformers' {theirs}")
    print(f"{what}: loss {ours:.6f}, transformers {theirs:.6f}", flush=True)


def same_tensors(what, a, b):
    a, b = load_file(f"{a}/model.safetensors"), load_file(f"{b}/model.safetensors")
    assert a.keys() == b.keys(), what
    for name in a:
        assert a[name].dtype == b[name].dtype and torch.equal(a[name].view(torch.uint8), b[name].view(torch.uint8)), f"{what}: {name}"


def check_from_transformers(trireme, tokens):
    for kind, config in CONFIGS.items():
        for number, dtype in enumerate((torch.float32, torch.bfloat16, torch.float16)):
            torch.manual_seed(number)
            model = AutoModelForCausalLM.from_config(config)
            for parameter in model.parameters():  # biases and gains that are not all 0 and 1
                if parameter.dim() == 1:
                    parameter.data += 0.1 * torch.randn_like(parameter)
            what = f"{kind} {dtype}"
            model.to(dtype).save_pretrained(f"in {what}")
            ours = train(trireme, f'hf = "in {what}"', 1 + number, "--export", f"out {what}")
            near(what, ours, loss_of(f"in {what}", tokens))
            same_tensors(what, f"in {what}", f"out {what}")
            near(f"{what}, exported", ours, loss_of(f"out {what}", tokens))


def check_to_transformers(trireme, tokens):
    for kind, keys in SEEDED.items():
        for steps in (0, 3):
            what = f"{kind} after {steps} steps"
            model = f"{keys}\nlayers = 2\nwidth = 90\nvocab = {VOCABULARY}\ncontext = 48"
            near(what, train(trireme, model, 2, f"--train.steps={steps}", "--export", what), loss_of(what, tokens))
        half = f"{kind} in bf16"
        subprocess.run([trireme, "checkpoint", "export", "--format", "hf", "--type", "bf16", what, half], check=True, capture_output=True)
        near(half, train(trireme, f'hf = "{half}"', 1), loss_of(half, tokens))


def main():
    trireme = os.path.realpath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        tokens = write_tokens()
        check_from_transformers(trireme, tokens)
        check_to_transformers(trireme, tokens)


if __name__ == "__main__":
    main()

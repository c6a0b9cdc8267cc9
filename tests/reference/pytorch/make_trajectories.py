#!/usr/bin/env python3
"""Trains tiny models with plain PyTorch and transformers and stores what each step saw: cases/ in this folder.

usage: make_trajectories.py [FOLDER [FAMILIES...]]
"""

import json
import os
import sys

import torch
import transformers
from torch.nn.functional import cross_entropy

import recipe

ROPE = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32}


def make_model(family, sizes, seed):
    """A model as transformers starts it; gains and biases get noise, so that none is at its neutral value."""
    torch.manual_seed(seed)
    width, heads, vocab, layers = sizes["width"], sizes["heads"], sizes["vocab"], sizes["layers"]
    if family == "gpt2":
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
            n_embd=width, n_head=heads, n_layer=layers, vocab_size=vocab, n_positions=sizes["context"],
            activation_function="gelu_new", resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0))
    else:
        make_config, make = {"llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
                             "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
                             "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
                             "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM)}[family]
        rope = ROPE if family == "llama" else {"rope_type": "default", "rope_theta": 10000.0}
        own = {"head_dim": recipe.HEAD_DIM[family]} if family in recipe.HEAD_DIM else {}
        if family == "mistral":
            own["sliding_window"] = sizes["context"]
        model = make(make_config(
            **own,
            hidden_size=width, num_attention_heads=heads, num_key_value_heads=1, num_hidden_layers=layers,
            vocab_size=vocab, intermediate_size=sizes["ffn"], max_position_embeddings=sizes["context"],
            rope_parameters=rope,
            tie_word_embeddings=family in ("qwen2", "qwen3"), bos_token_id=0, eos_token_id=0))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.05 * torch.randn_like(parameter)
    return model


def load_model(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


class Data:
    """Sequences of a token file, in order."""

    def __init__(self, tokens, mask, documents, sequence):
        self.tokens, self.documents, self.sequence = torch.tensor(tokens), documents, sequence
        self.counts = torch.tensor([1] * len(tokens) if mask is None else list(mask)) > 0
        self.sequences = (len(tokens) - 1) // sequence

    def batch(self, first, count):
        """Inputs and targets, [count, sequence]; targets that do not count are -100."""
        starts = torch.arange(first, first + count) % self.sequences * self.sequence
        at = starts[:, None] + torch.arange(self.sequence)
        return self.tokens[at], torch.where(self.counts[at + 1], self.tokens[at + 1], -100)

    def document_arguments(self, inputs):
        """Positions that start anew behind each end of a document; a mask that is block-diagonal over documents."""
        if not self.documents:
            return {}
        ends = inputs == recipe.END_OF_DOCUMENT
        document = torch.cumsum(ends, 1) - ends.long()  # an end belongs to what it ends
        same = document[:, :, None] == document[:, None, :]
        causal = torch.ones(self.sequence, self.sequence, dtype=torch.bool).tril()
        positions = (same & causal).sum(-1) - 1
        mask = torch.zeros(same.shape).masked_fill(~(same & causal), torch.finfo(torch.float32).min)
        return {"attention_mask": mask[:, None], "position_ids": positions}


def loss_sum(model, data, inputs, targets):
    logits = model(input_ids=inputs, use_cache=False, **data.document_arguments(inputs)).logits
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")


def optimizer_groups(model, run):
    """A group for each parameter; what is frozen has none, and no gradient."""
    groups = []
    for name, parameter in model.named_parameters():
        group = recipe.group_of(recipe.trireme_name(name), run.get("groups", []))
        decays = group.get("decay", parameter.dim() >= 2)
        if group.get("frozen"):
            parameter.requires_grad_(False)
        else:
            groups.append({"params": [parameter], "lr_factor": group.get("lr_factor", 1.0),
                           "weight_decay": run["weight_decay"] if decays else 0.0})
    return groups


def train(model, data, recipe_of_run):
    """One record per step: loss and gradient norm before the update."""
    run = recipe_of_run
    model.train()
    groups = optimizer_groups(model, run)
    parameters = [p for group in groups for p in group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=run["lr"], betas=(run["beta1"], run["beta2"]), eps=run["eps"])
    records = []
    for step in range(run["steps"]):
        first = step * run["global_batch"]
        batches = [data.batch(first + i, run["micro_batch"]) for i in range(0, run["global_batch"], run["micro_batch"])]
        valid = sum(int((targets >= 0).sum()) for _, targets in batches)
        optimizer.zero_grad()
        loss = 0.0
        for inputs, targets in batches:
            part = loss_sum(model, data, inputs, targets) / valid
            part.backward()
            loss += part.item()
        norm = sum(p.grad.double().square().sum().item() for p in parameters) ** 0.5
        scale = min(1.0, run["clip"] / (norm + 1e-6))
        rate = recipe.learning_rate(step, run)
        for p in parameters:
            p.grad *= scale
        for group in optimizer.param_groups:
            group["lr"] = rate * group["lr_factor"]
        optimizer.step()
        records.append({"step": step, "loss": loss, "grad_norm": norm, "lr": rate, "valid_tokens": valid})
    return records


def write_data(folder, variant, vocab, seed, run):
    """NAME.bin, and NAME.mask for ignored targets. Returns Data."""
    tokens = recipe.make_tokens(variant, vocab, seed)
    mask = recipe.make_mask(len(tokens), seed, run) if variant == "ignored" else None
    recipe.write_tokens(os.path.join(folder, variant + ".bin"), tokens)
    if mask is not None:
        with open(os.path.join(folder, variant + ".mask"), "wb") as file:
            file.write(mask)
    return Data(tokens, mask, variant == "documents", run["sequence"])


def read_data(path, config):
    """Data from a token file and the mask beside it, with a case's config."""
    with open(path, "rb") as file:
        tokens = torch.frombuffer(bytearray(file.read()[1024:]), dtype=torch.uint16).tolist()
    mask = path[:-len("bin")] + "mask"
    counts = open(mask, "rb").read() if os.path.exists(mask) else None
    return Data(tokens, counts, config["data"].get("documents", False), config["train"]["sequence"])


def save(model, place, dtype="float32", max_shard_size="5GB"):
    """As transformers does, readable for everybody."""
    model.to(getattr(torch, dtype)).save_pretrained(place, max_shard_size=max_shard_size)
    for file in os.listdir(place):
        os.chmod(os.path.join(place, file), 0o644)


def make(folder, sizes, seed, run, saving=None, families=recipe.FAMILIES):
    """folder/data/VARIANT.bin, and for each family folder/FAMILY: a model and VARIANT.json, what training it did."""
    torch.set_num_threads(1)
    os.makedirs(os.path.join(folder, "data"), exist_ok=True)
    variants = {v: write_data(os.path.join(folder, "data"), v, sizes["vocab"], seed, run) for v in recipe.VARIANTS}
    for number, family in enumerate(recipe.FAMILIES):
        if family not in families:
            continue
        run = dict(run, clip=recipe.CLIP[family])
        place = os.path.join(folder, family)
        save(make_model(family, sizes, seed + number), place, **(saving or {}))
        for variant, data in variants.items():
            documents = {"documents": True, "end_of_document": recipe.END_OF_DOCUMENT} if data.documents else {}
            keys = dict(run, groups=recipe.GROUPS) if variant == "groups" else run
            trajectory = {"made_with": f"torch {torch.__version__}, transformers {transformers.__version__}",
                          "config": {"data": {"order": "sequential", **documents}, "train": keys},
                          "steps": train(load_model(place), data, keys)}
            with open(os.path.join(place, variant + ".json"), "w") as file:
                json.dump(trajectory, file, indent=1)
                file.write("\n")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    make(sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "cases"), recipe.sizes(), 1, recipe.TRAIN,
         families=sys.argv[2:] or recipe.FAMILIES)

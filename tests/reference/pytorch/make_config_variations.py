#!/usr/bin/env python3
"""Takes transformers' loss of every way to write config.json in config_variations.py: cases/config_variations.

Models of their own: weights so large that each change of function is seen, as it is not behind transformers' start.

usage: make_config_variations.py [FAMILIES...]            makes them anew: needs torch and transformers
       make_config_variations.py --check [FAMILIES...]    computes them again and compares with what is stored
"""

import json
import os
import sys
import tempfile

import safetensors.torch
import torch
import transformers

import config_variations
import make_trajectories
import recipe

STORED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "config_variations")
SIZES = recipe.sizes(width=36, heads=3, vocab=131, context=64, layers=2, ffn=50)
SEQUENCE, SEQUENCES = 40, 4
SPREAD = 12  # times the standard deviation of 0.02 with which transformers starts
SAME = 1e-6  # relative: rounding of f32 is a tenth of it, and the least change of function (exact GELU) 2.6e-6
PREFIX = {family: "transformer." if family == "gpt2" else "model." for family in recipe.FAMILIES}
TABLE = {family: PREFIX[family] + ("wte.weight" if family == "gpt2" else "embed_tokens.weight") for family in PREFIX}
HEAD = "lm_head.weight"


def store(tensors, way, family):
    """The same weights under the names and in the number of tensors that `way` says."""
    table = TABLE[family]
    if way == "without the prefix":
        return {name.removeprefix(PREFIX[family]): tensor for name, tensor in tensors.items()}
    if way == "with the head":
        return {HEAD: tensors[table].clone(), **tensors}
    if way == "without the head":
        return {name: tensor for name, tensor in tensors.items() if name != HEAD}
    if way == "the head alone":
        return {HEAD: tensors.get(HEAD, tensors[table]), **{n: t for n, t in tensors.items() if n not in (HEAD, table)}}
    assert way == "as they are", way
    return tensors


def loss_of(folder, batch):
    """Mean loss in f32. Raises what transformers raises, and ValueError where it makes tensors up."""
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    made_up = sorted(info["missing_keys"])
    if made_up:
        raise ValueError(f"transformers makes up {made_up[0]}")
    inputs, targets = batch
    with torch.no_grad():
        logits = model.eval()(input_ids=inputs, use_cache=False, return_dict=True).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), targets.flatten()).item()


def try_variation(variation, config, tensors, family, batch):
    """Its record: loss, or the error of transformers in a line."""
    record = {"name": variation.name, "set": variation.set, "remove": variation.remove, "tensors": variation.tensors}
    record.update({key: getattr(variation, key) for key in ("refused", "reason") if getattr(variation, key)})
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(variation.apply(config), file)
        safetensors.torch.save_file(store(tensors, variation.tensors, family),
                                    os.path.join(folder, "model.safetensors"), {"format": "pt"})
        try:
            return {**record, "loss": loss_of(folder, batch)}
        except Exception as error:  # whatever it is, transformers does not compute it
            line = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return {**record, "error": line.replace(folder, "FOLDER")[:160]}


def expectation(record, base):
    """The loss that Trireme must compute for it; None where it must refuse by the key in `refused`."""
    return None if record.get("refused") else record.get("loss", base)


def mistakes(records, base):
    """Where the list does not go with what transformers does: a line each."""
    for record in records:
        loss = record.get("loss")
        same = loss is not None and abs(loss / base - 1) <= SAME
        if record.get("refused") and same and not record.get("reason"):
            yield f"{record['name']}: transformers computes the same, so a refusal needs a reason"
        if not record.get("refused") and loss is None and not record.get("reason"):
            yield f"{record['name']}: transformers refuses it, and Trireme would not: {record['error']}"


def make_base(family, folder):
    """A model in bf16."""
    model = make_trajectories.make_model(family, SIZES, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter *= SPREAD
    os.makedirs(folder, exist_ok=True)
    make_trajectories.save(model, folder, "bfloat16")
    os.remove(os.path.join(folder, "generation_config.json"))


def make(family):
    """All records of a family, with what is expected of Trireme."""
    folder = os.path.join(STORED, family)
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    tensors = safetensors.torch.load_file(os.path.join(folder, "model.safetensors"))
    tokens = recipe.make_tokens("plain", SIZES["vocab"], 1, SEQUENCE * SEQUENCES + 1)
    batch = make_trajectories.Data(tokens, None, False, SEQUENCE).batch(0, SEQUENCES)
    base = loss_of(folder, batch)
    variations = config_variations.FAMILIES[family]()
    records = [try_variation(variation, config, tensors, family, batch) for variation in variations]
    for record in records:
        record["accepts"] = expectation(record, base)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return {"made_with": versions, "sequence": SEQUENCE, "tokens": tokens, "loss": base, "variations": records}


def write(path, made):
    lines = ",\n".join("  " + json.dumps(record) for record in made["variations"])
    head = json.dumps({key: value for key, value in made.items() if key != "variations"})[:-1]
    with open(path, "w") as file:
        file.write(f'{head}, "variations": [\n{lines}\n]}}\n')


def differs(stored, made):
    """How many records are not what is stored; prints them."""
    count = abs(len(stored["variations"]) - len(made["variations"]))
    for old, new in zip(stored["variations"], made["variations"]):
        losses = old.get("loss"), new.get("loss")
        agrees = losses == (None, None) or (None not in losses and abs(losses[0] / losses[1] - 1) <= SAME)
        if not agrees or old["name"] != new["name"]:
            count += 1
            print(f"DIFFERS {old['name']}: stored {losses[0]}, now {losses[1]} {new.get('error', '')}")
    return count


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    transformers.utils.logging.disable_progress_bar()
    checks, failures = sys.argv[1:2] == ["--check"], 0
    for family in sys.argv[2 if checks else 1:] or config_variations.FAMILIES:
        folder = os.path.join(STORED, family)
        if not checks:
            make_base(family, folder)
        made, path = make(family), os.path.join(folder, "variations.json")
        records = made["variations"]
        same = sum("loss" in r and abs(r["loss"] / made["loss"] - 1) <= SAME for r in records)
        for mistake in mistakes(records, made["loss"]):
            failures += 1
            print(f"MISTAKE {family}: {mistake}")
        print(f"{family}: {len(records)} variations: transformers computes the same for {same}, another loss for "
              f"{sum('loss' in r for r in records) - same}, none for {sum('error' in r for r in records)}; "
              f"Trireme must accept {sum(r['accepts'] is not None for r in records)}", flush=True)
        if checks:
            with open(path) as file:
                failures += differs(json.load(file), made)
        else:
            write(path, made)
    print(f"{failures} failed")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())

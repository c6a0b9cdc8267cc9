"""What ranks hold and take from each other by ZeRO stage: the paper's formulas, summed over uses.

Source: Rajbhandari et al. 2020 (arXiv 1910.02054), sections 5 and 7; node_shard: the secondary partition of ZeRO++ (hpZ),
Wang et al. 2023 (arXiv 2306.10209), which forward reads here, too. All bytes are sums over the ranks; compute and wire bf16.
"""
from dataclasses import dataclass

BLOCK_ELEMS = 1024  # tensors start at multiples of it, slices are multiples of it
VOCAB_MULTIPLE = 128


def ceil_div(a, b):
    return -(-a // b)


@dataclass(frozen=True)
class Stage:
    """A row of the table."""
    zero: int
    node_ranks: int = 0  # ranks of a node where messages go between nodes; 0: one node
    node_shard: bool = False

    def name(self):
        nodes = f", nodes of {self.node_ranks}" if self.node_ranks else ""
        return f"{self.zero}{nodes}{', node_shard' if self.node_shard else ''}"

    def keys(self):
        return ([f"--parallel.zero={self.zero}"] + [f"--parallel.ranks_per_node={self.node_ranks}"] * (self.node_ranks > 0)
                + ["--parallel.node_shard=true"] * self.node_shard)


def units(model, context, vocab):
    """Elements of each tensor, by unit: embedding, blocks, head."""
    width, ffn = model.width, model.ffn
    table, qkv = vocab * width, (model.heads + 2 * model.kv_heads) * (width // model.heads)
    untied = [] if model.tied else [table]
    if model.family == "gpt2":
        block = [width, width, qkv * width, qkv, width * width, width, width, width, ffn * width, ffn, width * ffn, width]
        return [[table, context * width], *[block] * model.layers, [width, width, *untied]]
    block = [width, qkv * width, width * width, width, 2 * ffn * width, width * ffn]
    return [[table], *[block] * model.layers, [width, *untied]]


@dataclass(frozen=True)
class Counts:
    """Elements of a model: psi as the paper has it, or with all padding of our layout."""
    whole: int      # psi, on a rank that holds everything
    psi: int        # all slices together
    uses: int       # what one microbatch reads: each block twice, embedding and head once, a tied table once more
    gradients: int  # what one microbatch writes: a tied table twice

    @classmethod
    def of(cls, elems_of_units, whole, table):
        embedding, *blocks, head = elems_of_units
        return cls(whole, sum(elems_of_units), embedding + 2 * sum(blocks) + head + table, sum(elems_of_units) + table)

    @classmethod
    def of_paper(cls, model, context):
        sizes = [sum(unit) for unit in units(model, context, model.vocab)]
        return cls.of(sizes, sum(sizes), model.tied * model.vocab * model.width)

    @classmethod
    def of_layout(cls, model, context, ranks):
        vocab = ceil_div(model.vocab, VOCAB_MULTIPLE) * VOCAB_MULTIPLE
        blocks = [sum(ceil_div(tensor, BLOCK_ELEMS) for tensor in unit) for unit in units(model, context, vocab)]
        return cls.of([ceil_div(count, ranks) * ranks * BLOCK_ELEMS for count in blocks], sum(blocks) * BLOCK_ELEMS,
                      model.tied * vocab * model.width)


def largest_padding(model, context, ranks):
    """Elements that the layout may add: less than a block per tensor, a block per rank and unit, and to the vocabulary."""
    of_units = units(model, context, model.vocab)
    tables = 1 if model.tied else 2
    return (BLOCK_ELEMS * sum(len(unit) + ranks for unit in of_units)
            + tables * (VOCAB_MULTIPLE - 1) * model.width)


def states(stage, counts, ranks):
    """{kind: (formula for one rank, bytes of all ranks)}, named as `trireme plan --json` does; masters are with optimizer."""
    psi, whole = counts.psi, counts.whole
    if stage.node_shard:
        parameters = "2 psi/R", 2 * psi * ranks // stage.node_ranks
    else:
        parameters = {0: ("2 psi", 2 * whole * ranks), 3: ("2 psi/N", 2 * psi)}.get(stage.zero, ("2 psi", 2 * psi * ranks))
    return {"parameters": parameters,
            "gradients": ("2 grads", 2 * counts.gradients * ranks) if stage.zero <= 1 else ("0", 0),
            "optimizer": ("12 psi", 12 * whole * ranks) if stage.zero == 0 else ("12 psi/N", 12 * psi),
            "sums": ("4 grads/N", 4 * counts.gradients)}


def own_slices(ranks, node_ranks):
    """With node_shard: how many ranks own one of the slices that they hold for their node."""
    return sum(rank // (ranks // node_ranks) == rank % node_ranks for rank in range(ranks))


def gathers(stage, counts, ranks, rounds):
    """(formula for one rank, bytes of all ranks) of a step."""
    others = ranks - 1
    if stage.node_shard:
        node = stage.node_ranks
        within = 2 * counts.uses * ranks // node * (node - 1) * rounds
        refresh = 2 * counts.psi // ranks * (ranks // node * ranks - own_slices(ranks, node))
        return "2 uses (R-1)/R a round + 2 psi/R less own", within + refresh
    if stage.zero == 3:
        return "2 uses (N-1)/N a round", 2 * counts.uses * others * rounds
    return (f"{4 if stage.zero == 0 else 2} psi (N-1)/N", (4 if stage.zero == 0 else 2) * counts.psi * others)


def reduces(counts, ranks, rounds):
    return "2 grads (N-1)/N a round", 2 * counts.gradients * (ranks - 1) * rounds


def messages(stage, counts, ranks, rounds):
    """What of both comes from other nodes."""
    if not stage.node_ranks:
        return "0", 0
    others = ranks - stage.node_ranks
    reduced = 2 * counts.gradients * others * rounds
    if stage.node_shard:
        return "2 grads (N-R)/N a round + 2 psi (N-R)/RN", reduced + 2 * counts.psi * others // stage.node_ranks
    return "2 (grads + uses) (N-R)/N a round", reduced + 2 * counts.uses * others * rounds

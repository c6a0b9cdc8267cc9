"""GPT-2 and Llama in plain PyTorch, as a user would write them. Embedding and head share their table."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    """A transformer block that is computed again in the backward pass where `recompute` says so."""

    def __init__(self, recompute):
        super().__init__()
        self.recompute = recompute

    def forward(self, x):
        return checkpoint(self.body, x, use_reentrant=False) if self.recompute else self.body(x)


class Gpt2Block(Block):
    def __init__(self, sizes):
        super().__init__(sizes.recompute)
        width = sizes.width
        self.heads = sizes.heads
        self.norm1, self.qkv, self.proj = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, sizes.ffn), nn.Linear(sizes.ffn, width)

    def body(self, x):
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


def rope_tables(tokens, head_dim, theta=10000.0):
    """Cosines and sines [tokens, head_dim], halves repeated: the convention of Hugging Face."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.outer(torch.arange(tokens).float(), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x, cosines, sines):
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat((-second, first), dim=-1) * sines


class LlamaBlock(Block):
    def __init__(self, sizes):
        super().__init__(sizes.recompute)
        width, head_dim = sizes.width, sizes.width // sizes.heads
        self.heads, self.kv_heads, self.head_dim = sizes.heads, sizes.kv_heads, head_dim
        linear = lambda inputs, outputs: nn.Linear(inputs, outputs, bias=False)
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.q, self.o = linear(width, width), linear(width, width)
        self.k, self.v = linear(width, sizes.kv_heads * head_dim), linear(width, sizes.kv_heads * head_dim)
        self.gate, self.up, self.down = linear(width, sizes.ffn), linear(width, sizes.ffn), linear(sizes.ffn, width)
        # Plain attributes, not buffers: they are no state, and stay as they are beside bf16 parameters.
        self.tables = [table.bfloat16() if sizes.dtype == "bf16" else table for table in rope_tables(sizes.tokens, head_dim)]

    def split(self, x, heads):
        return x.view(*x.shape[:2], heads, self.head_dim).transpose(1, 2)

    def body(self, x):
        h = self.norm1(x)
        q = rotate(self.split(self.q(h), self.heads), *self.tables)
        k = rotate(self.split(self.k(h), self.kv_heads), *self.tables)
        v = self.split(self.v(h), self.kv_heads)
        # Repeated by hand: on the CPU the fused attention knows no groups, and the plain one makes a T x T matrix.
        k, v = (part.repeat_interleave(self.heads // self.kv_heads, dim=1) for part in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(x.shape))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class LanguageModel(nn.Module):
    """Token table, learned positions for GPT-2, blocks, norm, head, mean cross-entropy."""

    def __init__(self, sizes):
        super().__init__()
        gpt2 = sizes.family == "gpt2"
        self.vocab = sizes.vocab
        self.table = nn.Embedding(sizes.vocab, sizes.width)
        self.positions = nn.Embedding(sizes.tokens, sizes.width) if gpt2 else None
        self.blocks = nn.ModuleList((Gpt2Block if gpt2 else LlamaBlock)(sizes) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width) if gpt2 else nn.RMSNorm(sizes.width, eps=1e-5)
        self.head = nn.Linear(sizes.width, sizes.vocab, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids, targets):
        x = self.table(ids)
        if self.positions is not None:
            x = x + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).float().view(-1, self.vocab), targets.reshape(-1))

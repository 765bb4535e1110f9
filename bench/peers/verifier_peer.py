#!/usr/bin/env python3
"""The Ouroboros training step in PyTorch, as one would write it: a padded batch with a mask, scaled_dot_product_attention,
bfloat16 autocast, fused AdamW; --compile adds torch.compile. Same lengths and pairs as bench/verifier_bench.cpp.

    bench/peers/verifier_peer.py [--cuda] [--compile] [--layers 12] [--hidden 512] [--steps 30] [--groups 16]
"""
import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn


def rotate(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x, mask, cos, sin):
        batch, length, width = x.shape
        q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in self.qkv(self.norm1(x)).split(width, -1))
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=0.1)
        x = x + F.dropout(self.out(y.transpose(1, 2).reshape(batch, length, width)), 0.1)
        return x + F.dropout(self.down(F.gelu(self.up(self.norm2(x)))), 0.1)


class Ouroboros(nn.Module):
    def __init__(self, width, layers, heads=8, vocabulary=50257):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, 1))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, mask, target, cos, sin):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, mask, cos, sin)
        energy = torch.sigmoid(self.head(self.norm(x)).squeeze(-1).float())
        return (energy * target).sum(1) / target.sum(1)


def main():
    parser = argparse.ArgumentParser()
    for name, value in (("layers", 12), ("hidden", 512), ("steps", 30), ("groups", 16)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--cuda", action="store_true")
    parser.add_argument("--compile", action="store_true")
    o = parser.parse_args()
    device = "cuda" if o.cuda else "cpu"
    count = 5 * o.groups
    prompts = [60 + i * 37 % 120 for i in range(count)]
    lengths = [p + 80 + i * 53 % 240 for i, p in enumerate(prompts)]
    longest = max(lengths)
    ids = torch.zeros(count, longest, dtype=torch.long)
    real, target = torch.zeros(count, longest, dtype=torch.bool), torch.zeros(count, longest)
    for i, (prompt, length) in enumerate(zip(prompts, lengths)):
        ids[i, :length] = (i * 7919 + torch.arange(length) * 104729) % 50257
        real[i, :length] = True
        target[i, prompt:length] = 1
    size = o.hidden // 8
    angle = torch.arange(longest)[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)[None]
    batch = [t.to(device) for t in (ids, real[:, None, None], target, angle.cos(), angle.sin())]
    model = Ouroboros(o.hidden, o.layers).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model) if o.compile else model

    def step():
        with torch.autocast(device, torch.bfloat16, enabled=o.cuda):
            energy = forward(*batch).view(o.groups, 5)
            gap = energy[:, 1:] - energy[:, :1]
            loss = (0.5 - gap).clamp_min(0).mean() + 0.05 * (energy[:, 0] ** 2 + ((energy[:, 1:] - 1) ** 2).mean(1)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.item()

    times = []
    for _ in range(o.steps):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    median = sorted(times[o.steps // 4:])[len(times[o.steps // 4:]) // 2]
    print(f"PyTorch {torch.__version__}{' compiled' if o.compile else ''}: {4 * o.groups} pairs a step, {1000 * median:.2f} ms,"
          f" {4 * o.groups / median:.0f} pairs/s")
    with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=o.cuda):
        forward(*batch).sum().item()
        begin = time.perf_counter()
        rounds = 20 if o.cuda else 1
        for _ in range(rounds):
            forward(*batch).sum().item()
        print(f"scoring: {rounds * count / (time.perf_counter() - begin):.0f} energies/s")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes tests/experiments/verifier/fixtures/ouroboros.safetensors: a small OuroborosModel in PyTorch, written from the
published description (padded batch, masks, rotary embedding on interleaved pairs, autograd), with its energies and the
gradient of a loss.

    python scripts/make_verifier_fixtures.py            # needs torch and safetensors; not part of the build
"""
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

VOCABULARY, WIDTH, LAYERS, HEADS = 61, 32, 2, 2
PROMPTS = [[3, 1, 4, 1, 5], [9, 2], [6, 5, 3, 5, 8, 9, 7], [9, 3, 2, 3]]
PROGRAMS = [[8, 4, 6, 2], [6, 4, 3, 3, 8, 3, 2, 7, 9], [5], [50, 28, 8]]


def parameters() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)

    def matrix(*shape: int) -> torch.Tensor:
        return 0.2 * torch.randn(*shape, generator=generator)

    out = {"token_embedding.weight": matrix(VOCABULARY, WIDTH)}
    for i in range(LAYERS):
        out |= {f"blocks.{i}.attention_norm.weight": 1 + matrix(WIDTH), f"blocks.{i}.attention_norm.bias": matrix(WIDTH),
                f"blocks.{i}.attention.qkv.weight": matrix(3 * WIDTH, WIDTH),
                f"blocks.{i}.attention.output.weight": matrix(WIDTH, WIDTH),
                f"blocks.{i}.mlp_norm.weight": 1 + matrix(WIDTH), f"blocks.{i}.mlp_norm.bias": matrix(WIDTH),
                f"blocks.{i}.mlp.up.weight": matrix(4 * WIDTH, WIDTH), f"blocks.{i}.mlp.down.weight": matrix(WIDTH, 4 * WIDTH)}
    out |= {"norm.weight": 1 + matrix(WIDTH), "norm.bias": matrix(WIDTH), "head.inner.weight": matrix(WIDTH // 2, WIDTH),
            "head.inner.bias": matrix(WIDTH // 2), "head.outer.weight": matrix(1, WIDTH // 2), "head.outer.bias": matrix(1)}
    return {name: value.double().requires_grad_() for name, value in out.items()}


def rotate(x: torch.Tensor) -> torch.Tensor:
    """[batch, heads, time, size]: (a, b) of each pair (2i, 2i + 1) becomes (a cos - b sin, a sin + b cos)."""
    size, time = x.shape[-1], x.shape[-2]
    theta = torch.arange(time).double()[:, None] * 10000.0 ** (-torch.arange(0, size, 2).double() / size)[None]
    a, b = x[..., 0::2], x[..., 1::2]
    turned = torch.stack([a * theta.cos() - b * theta.sin(), a * theta.sin() + b * theta.cos()], -1)
    return turned.flatten(-2)


def energies(p: dict[str, torch.Tensor], ids: torch.Tensor, real: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    batch, time = ids.shape
    x = F.embedding(ids, p["token_embedding.weight"])
    for i in range(LAYERS):
        normed = F.layer_norm(x, (WIDTH,), p[f"blocks.{i}.attention_norm.weight"], p[f"blocks.{i}.attention_norm.bias"], 1e-5)
        q, k, v = (t.view(batch, time, HEADS, -1).transpose(1, 2)
                   for t in (normed @ p[f"blocks.{i}.attention.qkv.weight"].T).split(WIDTH, -1))
        scores = rotate(q) @ rotate(k).transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        weights = scores.masked_fill(~real[:, None, None], -math.inf).softmax(-1)
        x = x + (weights @ v).transpose(1, 2).reshape(batch, time, WIDTH) @ p[f"blocks.{i}.attention.output.weight"].T
        normed = F.layer_norm(x, (WIDTH,), p[f"blocks.{i}.mlp_norm.weight"], p[f"blocks.{i}.mlp_norm.bias"], 1e-5)
        x = x + F.gelu(normed @ p[f"blocks.{i}.mlp.up.weight"].T) @ p[f"blocks.{i}.mlp.down.weight"].T
    x = F.layer_norm(x, (WIDTH,), p["norm.weight"], p["norm.bias"], 1e-5)
    inner = F.gelu(x @ p["head.inner.weight"].T + p["head.inner.bias"])
    position = torch.sigmoid(inner @ p["head.outer.weight"].T + p["head.outer.bias"]).squeeze(-1)
    return (position * target).sum(1) / target.sum(1)


def main() -> None:
    p = parameters()
    longest = max(len(a) + len(b) for a, b in zip(PROMPTS, PROGRAMS)) + 3
    ids = torch.full((len(PROMPTS), longest), 60)
    real, target = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids, dtype=torch.bool)
    for row, (prompt, program) in enumerate(zip(PROMPTS, PROGRAMS)):
        ids[row, : len(prompt) + len(program)] = torch.tensor(prompt + program)
        real[row, : len(prompt) + len(program)] = True
        target[row, len(prompt) : len(prompt) + len(program)] = True
    energy = energies(p, ids, real, target)
    loss = (energy * torch.tensor([1.0, -2.0, 0.5, 3.0])).sum()
    loss.backward()
    tensors = {f"parameter.{name}": value.detach() for name, value in p.items()}
    tensors |= {f"gradient.{name}": value.grad for name, value in p.items()}
    tensors["energies"] = energy.detach()
    folder = Path(__file__).resolve().parent.parent / "tests/experiments/verifier/fixtures"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.float().contiguous() for name, value in tensors.items()}, folder / "ouroboros.safetensors")
    print(folder / "ouroboros.safetensors", energy.tolist())


if __name__ == "__main__":
    main()

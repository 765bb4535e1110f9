"""The plan's own way with PyTorch, beside grpo_bench: random bfloat16 weights at the shape of Qwen3-4B, knobs between
random factors, gradients of one sample after the other by autograd; and the library's singular value decomposition.

Usage: grpo_peer.py probe|factors DEVICE [small]
  probe    one step of 8 samples x 700 tokens (prompts 200): forward, backward, gradient to the knobs, for each sample
  factors  torch.linalg.svd of each shape in float32, three times; the sum over all 252 matrices from those
"""
import json
import sys
import time

import torch
import torch.nn.functional as F

SAMPLES, TOKENS, PROMPT = 8, 700, 200


class Shape:
    def __init__(self, small):
        self.hidden, self.inner, self.layers = (64, 96, 2) if small else (2560, 9728, 36)
        self.heads, self.kv, self.size, self.vocabulary = (4, 2, 16, 512) if small else (32, 8, 128, 151936)

    def modules(self):
        q, kv = self.heads * self.size, self.kv * self.size
        return {"q": (q, self.hidden), "k": (kv, self.hidden), "v": (kv, self.hidden), "o": (self.hidden, q),
                "gate": (self.inner, self.hidden), "up": (self.inner, self.hidden), "down": (self.hidden, self.inner)}


def now(device):
    if device == "cuda":
        torch.cuda.synchronize()
    return time.monotonic()


class Linear:
    """y = W x + U (s Vh x) with W, U, Vh constant."""

    def __init__(self, out, inputs, options):
        rank = min(out, inputs)
        self.weight = torch.randn(out, inputs, **options) * 0.02
        self.u = torch.randn(out, rank, **options) / max(out, rank) ** 0.5
        self.vh = torch.randn(rank, inputs, **options) / max(rank, inputs) ** 0.5
        self.s = torch.zeros(rank, device=options["device"], requires_grad=True)

    def __call__(self, x):
        knobs = F.linear(x, self.vh) * self.s
        return F.linear(x, self.weight) + F.linear(knobs.to(x.dtype), self.u)


def norm(x, weight):
    return (x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-6)).to(x.dtype) * weight


class Model:
    def __init__(self, shape, device):
        options = {"device": device, "dtype": torch.bfloat16}
        self.shape = shape
        self.embedding = torch.randn(shape.vocabulary, shape.hidden, **options) * 0.02
        self.layers = [{name: Linear(*sizes, options) for name, sizes in shape.modules().items()}
                       for _ in range(shape.layers)]
        self.ones, self.head_ones = torch.ones(shape.hidden, **options), torch.ones(shape.size, **options)
        frequency = 1e6 ** (-torch.arange(0, shape.size, 2, device=device) / shape.size)
        angle = torch.arange(4096, device=device)[:, None] * frequency
        self.cos, self.sin = (torch.cat([f(angle)] * 2, -1).to(torch.bfloat16) for f in (torch.cos, torch.sin))

    def turned(self, x):
        length, half = x.shape[-2], self.shape.size // 2
        rotated = torch.cat([-x[..., half:], x[..., :half]], -1)
        return x * self.cos[:length] + rotated * self.sin[:length]

    def heads(self, x, count):
        return x.view(1, -1, count, self.shape.size).transpose(1, 2)

    def loss(self, ids, prompt):
        s, x = self.shape, self.embedding[ids][None]
        for layer in self.layers:
            h = norm(x, self.ones)
            q = self.turned(norm(self.heads(layer["q"](h), s.heads), self.head_ones))
            k = self.turned(norm(self.heads(layer["k"](h), s.kv), self.head_ones))
            a = F.scaled_dot_product_attention(q, k, self.heads(layer["v"](h), s.kv), is_causal=True, enable_gqa=True)
            x = x + layer["o"](a.transpose(1, 2).reshape(1, -1, s.heads * s.size))
            h = norm(x, self.ones)
            x = x + layer["down"](F.silu(layer["gate"](h)) * layer["up"](h))
        logits = F.linear(norm(x, self.ones)[0, :-1], self.embedding).float()  # of all tokens, as the plan forms them
        return F.cross_entropy(logits, ids[1:], reduction="none")[prompt - 1:].mean()


def probe(shape, device):
    model = Model(shape, device)
    leaves = [linear.s for layer in model.layers for linear in layer.values()]
    samples = [torch.randint(shape.vocabulary, (TOKENS,), device=device) for _ in range(SAMPLES)]

    def step():
        for ids in samples:
            torch.cat(torch.autograd.grad(model.loss(ids, PROMPT), leaves)).cpu()

    step()
    times = []
    for _ in range(4):
        begin = now(device)
        step()
        times.append(now(device) - begin)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else float("nan")
    print(json.dumps({"peer": "PyTorch, one sample after the other", "samples": SAMPLES, "tokens": TOKENS,
                      "seconds": round(sorted(times)[len(times) // 2], 4), "fastest": round(min(times), 4),
                      "peak_gib": round(peak, 1)}))


def factors(shape, device):
    whole = 0.0
    for name, sizes in shape.modules().items():
        matrix, times = torch.randn(*sizes, device=device) * 0.02, []
        for _ in range(3):
            begin = now(device)
            torch.linalg.svd(matrix, full_matrices=False)
            times.append(now(device) - begin)
        whole += min(times) * shape.layers
        print(json.dumps({"peer": "torch.linalg.svd", "module": name, "shape": sizes, "seconds": round(min(times), 3)}))
    print(json.dumps({"peer": "torch.linalg.svd", "modules": shape.layers * 7, "seconds": round(whole, 1)}))


def main(what, device, *small):
    {"probe": probe, "factors": factors}[what](Shape(bool(small)), device)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ("probe", "factors"):
        sys.exit(__doc__)
    main(*sys.argv[1:])

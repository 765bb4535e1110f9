#!/usr/bin/env python3
"""The peer of load_bench: transformers' from_pretrained on the same folder.

load_peer.py make FOLDER [small]     writes random bfloat16 weights of Qwen2.5-7B's shape (15.2 GB; small: two layers)
load_peer.py run FOLDER cpu|cuda     seconds of from_pretrained, twice
"""
import json
import sys
import time
from pathlib import Path

import torch

HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 3584, 18944, 28, 4, 128, 152064
SHARD_BYTES = 4 << 30


def shapes(layers):
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN)
    for i in range(layers):
        prefix = f"model.layers.{i}."
        for name, rows in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            yield f"{prefix}self_attn.{name}_proj.weight", (rows * HEAD_DIM, HIDDEN)
            yield f"{prefix}self_attn.{name}_proj.bias", (rows * HEAD_DIM,)
        yield f"{prefix}self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD_DIM)
        yield f"{prefix}mlp.gate_proj.weight", (INNER, HIDDEN)
        yield f"{prefix}mlp.up_proj.weight", (INNER, HIDDEN)
        yield f"{prefix}mlp.down_proj.weight", (HIDDEN, INNER)
        yield f"{prefix}input_layernorm.weight", (HIDDEN,)
        yield f"{prefix}post_attention_layernorm.weight", (HIDDEN,)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCAB, HIDDEN)


def make(folder, layers):
    from safetensors.torch import save_file
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shards, held = [{}], 0
    for name, shape in shapes(layers):
        size = 2 * torch.Size(shape).numel()
        if held and held + size > SHARD_BYTES:
            shards.append({})
            held = 0
        held += size
        shards[-1][name] = shape
    where = {}
    for index, shard in enumerate(shards, 1):
        file = f"model-{index:05d}-of-{len(shards):05d}.safetensors"
        tensors = {name: (torch.randn(shape, dtype=torch.bfloat16, device=device) * 0.02).cpu()
                   for name, shape in shard.items()}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        where.update(dict.fromkeys(shard, file))
    (folder / "model.safetensors.index.json").write_text(json.dumps(dict(metadata={}, weight_map=where)))
    (folder / "config.json").write_text(json.dumps(dict(
        architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_size=HIDDEN, intermediate_size=INNER,
        num_hidden_layers=layers, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, vocab_size=VOCAB,
        max_position_embeddings=32768, rms_norm_eps=1e-6, rope_theta=1000000.0, hidden_act="silu",
        tie_word_embeddings=False, torch_dtype="bfloat16", bos_token_id=0, eos_token_id=0)))


def run(folder, device):
    from transformers import AutoModelForCausalLM
    torch.zeros(1, device=device)
    size = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    for turn in range(2):
        start = time.perf_counter()
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map=device)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        print(json.dumps(dict(who="transformers", run=turn, gb=round(size / 1e9, 3), seconds=round(seconds, 3),
                              gb_per_s=round(size / 1e9 / seconds, 3))), flush=True)
        del model


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], 2 if sys.argv[3:] == ["small"] else 28)
    else:
        run(sys.argv[2], sys.argv[3])

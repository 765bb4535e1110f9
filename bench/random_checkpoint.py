#!/usr/bin/env python3
"""Writes a checkpoint of a published model's shape with random weights, in the Hugging Face layout: for timings, never for results.

    bench/random_checkpoint.py SHAPE FOLDER [--layers N] [--seed S] [--threads N] [--device cuda|cpu]

SHAPE is one of qwen2.5-7b (15.2 GB), qwen2.5-1.5b, qwen3-4b, deepseek-coder-1.3b, gpt-oss-20b (experts in MXFP4, 13.8 GB), tiny
(Llama, for trying things out), or the path of a config.json of one of their families. --layers: fewer of them. Needs torch and
nothing else. Weights are bfloat16, normal with standard deviation 0.02, norms one; the same bits for a seed, device type and
version of torch, whatever the threads. The tokenizer is pocket-coder's with its chat template, filled up to the vocabulary by
entries that no text has: it reads and writes as pocket-coder does, and writes the others as "word6144" and so on.
"""
import argparse
import itertools
import json
import os
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

POCKET = Path(__file__).resolve().parent.parent / "jobs" / "models" / "pocket-coder"
SHARD_BYTES = 4 << 30
PIECE_BYTES = 32 << 20  # drawn and written at once
END = 6141  # <|endoftext|> of the tokenizer


def sizes(family, hidden, inner, layers, heads, kv_heads, vocabulary, **others):
    architecture = {"qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama", "gpt_oss": "GptOss"}[family]
    return {
        "architectures": [architecture + "ForCausalLM"], "model_type": family, "hidden_size": hidden, "intermediate_size": inner,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "hidden_act": "silu",
        "vocab_size": vocabulary, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "bos_token_id": END, "eos_token_id": END,
    } | others  # fmt: skip


SHAPES = {
    "qwen2.5-7b": sizes("qwen2", 3584, 18944, 28, 28, 4, 152064),
    "qwen2.5-1.5b": sizes("qwen2", 1536, 8960, 28, 12, 2, 151936, tie_word_embeddings=True),
    "qwen3-4b": sizes("qwen3", 2560, 9728, 36, 32, 8, 151936, head_dim=128, tie_word_embeddings=True, attention_bias=False),
    "deepseek-coder-1.3b": sizes("llama", 2048, 5504, 24, 16, 16, 32256, max_position_embeddings=16384, rope_theta=100000.0,
                                 rope_scaling={"type": "linear", "factor": 4.0}),
    "gpt-oss-20b": sizes("gpt_oss", 2880, 2880, 24, 64, 8, 201088, head_dim=64, num_local_experts=32, num_experts_per_tok=4,
                         sliding_window=128, attention_bias=True, rms_norm_eps=1e-5, rope_theta=150000.0, swiglu_limit=7.0,
                         rope_scaling={"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                                       "original_max_position_embeddings": 4096},
                         max_position_embeddings=131072, quantization_config={"quant_method": "mxfp4"}),
    "tiny": sizes("llama", 64, 128, 3, 2, 2, 32256),
}  # fmt: skip


def attention(config):
    hidden, head = config["hidden_size"], config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    query, key = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    family = config["model_type"]
    for name, out, into in (("q", query, hidden), ("k", key, hidden), ("v", key, hidden), ("o", hidden, query)):
        yield f"self_attn.{name}_proj.weight", (out, into), "BF16"
        if config.get("attention_bias", False) or (family == "qwen2" and name != "o"):
            yield f"self_attn.{name}_proj.bias", (out,), "BF16"
    if family == "qwen3":
        yield "self_attn.q_norm.weight", (head,), "BF16"
        yield "self_attn.k_norm.weight", (head,), "BF16"
    if family == "gpt_oss":
        yield "self_attn.sinks", (config["num_attention_heads"],), "BF16"


def feed_forward(config):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    if config["model_type"] != "gpt_oss":
        for name, out, into in (("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)):
            yield f"mlp.{name}_proj.weight", (out, into), "BF16"
        return
    experts = config["num_local_experts"]
    yield "mlp.router.weight", (experts, hidden), "BF16"
    yield "mlp.router.bias", (experts,), "BF16"
    for name, out, into in (("gate_up", 2 * inner, hidden), ("down", hidden, inner)):
        yield f"mlp.experts.{name}_proj_blocks", (experts, out, into // 32, 16), "U8"
        yield f"mlp.experts.{name}_proj_scales", (experts, out, into // 32), "U8"
        yield f"mlp.experts.{name}_proj_bias", (experts, out), "BF16"


def tensors(config):
    """(name, shape, dtype in safetensors' words) of the whole model."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield "model.embed_tokens.weight", (vocabulary, hidden), "BF16"
    for i in range(config["num_hidden_layers"]):
        for name, shape, dtype in itertools.chain(attention(config), feed_forward(config)):
            yield f"model.layers.{i}.{name}", shape, dtype
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"model.layers.{i}.{name}.weight", (hidden,), "BF16"
    yield "model.norm.weight", (hidden,), "BF16"
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (vocabulary, hidden), "BF16"


def draw(name, dtype, count, seed, device):
    """`count` numbers of a tensor as bytes on the CPU."""
    if "norm" in name:
        values = torch.ones(count, dtype=torch.bfloat16)
    else:
        generator = torch.Generator(device).manual_seed(seed)
        if name.endswith("_scales"):  # 2^-8 to 2^-6, times codes of up to 6
            values = torch.randint(119, 122, (count,), dtype=torch.uint8, device=device, generator=generator)
        elif dtype == "U8":
            values = torch.randint(0, 256, (count,), dtype=torch.uint8, device=device, generator=generator)
        else:
            values = torch.empty(count, device=device).normal_(0, 0.02, generator=generator).to(torch.bfloat16)
    return memoryview(values.view(torch.uint8).cpu().numpy())


def pieces(shard, first, seed):
    """(offset in the file, name, dtype, numbers, seed of the draw) of each part that is drawn at once."""
    for name, (shape, dtype, at) in shard.items():
        size = 2 if dtype == "BF16" else 1
        left, step = torch.Size(shape).numel(), PIECE_BYTES // size
        while left > 0:
            yield first + at, name, dtype, min(left, step), seed
            at, left, seed = at + size * step, left - step, seed + 1


def write_shard(path, shard, options, seed):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, dtype, _) in shard.items():
        size = torch.Size(shape).numel() * (2 if dtype == "BF16" else 1)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        shard[name] = (shape, dtype, at)
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    parts = list(pieces(shard, 8 + len(text), seed))
    with open(path, "wb") as file, ThreadPoolExecutor(options.threads) as pool:
        file.write(struct.pack("<Q", len(text)) + text)
        file.flush()
        file.truncate(8 + len(text) + at)

        def write(part):
            offset, name, dtype, count, own = part
            data = draw(name, dtype, count, own, options.device)
            while data:
                written = os.pwrite(file.fileno(), data, offset)
                data, offset = data[written:], offset + written

        for _ in pool.map(write, parts):
            pass
    return seed + len(parts)


def write_weights(config, folder, options):
    shards, held = [{}], 0
    for name, shape, dtype in tensors(config):
        size = torch.Size(shape).numel() * (2 if dtype == "BF16" else 1)
        if held and held + size > SHARD_BYTES:
            shards.append({})
            held = 0
        held += size
        shards[-1][name] = (shape, dtype, 0)
    where, seed = {}, options.seed << 32
    for index, shard in enumerate(shards, 1):
        file = f"model-{index:05d}-of-{len(shards):05d}.safetensors" if len(shards) > 1 else "model.safetensors"
        seed = write_shard(folder / file, shard, options, seed)
        where |= dict.fromkeys(shard, file)
    if len(shards) > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def write_tokenizer(folder, vocabulary):
    tokenizer = json.loads((POCKET / "tokenizer.json").read_text(encoding="utf-8"))
    known = tokenizer["model"]["vocab"]
    known |= {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    if vocabulary < len(known):
        raise SystemExit(f"random_checkpoint: vocab_size is {vocabulary}; the tokenizer that comes with it has {len(known)} entries")
    known |= {f"word{i}": i for i in range(len(known), vocabulary)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text((POCKET / "tokenizer_config.json").read_text())


def read_config(shape):
    if shape in SHAPES:
        return dict(SHAPES[shape])
    if not Path(shape).is_file():
        raise SystemExit(f"random_checkpoint: {shape} is neither a file nor one of {', '.join(SHAPES)}")
    config = json.loads(Path(shape).read_text())
    if config.get("model_type") not in ("qwen2", "qwen3", "llama", "gpt_oss"):
        raise SystemExit(f"random_checkpoint: {shape}: model_type is {config.get('model_type')}; known are qwen2, qwen3, llama, gpt_oss")
    config.setdefault("tie_word_embeddings", False)
    return config


def write_checkpoint(shape, folder, layers=0, seed=0, threads=0, device=""):
    """Bytes of weights written to FOLDER. layers 0: all; threads 0: one for each core; device "": cuda where there is one."""
    options = argparse.Namespace(seed=seed, threads=threads or os.cpu_count(), device=device or ("cuda" if torch.cuda.is_available() else "cpu"))
    config, folder = read_config(shape), Path(folder)
    if layers:
        config["num_hidden_layers"] = layers
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_tokenizer(folder, config["vocab_size"])
    write_weights(config, folder, options)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="")
    begin = time.perf_counter()
    options = vars(parser.parse_args())
    size = write_checkpoint(**options)
    seconds = time.perf_counter() - begin
    print(json.dumps({"shape": options["shape"], "gb": round(size / 1e9, 3), "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main()

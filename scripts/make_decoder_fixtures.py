#!/usr/bin/env python3
"""Writes tests/lm/fixtures/families: a tiny random checkpoint of each decoder family and what transformers
computes with it.

Needs torch, transformers and safetensors (`pip install torch==2.11.0 transformers safetensors`), which the build
itself does not. Everything is seeded; eager attention and eager experts on one thread. Quantized layouts are
filled with random codes; the reference model gets them decoded: MXFP4 and FP8 by transformers' own code, int4 by
the published formula (and by compressed-tensors too, where it is installed).

Each folder holds a checkpoint and
  expected.json         sequences, greedy continuations of 24 tokens, and how far a float64 run of the same
                        computation is from the float32 numbers (the honest size of a tolerance)
  expected.safetensors  logits.{i} [T, V]        of sequences[i], float32
                        bf16.{i} [T, V]          the same with the model in bfloat16
                        soft.inputs_embeds [n, H], soft.weights [n, V]
                        soft.grad [n, H]         d(sum(weights * log_softmax(logits)))/d inputs_embeds, float32
A folder without expected files holds the tensors of the folder that its name begins with, in another layout.
"""
import json
import math
import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, DeepseekV3Config, GenerationConfig, GptOssConfig, LlamaConfig,
                          Qwen2Config, Qwen3Config)
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from reference_runs import greedy, logits_of

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/lm/fixtures/families"
TOKENS = dict(vocab_size=96, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0)
GQA = dict(TOKENS, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
           num_key_value_heads=2)


# ---- what is stored other than transformers would: older spellings of the config, extra tensors --------------

def older_rope_keys(name):
    """rope_parameters as published before transformers 5: rope_theta beside rope_scaling {name: type}."""
    def edit(config, tensors):
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        kind = rope.pop("rope_type")
        config["rope_scaling"] = None if kind == "default" else {name: kind, **rope}
    return edit


def inverse_frequencies(config, tensors):
    for layer in range(config["num_hidden_layers"]):
        tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(4)


def stored_head(config, tensors):
    """Some exports of tied models keep lm_head.weight."""
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()


def next_token_layer(config, tensors):
    """DeepSeek-V3 stores its multi-token-prediction module as one more layer."""
    layer, hidden = config["num_hidden_layers"], config["hidden_size"]
    config["num_nextn_predict_layers"] = 1
    for name, shape in {"enorm.weight": [hidden], "eh_proj.weight": [hidden, 2 * hidden],
                        "shared_head.norm.weight": [hidden]}.items():
        tensors[f"model.layers.{layer}.{name}"] = torch.zeros(shape)


def without(*keys):
    def edit(config, tensors):
        for key in keys:
            del config[key]
    return edit


def renamed(**values):
    return lambda config, tensors: config.update(values)


# ---- quantized layouts: each replaces weights by random codes and leaves what they decode to -----------------

def mxfp4(config, tensors, plain, generator):
    config["quantization_config"] = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens",
                                   "lm_head"]}
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
        experts, inner, outer = tensors.pop(name).shape
        blocks = torch.randint(0, 256, (experts, outer, inner // 32, 16), generator=generator, dtype=torch.uint8)
        scales = torch.randint(121, 124, (experts, outer, inner // 32), generator=generator, dtype=torch.uint8)
        tensors[name + "_blocks"], tensors[name + "_scales"] = blocks, scales
        plain[name] = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).contiguous()


def fp8_blocks(rows, columns):
    def quantize(config, tensors, plain, generator):
        config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                                         "weight_block_size": [rows, columns]}
        for name in [name for name in tensors if name.endswith("_proj.weight") or "kv_a_proj" in name]:
            shape = tensors[name].shape
            codes = (torch.randn(shape, generator=generator) * 60).clamp(-448, 448).to(torch.float8_e4m3fn)
            grid = (math.ceil(shape[0] / rows), math.ceil(shape[1] / columns))
            scales = 0.0005 + 0.002 * torch.rand(grid, generator=generator)
            tensors[name], tensors[name + "_scale_inv"] = codes, scales
            padded = torch.zeros(grid[0] * rows, grid[1] * columns)
            padded[:shape[0], :shape[1]] = codes.float()
            decoded = Fp8Dequantize(None)._dequantize_one(padded.to(torch.float8_e4m3fn), scales, torch.float32)
            plain[name] = decoded[:shape[0], :shape[1]].contiguous()
    return quantize


def int4_groups(group):
    def quantize(config, tensors, plain, generator):
        weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": group,
                   "dynamic": False, "actorder": None, "observer": "minmax", "block_structure": None}
        config["quantization_config"] = {
            "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
            "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", "re:.*mlp\\.(gate|up|down)_proj.*"],
            "config_groups": {"group_0": {"input_activations": None, "output_activations": None,
                                          "targets": ["Linear"], "weights": weights}}}
        for name in [name for name in tensors if ".mlp.experts." in name]:
            shape = tensors.pop(name).shape
            codes = torch.randint(-8, 8, shape, generator=generator)
            scales = (0.01 + 0.03 * torch.rand(shape[0], shape[1] // group, generator=generator)).bfloat16()
            nibbles = (codes + 8).view(shape[0], shape[1] // 8, 8)
            words = sum(nibbles[..., i] << (4 * i) for i in range(8))
            tensors[name + "_packed"] = torch.where(words >= 2**31, words - 2**32, words).int()
            tensors[name + "_scale"] = scales
            tensors[name + "_shape"] = torch.tensor(shape)
            plain[name] = (codes.view(shape[0], -1, group) * scales.float().unsqueeze(-1)).view(shape)
            check_int4(tensors[name + "_packed"], codes)
    return quantize


def check_int4(packed, codes):
    try:
        from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
    except ImportError:
        return
    assert torch.equal(unpack_from_int32(packed, 4, codes.shape).long(), codes)


# ---- the checkpoints ------------------------------------------------------------------------------------------

GPT_OSS = dict(TOKENS, hidden_size=64, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
               num_key_value_heads=2, head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=8,
               rms_norm_eps=1e-5,
               rope_parameters={"rope_type": "yarn", "rope_theta": 150000.0, "factor": 4.0, "beta_fast": 32.0,
                                "beta_slow": 1.0, "truncate": False, "original_max_position_embeddings": 64})
DEEPSEEK = dict(TOKENS, hidden_size=32, intermediate_size=40, moe_intermediate_size=16, num_hidden_layers=3,
                num_attention_heads=4, num_key_value_heads=4, n_routed_experts=8, n_shared_experts=1,
                num_experts_per_tok=3, n_group=4, topk_group=2, routed_scaling_factor=2.5,
                first_k_dense_replace=1, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=12,
                qk_rope_head_dim=8, v_head_dim=10, num_mtp_layers=0,
                rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 32,
                                 "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0,
                                 "original_max_position_embeddings": 64})

CASES = {
    # Llama 3.2: stretched frequencies, tied although the head is stored, a head width of its own.
    "llama3_tied": dict(seed=21, config=LlamaConfig(
        **GQA, head_dim=12, tie_word_embeddings=True, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 32}),
        edits=[older_rope_keys("rope_type"), stored_head]),
    # deepseek-coder: positions divided by four; the oldest spelling; frequencies stored; no kv heads stated.
    "llama_linear": dict(seed=22, config=LlamaConfig(
        **dict(GQA, num_key_value_heads=4), rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "linear", "rope_theta": 100000.0, "factor": 4.0}),
        edits=[older_rope_keys("type"), inverse_frequencies, without("num_key_value_heads", "head_dim")]),
    "llama_yarn_bias": dict(seed=23, config=LlamaConfig(
        **GQA, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                         "original_max_position_embeddings": 64})),
    "qwen3": dict(seed=24, dtype=torch.float32, config=Qwen3Config(
        **GQA, head_dim=16, rms_norm_eps=1e-6, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}), edits=[older_rope_keys("type")]),
    # Attention biases and a window on all layers but the first.
    "qwen3_window": dict(seed=25, config=Qwen3Config(
        **GQA, head_dim=8, rms_norm_eps=1e-6, attention_bias=True, use_sliding_window=True, sliding_window=8,
        max_window_layers=1, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        edits=[without("layer_types")]),
    "qwen2_window": dict(seed=26, config=Qwen2Config(
        **GQA, rms_norm_eps=1e-6, use_sliding_window=True, sliding_window=5,
        layer_types=["sliding_attention", "full_attention"],
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})),
    "gpt_oss": dict(seed=27, config=GptOssConfig(**GPT_OSS), edits=[older_rope_keys("rope_type")]),
    "gpt_oss_mxfp4": dict(seed=28, config=GptOssConfig(**GPT_OSS), quantize=mxfp4),
    # Grouped routing, both low ranks, one dense layer, the extra layer for more tokens a step.
    "deepseek_v3": dict(seed=114, config=DeepseekV3Config(**DEEPSEEK), edits=[
        older_rope_keys("type"), next_token_layer, without("head_dim", "qk_head_dim")]),
    # No query rank, weights not normalised, all layers sparse, partial blocks at the edges.
    "deepseek_v3_fp8": dict(seed=30, config=DeepseekV3Config(**dict(
        DEEPSEEK, q_lora_rank=None, norm_topk_prob=False, first_k_dense_replace=0, num_hidden_layers=2,
        n_shared_experts=2, routed_scaling_factor=1.5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})), quantize=fp8_blocks(32, 32)),
    "kimi_k2_int4": dict(seed=104, config=DeepseekV3Config(**dict(
        DEEPSEEK, hidden_size=64, moe_intermediate_size=32, n_group=1, topk_group=1, num_hidden_layers=2,
        routed_scaling_factor=2.827,
        rope_parameters={"rope_type": "yarn", "rope_theta": 50000.0, "factor": 32.0, "beta_fast": 1.0,
                         "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
                         "original_max_position_embeddings": 64})),
        edits=[renamed(model_type="kimi_k2")], quantize=int4_groups(32)),
}


def randomize(model, generator):
    """Weights large enough that logits are not flat; norm weights near one, biases not zero."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith("inv_freq"):
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        with torch.no_grad():
            tensor.copy_(1 + 0.1 * noise if "norm" in name else (0.3 if tensor.dim() < 2 or "embed" in name or
                                                                 "lm_head" in name else 0.12) * noise)


def load(folder, dtype):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager",
                                                 experts_implementation="eager").eval()
    model.requires_grad_(False)
    if dtype == torch.float64:  # buffers that transformers keeps in float32 would round what follows
        model.double()
    return model


def soft_gradient(model, embeds, weights):
    embeds = embeds.to(model.dtype).detach().requires_grad_(True)
    logits = model(inputs_embeds=embeds[None], use_cache=False).logits[0]
    (weights.to(model.dtype) * torch.log_softmax(logits, -1)).sum().backward()
    return embeds.grad


def far(a, b):
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


def write(name, case, reference):
    """The fixture's checkpoint and, in `reference`, the plain one that transformers computes with."""
    folder, generator = OUT / name, torch.Generator().manual_seed(case["seed"])
    shutil.rmtree(folder, ignore_errors=True)
    model = AutoModelForCausalLM.from_config(case["config"], attn_implementation="eager")
    randomize(model, generator)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model.to(case.get("dtype", torch.bfloat16)).save_pretrained(reference)
    shutil.copytree(reference, folder)
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    if "quantize" in case:
        plain = dict(tensors)
        case["quantize"](config, tensors, plain, generator)
        save_file(plain, reference / "model.safetensors", {"format": "pt"})
    for edit in case.get("edits", []):
        edit(config, tensors)
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "model.safetensors",
              {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    return folder, generator


def make(name, case):
    with tempfile.TemporaryDirectory() as reference:
        folder, generator = write(name, case, pathlib.Path(reference) / "plain")
        models = [load(pathlib.Path(reference) / "plain", dtype)
                  for dtype in (torch.float32, torch.float64, torch.bfloat16)]
    model, exact, half = models
    vocab, hidden = case["config"].vocab_size, case["config"].hidden_size
    ids = lambda count: torch.randint(3, vocab, (count,), generator=generator).tolist()
    sequences, prompts = [ids(1), ids(5), ids(23)], [ids(1), ids(3), ids(12)]
    embeds = 0.25 * torch.randn(13, hidden, generator=generator)
    weights = torch.randn(13, vocab, generator=generator)
    tensors = {"soft.inputs_embeds": embeds, "soft.weights": weights}
    with torch.no_grad():
        for i, sequence in enumerate(sequences):
            tensors[f"logits.{i}"] = logits_of(model, sequence)
            tensors[f"bf16.{i}"] = logits_of(half, sequence)
        deviation = {"logits": max(far(tensors[f"logits.{i}"], logits_of(exact, s)) for i, s in enumerate(sequences)),
                     "bf16": max(far(tensors[f"bf16.{i}"], logits_of(exact, s)) for i, s in enumerate(sequences))}
        continued = [greedy(model, prompt, 24) for prompt in prompts]
    tensors["soft.grad"] = soft_gradient(model, embeds, weights)
    deviation["gradient"] = far(tensors["soft.grad"], soft_gradient(exact, embeds, weights))
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")
    expected = dict(sequences=sequences, float64_deviation=deviation,
                    greedy=[dict(prompt=p, ids=c, smallest_gap=gap) for p, (c, gap) in zip(prompts, continued)])
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(name, size, json.dumps(deviation), "gaps", [round(gap, 4) for _, gap in continued])


# ---- the layout in which gpt-oss's own code stores it ---------------------------------------------------------

ORIGINAL_KEYS = {"num_hidden_layers": "num_hidden_layers", "num_local_experts": "num_experts",
                 "num_experts_per_tok": "experts_per_token", "vocab_size": "vocab_size", "hidden_size": "hidden_size",
                 "intermediate_size": "intermediate_size", "swiglu_limit": "swiglu_limit", "head_dim": "head_dim",
                 "num_attention_heads": "num_attention_heads", "num_key_value_heads": "num_key_value_heads",
                 "sliding_window": "sliding_window"}
ORIGINAL_NAMES = {"self_attn.sinks": "attn.sinks", "self_attn.o_proj.weight": "attn.out.weight",
                  "self_attn.o_proj.bias": "attn.out.bias", "input_layernorm.weight": "attn.norm.scale",
                  "post_attention_layernorm.weight": "mlp.norm.scale", "mlp.router.weight": "mlp.gate.weight",
                  "mlp.router.bias": "mlp.gate.bias", "mlp.experts.gate_up_proj_blocks": "mlp.mlp1_weight.blocks",
                  "mlp.experts.gate_up_proj_scales": "mlp.mlp1_weight.scales",
                  "mlp.experts.gate_up_proj_bias": "mlp.mlp1_bias",
                  "mlp.experts.down_proj_blocks": "mlp.mlp2_weight.blocks",
                  "mlp.experts.down_proj_scales": "mlp.mlp2_weight.scales", "mlp.experts.down_proj_bias": "mlp.mlp2_bias"}


def make_original(source, name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config = json.loads((OUT / source / "config.json").read_text())
    rope = config["rope_parameters"]
    original = {new: config[old] for old, new in ORIGINAL_KEYS.items()}
    original.update(initial_context_length=rope["original_max_position_embeddings"], rope_theta=rope["rope_theta"],
                    rope_scaling_factor=rope["factor"], rope_ntk_alpha=rope["beta_slow"],
                    rope_ntk_beta=rope["beta_fast"])
    (folder / "config.json").write_text(json.dumps(original) + "\n")
    tensors = load_file(OUT / source / "model.safetensors")
    out = {"embedding.weight": tensors["model.embed_tokens.weight"], "unembedding.weight": tensors["lm_head.weight"],
           "norm.scale": tensors["model.norm.weight"]}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for kind in ("weight", "bias"):
            out[f"block.{layer}.attn.qkv.{kind}"] = torch.cat(
                [tensors[f"{prefix}self_attn.{part}_proj.{kind}"] for part in "qkv"])
        for old, new in ORIGINAL_NAMES.items():
            out[f"block.{layer}.{new}"] = tensors[prefix + old]
    save_file(out, folder / "model.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case_name, settings in CASES.items():
        make(case_name, settings)
    make_original("gpt_oss_mxfp4", "gpt_oss_mxfp4_original")

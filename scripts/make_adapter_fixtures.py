#!/usr/bin/env python3
"""Writes tests/lm/fixtures/adapters: LoRA adapters as PEFT saves them, and the logits of their merged models.

Needs peft beside what make_decoder_fixtures.py needs (`pip install peft`). Each folder holds an adapter for the
checkpoint of tests/lm/fixtures/families that base_model_name_or_path names, and expected.safetensors: ids [T] and
logits [T, V] of PEFT's own merged model in float32.
"""
import pathlib
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "tests/lm/fixtures"

CASES = {
    # Ranks and scales of some modules of their own.
    "patterns": dict(base="qwen3", seed=41, config=dict(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"],
        rank_pattern={"layers.0.self_attn.q_proj": 2}, alpha_pattern={"v_proj": 16})),
    # Every linear layer, scaled by the root of the rank; the head replaced whole.
    "rslora_head": dict(base="llama_linear", seed=42, config=dict(
        r=3, lora_alpha=5, use_rslora=True, target_modules="all-linear", modules_to_save=["lm_head"])),
    # The embedding and the projections of two blocks.
    "embedding": dict(base="deepseek_v3", seed=43, config=dict(
        r=2, lora_alpha=4, target_modules=["model.embed_tokens"] + [
            f"model.layers.{layer}.self_attn.{module}" for layer in (1, 2)
            for module in ("q_b_proj", "kv_b_proj", "o_proj")])),
}


def make(name, case):
    folder, generator = FIXTURES / "adapters" / name, torch.Generator().manual_seed(case["seed"])
    shutil.rmtree(folder, ignore_errors=True)
    base = AutoModelForCausalLM.from_pretrained(FIXTURES / "families" / case["base"], dtype=torch.float32,
                                                attn_implementation="eager", experts_implementation="eager")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **case["config"]))
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    model.peft_config["default"].base_model_name_or_path = case["base"]
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    ids = torch.randint(3, 96, (14,), generator=generator)
    merged = model.merge_and_unload().eval()
    with torch.no_grad():
        logits = merged(input_ids=ids[None], use_cache=False).logits[0]
    save_file({"ids": ids, "logits": logits.contiguous()}, folder / "expected.safetensors")
    print(name, sum(path.stat().st_size for path in folder.iterdir()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case_name, settings in CASES.items():
        make(case_name, settings)

#!/usr/bin/env python3
"""Writes tests/lm/fixtures: tiny random Qwen2 checkpoints and what transformers computes with them.

Needs torch, transformers and safetensors (`pip install torch==2.11.0 transformers safetensors tokenizers
h5py`), which the build itself does not. Everything is seeded; float32 on one thread with eager attention.

qwen2_text/ has a tokenizer as well: expected.json holds prompts as text, their ids, the greedy continuation
as ids, text and log-probabilities, and pooled hidden states; soft_prompts.h5:prompts [3, 4, H] the embeddings of
the first four tokens of the first three prompts.

writer/mixed.safetensors holds a tensor of every dtype. For each checkpoint folder:
  expected.json         ids, settings, greedy continuations, and how far a float64 run of the same
                        computation is from the float32 numbers (the honest size of a tolerance)
  expected.safetensors  logits.{i} [T, V]                 of sequences[i]
                        soft.inputs_embeds [1+K+n, H]     [mode; c; embedded targets without EOS]
                        soft.grad [1+K+n, H]              d(sum of NLL, EOS included)/d inputs_embeds
                        soft.nll [n+1]                    of each target token
                        adam.c0, adam.c [K, H]            initial and final soft prompt
                        adam.loss_q, adam.loss_a [50]     at c before the step (means over tokens)
                        adam.grad_norm [50]               of c, before clipping

A soft prompt sequence is [E[mode]; c_1..c_K; E[y_1]..E[y_n]]; logit rows K, K+1, ..., K+n predict
y_1, ..., y_n, EOS.
"""
import json
import math
import pathlib
import shutil

import h5py
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

from reference_runs import greedy, logits_of

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/lm/fixtures"
K, STEPS, LR = 4, 50, 0.01

COMMON = dict(num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
              bos_token_id=1, eos_token_id=2, pad_token_id=0, use_sliding_window=False)
CASES = {
    # head_dim = hidden / heads; an odd vocabulary.
    "qwen2_tied": dict(seed=11, dtype=torch.float32, config=dict(
        COMMON, vocab_size=101, hidden_size=32, intermediate_size=40, num_hidden_layers=2,
        rms_norm_eps=1e-6, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})),
    # bfloat16 in two shards; three query heads share a key head.
    "qwen2_untied": dict(seed=12, dtype=torch.bfloat16, shard="48KB", config=dict(
        COMMON, vocab_size=160, hidden_size=48, intermediate_size=56, num_hidden_layers=2,
        num_attention_heads=6, rms_norm_eps=1e-5, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})),
    # YaRN whose ramp has a kept, two mixed and several interpolated frequencies; head_dim stated.
    "qwen2_rope": dict(seed=13, dtype=torch.float32, config=dict(
        COMMON, vocab_size=104, hidden_size=32, intermediate_size=40, num_hidden_layers=2,
        head_dim=16, rms_norm_eps=1e-6, tie_word_embeddings=False,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 4.0,
                         "beta_slow": 0.5, "original_max_position_embeddings": 64})),
}


def randomize(model, generator):
    """Weights large enough that logits are not flat; norm weights near one, biases not zero."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            parameter.copy_(1 + 0.1 * noise if "norm" in name else 0.25 * noise)


def load(folder, dtype):
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    model.requires_grad_(False)
    return model


def ids_of(generator, count, vocab):
    return torch.randint(3, vocab, (count,), generator=generator).tolist()


def embeds_of(model, c, mode, target):
    table = model.get_input_embeddings().weight
    return torch.cat([table[mode:mode + 1], c, table[target]])


def token_nll(model, embeds, target, eos):
    logits = model(inputs_embeds=embeds[None], use_cache=False).logits[0]
    labels = torch.tensor(target + [eos])
    return torch.nn.functional.cross_entropy(logits[K:K + len(labels)], labels, reduction="none")


def soft_gradient(model, c, mode, target, eos):
    embeds = embeds_of(model, c.to(model.dtype), mode, target).detach().requires_grad_(True)
    nll = token_nll(model, embeds, target, eos)
    nll.sum().backward()
    return embeds.detach(), nll.detach(), embeds.grad


def adam_run(model, c0, problem, eos):
    """Adam(0.9, 0.999, 1e-8), lr_t = 0.005 (1 + cos(pi t / 50)), gradient norm of c clipped to 1."""
    c = c0.to(model.dtype).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([c], lr=LR)
    rows = {"loss_q": [], "loss_a": [], "grad_norm": []}
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR / 2 * (1 + math.cos(math.pi * step / STEPS))
        optimizer.zero_grad()
        loss = {side: token_nll(model, embeds_of(model, c, problem[f"mode_{side}"], problem[f"target_{side}"]),
                                problem[f"target_{side}"], eos).mean() for side in "qa"}
        (loss["q"] + loss["a"]).backward()
        rows["grad_norm"].append(float(torch.nn.utils.clip_grad_norm_([c], 1.0)))
        for side in "qa":
            rows[f"loss_{side}"].append(float(loss[side].detach()))
        optimizer.step()
    return rows, c.detach()


def far(a, b):
    return float((torch.as_tensor(a).double() - torch.as_tensor(b).double()).abs().max())


def make(name, case):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(case["seed"])
    config = Qwen2Config(**case["config"])
    model = Qwen2ForCausalLM(config)
    randomize(model, generator)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=[2, 3], pad_token_id=0)
    model.to(case["dtype"]).save_pretrained(folder, max_shard_size=case.get("shard", "5GB"))

    vocab, eos = config.vocab_size, config.eos_token_id
    model, exact = load(folder, torch.float32), load(folder, torch.float64)
    sequences = [ids_of(generator, count, vocab) for count in (1, 5, 23)]
    prompts = [ids_of(generator, count, vocab) for count in (1, 3, 8, 20)]
    problem = dict(mode_q=5, mode_a=6, target_q=ids_of(generator, 7, vocab), target_a=ids_of(generator, 3, vocab))
    c0 = 0.25 * torch.randn(K, config.hidden_size, generator=generator)

    tensors, deviation = {}, {}
    with torch.no_grad():
        tensors.update({f"logits.{i}": logits_of(model, ids) for i, ids in enumerate(sequences)})
        deviation["logits"] = max(far(tensors[f"logits.{i}"], logits_of(exact, ids))
                                  for i, ids in enumerate(sequences))
        continued = [greedy(model, prompt, 24) for prompt in prompts]
    soft = soft_gradient(model, c0, problem["mode_q"], problem["target_q"], eos)
    soft_exact = soft_gradient(exact, c0, problem["mode_q"], problem["target_q"], eos)
    for key, value, truth in zip(("inputs_embeds", "nll", "grad"), soft, soft_exact):
        tensors[f"soft.{key}"] = value
        deviation[f"soft.{key}"] = far(value, truth)
    rows, c = adam_run(model, c0, problem, eos)
    rows_exact, c_exact = adam_run(exact, c0, problem, eos)
    tensors.update({f"adam.{key}": torch.tensor(value) for key, value in rows.items()})
    tensors.update({"adam.c0": c0, "adam.c": c})
    deviation.update({f"adam.{key}": far(rows[key], rows_exact[key]) for key in rows}, **{"adam.c": far(c, c_exact)})

    save_file({key: value.float().contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")
    expected = dict(
        sequences=sequences,
        greedy=[dict(prompt=p, ids=ids, smallest_gap=gap) for p, (ids, gap) in zip(prompts, continued)],
        soft=dict(mode=problem["mode_q"], target=problem["target_q"], eos=eos, k=K),
        adam=dict(problem, eos=eos, k=K, steps=STEPS, lr=LR, clip=1.0),
        float64_deviation=deviation)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(name, json.dumps(deviation), "gaps", [round(gap, 4) for _, gap in continued],
          "loss", rows["loss_q"][0], rows["loss_a"][0], "->", rows["loss_q"][-1], rows["loss_a"][-1])


TEXTS = ["The capital of France is Paris.", "Denver won the match; who lost?", "naïve café, 東京 42\n", "a"]


def train_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<pad>", "<s>", "<|end|>", "<|stop|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def make_text_case():
    """A checkpoint with a tokenizer, and what transformers makes of a few texts."""
    folder = OUT / "qwen2_text"
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = train_tokenizer()
    model = Qwen2ForCausalLM(Qwen2Config(**dict(
        COMMON, vocab_size=304, hidden_size=32, intermediate_size=40, num_hidden_layers=1, rms_norm_eps=1e-6,
        tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})))
    randomize(model, torch.Generator().manual_seed(14))
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=[2, 3], pad_token_id=0)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    model = load(folder, torch.float32)
    rows = []
    with torch.no_grad():
        for text in TEXTS:
            prompt = tokenizer.encode(text).ids
            ids, gap = greedy(model, prompt, 16)
            logprobs = torch.log_softmax(logits_of(model, prompt + ids), -1)[len(prompt) - 1:-1]
            states = model.model(input_ids=torch.tensor([prompt])).last_hidden_state[0]
            rows.append(dict(prompt=text, prompt_ids=prompt, ids=ids, smallest_gap=gap,
                             text=tokenizer.decode(ids, skip_special_tokens=False),
                             logprobs=[float(logprobs[i, id]) for i, id in enumerate(ids)],
                             mean=states.mean(0).tolist(), first=states[0].tolist()))
    (folder / "expected.json").write_text(json.dumps(rows, indent=1) + "\n")
    table = model.get_input_embeddings().weight.detach()
    with h5py.File(folder / "soft_prompts.h5", "w") as file:
        file["prompts"] = torch.stack([table[row["prompt_ids"][:4]] for row in rows[:3]]).numpy()
    print("qwen2_text", [round(row["smallest_gap"], 4) for row in rows], [row["text"] for row in rows])


def make_writer_case():
    """One tensor of every dtype, for the order and the padding of a writer."""
    folder = OUT / "writer"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    dtypes = [torch.bool, torch.uint8, torch.int8, torch.float8_e5m2, torch.float8_e4m3fn, torch.float8_e4m3fnuz,
              torch.float8_e5m2fnuz, torch.int16, torch.uint16, torch.float16, torch.bfloat16, torch.int32,
              torch.uint32, torch.float32, torch.complex64, torch.float64, torch.int64, torch.uint64]
    tensors = {f"{'ba'[i % 2]}.{i}": (torch.arange(3) % 2).to(dtype) for i, dtype in enumerate(dtypes)}
    tensors |= {"scalar": torch.tensor(1.5), "none": torch.zeros(2, 0), "naïve": torch.ones(1, 2, 1)}
    save_file(tensors, folder / "mixed.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, case in CASES.items():
        make(name, case)
    make_text_case()
    make_writer_case()

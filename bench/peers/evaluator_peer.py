#!/usr/bin/env python3
"""The peer of evaluator_bench: transformers' greedy generate on the same checkpoint, a batch of different prompts of 40 tokens,
answers of 300, nothing judged.

    bench/peers/evaluator_peer.py MODEL [--device cuda|cpu] [--population 200] [--prompt 40] [--answer 300]
"""
import argparse
import json
import time

import torch
from transformers import AutoModelForCausalLM

IDS = 2000  # that every model here has


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--device", default="cuda")
    for name, value in (("population", 200), ("prompt", 40), ("answer", 300)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    dtype = torch.bfloat16 if options.device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, device_map=options.device).eval()
    model.generation_config.eos_token_id = None  # random weights end nothing
    draw = torch.Generator().manual_seed(1)
    for turn in range(2):  # the first warms up
        ids = torch.randint(IDS, (options.population, options.prompt), generator=draw).to(options.device)
        begin = time.perf_counter()
        with torch.inference_mode():
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=options.answer if turn else 8, do_sample=False)
        if options.device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - begin
    print(json.dumps({"who": "transformers", "population": options.population, "evaluations_per_s": round(options.population / seconds, 2),
                      "tokens_per_s": round(options.population * options.answer / seconds)}))  # fmt: skip


if __name__ == "__main__":
    main()

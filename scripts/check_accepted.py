#!/usr/bin/env python3
"""Decode the accepted prompts of an ips run with transformers (and PEFT): the same ids?

    .venv-reference/bin/python scripts/check_accepted.py RESULTS.h5

Reads model, adapter and prompts from the file and decodes greedily in float32 on the CPU. Exit code 1 where an answer
differs. Needs torch, transformers, peft and h5py.
"""

import json
import sys
from pathlib import Path

import reference_libraries

reference_libraries.require("torch", "transformers", "peft", "pandas")

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "analysis"))

import tables  # noqa: E402


def load(model):
    loaded = AutoModelForCausalLM.from_pretrained(model["dir"], dtype=torch.float32)
    if model.get("adapter"):
        from peft import PeftModel

        loaded = PeftModel.from_pretrained(loaded, model["adapter"]).merge_and_unload()
    return loaded.eval()


def decode(model, prompt, length):
    stops = model.generation_config.eos_token_id
    stops = [stops] if isinstance(stops, int) else stops
    out = model.generate(
        torch.tensor([prompt]), max_new_tokens=length + 1, do_sample=False, eos_token_id=stops, pad_token_id=stops[0]
    )[0, len(prompt) :].tolist()
    return out[:-1] if out and out[-1] in stops else out


def main(path):
    with tables.open_results(Path(path)) as results:
        model = load(tables.config(results)["ips"]["model"])
        rows = tables.table(results, "ips/accepted")
    equal = 0
    for row in rows.itertuples():
        expected = json.loads(row.completion_ids)
        if decode(model, json.loads(row.prompt_ids), len(expected)) == expected:
            equal += 1
        else:
            print(f"{row.target_id}: {row.prompt!r}: differs")
    print(f"{equal} of {len(rows)} accepted prompts: the same ids")
    return 0 if equal == len(rows) else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))

#!/usr/bin/env python3
"""The peer of load_bench: transformers' from_pretrained on the same folder.

load_peer.py FOLDER cpu|cuda     seconds of from_pretrained, twice
"""
import json
import sys
import time
from pathlib import Path

import torch


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
    run(sys.argv[1], sys.argv[2])

#!/usr/bin/env python3
"""The peer of embed_bench: transformers (as sentence-transformers calls it) on the same ids, mean pooling.

embed_peer.py make FOLDER [small]      writes a random checkpoint of GTR-T5-base's shape (small: two layers)
embed_peer.py run FOLDER SENTENCES TOKENS DTYPE DEVICE
"""
import json
import sys
import time

import torch
from transformers import T5Config, T5EncoderModel


def make(folder, layers):
    torch.manual_seed(1)
    model = T5EncoderModel(T5Config(vocab_size=32128, d_model=768, d_kv=64, num_heads=12, d_ff=3072, num_layers=layers))
    model.to(torch.float16).save_pretrained(folder)


def run(folder, sentences, tokens, dtype, device):
    model = T5EncoderModel.from_pretrained(folder, dtype=getattr(torch, dtype)).to(device).eval()
    ids = (torch.arange(sentences)[:, None] * 7919 + torch.arange(tokens)[None] * 104729) % (32128 - 3) + 3
    ids[:, -1] = 1
    batch = max(1, 16384 // tokens)

    def once():
        start, out = time.perf_counter(), []
        with torch.inference_mode():
            for first in range(0, sentences, batch):
                some = ids[first:first + batch].to(device)
                mask = torch.ones_like(some)
                hidden = model(input_ids=some, attention_mask=mask).last_hidden_state
                weights = mask[..., None].to(hidden.dtype)
                out.append(((hidden * weights).sum(1) / weights.sum(1)).float().cpu())
        return time.perf_counter() - start, torch.cat(out)

    runs = [once() for _ in range(4)]
    seconds = sorted(time for time, _ in runs[1:])[1]
    print(json.dumps(dict(who="transformers", sentences_per_s=round(sentences / seconds, 1), seconds=round(seconds, 3),
                          threads=torch.get_num_threads(), checksum=round(float(runs[0][1].abs().mean()), 6))))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], 2 if sys.argv[3:] == ["small"] else 12)
    else:
        run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:7])

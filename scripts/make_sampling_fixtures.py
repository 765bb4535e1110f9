#!/usr/bin/env python3
"""Writes tests/lm/fixtures/sampling.json: what transformers' logits processors make of some rows.

Each case holds logits, the ids so far, the options of lm::SamplingOptions that differ from their
defaults, and the processed row: null where the token was removed. Run in the reference environment.
"""

import json
import pathlib

import torch
from transformers import LogitsProcessorList
from transformers.generation import logits_process as lp

VOCABULARY = 40


def processors(options):
    """In the order of transformers' generate()."""
    out = LogitsProcessorList()
    if "repetition_penalty" in options:
        out.append(lp.RepetitionPenaltyLogitsProcessor(options["repetition_penalty"]))
    if "no_repeat_ngram" in options:
        out.append(lp.NoRepeatNGramLogitsProcessor(options["no_repeat_ngram"]))
    if "temperature" in options:
        out.append(lp.TemperatureLogitsWarper(options["temperature"]))
    if "top_k" in options:
        out.append(lp.TopKLogitsWarper(options["top_k"]))
    if "top_p" in options:
        out.append(lp.TopPLogitsWarper(options["top_p"]))
    if "min_p" in options:
        out.append(lp.MinPLogitsWarper(options["min_p"]))
    return out


CASES = [
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.7},
    {"no_repeat_ngram": 1},
    {"no_repeat_ngram": 2},
    {"no_repeat_ngram": 3},
    {"no_repeat_ngram": 30},
    {"temperature": 0.5},
    {"temperature": 1.7, "top_k": 1},
    {"temperature": 1.0, "top_k": 7},
    {"temperature": 1.0, "top_k": 100},
    {"temperature": 1.0, "top_p": 0.5},
    {"temperature": 1.0, "top_p": 0.95},
    {"temperature": 1.0, "top_p": 0.01},
    {"temperature": 1.0, "min_p": 0.1},
    {"temperature": 1.0, "min_p": 1.0},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.8, "min_p": 0.05},
    {"temperature": 1.3, "top_k": 12, "top_p": 0.9, "repetition_penalty": 1.2, "no_repeat_ngram": 2},
]


def main():
    torch.manual_seed(5)
    out = []
    for options in CASES:
        for scale in (1.0, 4.0):
            logits = (torch.randn(1, VOCABULARY) * scale).float()
            history = torch.randint(0, 6, (1, 25))
            done = processors(options)(history, logits.clone())[0].tolist()
            out.append({
                "options": options,
                "logits": logits[0].tolist(),
                "history": history[0].tolist(),
                "processed": [None if x == float("-inf") else x for x in done],
            })
    path = pathlib.Path(__file__).parent.parent / "tests/lm/fixtures/sampling.json"
    path.write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()

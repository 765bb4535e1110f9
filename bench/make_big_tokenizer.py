#!/usr/bin/env python3
"""Writes a tokenizer.json of the size of a real one: byte-level BPE, 150,000 entries by default, like Qwen's.
usage: bench/make_big_tokenizer.py FOLDER [ENTRIES]. The words are made up (seeded); its only use is to time loading."""
import json
import pathlib
import random
import sys

PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def alphabet():
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in kept] + [chr(0x100 + i) for i in range(256 - len(kept))]


def main():
    folder, entries = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 150_000
    draw = random.Random(1)
    tokens = alphabet()
    known, merges = set(tokens), []
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["Ġ", "Ġ", "Ã", "©"]
    pool = letters[:]
    while len(tokens) < entries - 3:
        left, right = draw.choice(pool), draw.choice(pool if draw.random() < 0.5 else letters)
        whole = left + right
        if whole in known or len(whole) > 14 or "Ġ" in right:
            continue
        known.add(whole)
        tokens.append(whole)
        pool.append(whole)
        merges.append([left, right])
    added = [{"id": len(tokens) + i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
             for i, c in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
    document = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]}, "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False, "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()

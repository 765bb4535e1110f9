#!/usr/bin/env python3
"""Yardsticks for the pocket model: what plain methods need for valid.jsonl, in bits per byte.

    python3 scripts/corpus/corpus_yardstick.py --corpus CORPUS [--model jobs/models/pocket-lm] [--prefix-mb 16]

  - xz -9e and zstd -19 of the validation text alone (all documents, one solid stream);
  - the same after a prefix of training text (the first documents of train.jsonl), charged for the validation part only;
  - interpolated Kneser-Ney models of 1 to 5 tokens on the whole training text under the model's tokenizer.
A trained transformer that is not clearly below the last figure has learned little more than which words follow which.
Needs numpy, tokenizers, zstd on the path. About four minutes on two cores and 3 GB of memory.
"""

import argparse
import json
import lzma
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

ORDER = 5  # the packed key vocabulary ** ORDER has to fit 64 bits: 6144 ** 5 < 2 ** 63


def texts(path, limit=None):
    size = 0
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            text = json.loads(line)["text"]
            size += len(text.encode())
            if limit is not None and size > limit:
                return
            yield text


# ------------------------------------------------------------------------------------------------------ compressors


def xz_size(data):
    # One LZMA2 stream whose window holds all of it.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 27}]
    return len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters))


def zstd_size(data, prefix=None):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "data"
        source.write_bytes(data)
        command = ["zstd", "-19", "--long=27", "-q", "-c", str(source)]
        if prefix is not None:
            (Path(folder) / "prefix").write_bytes(prefix)
            command.insert(1, f"--patch-from={folder}/prefix")
        return len(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


# -------------------------------------------------------------------------------------------------------- Kneser-Ney


def encode(tokenizer, path, end):
    """Token ids of all documents with `end` in front of each, and the bytes of the texts."""
    pieces, size, batch = [], 0, []

    def flush():
        for encoding in tokenizer.encode_batch(batch):
            pieces.append(np.array([end] + encoding.ids, dtype=np.uint16))
        batch.clear()

    for text in texts(path):
        size += len(text.encode())
        batch.append(text)
        if len(batch) == 1000:
            flush()
    flush()
    return np.concatenate(pieces), size


def packed(ids, order, base):
    """Keys of all runs of `order` tokens: the first token is the most significant digit."""
    count = len(ids) - order + 1
    keys = np.zeros(count, dtype=np.uint64)
    for k in range(order):
        keys = keys * np.uint64(base) + ids[k : k + count]
    return keys


class KneserNey:
    """Interpolated, one discount per order (Kneser and Ney 1995; Chen and Goodman 1998, section 2.7)."""

    def __init__(self, ids, order, base):
        self.order, self.base = order, base
        self.levels = {}
        keys, counts = np.unique(packed(ids, order, base), return_counts=True)
        for n in range(order, 0, -1):
            ones, twos = (counts == 1).sum(), (counts == 2).sum()
            discount = ones / (ones + 2 * twos)
            contexts = keys // np.uint64(base)
            starts = np.flatnonzero(np.concatenate(([True], contexts[1:] != contexts[:-1])))
            totals = np.add.reduceat(counts, starts)
            types = np.diff(np.append(starts, len(keys)))
            self.levels[n] = (keys, counts, contexts[starts], totals, types, discount)
            if n > 1:
                # A lower order counts in how many different contexts a run was seen, not how often.
                keys, counts = np.unique(keys % np.uint64(base ** (n - 1)), return_counts=True)

    @staticmethod
    def look_up(table, values, wanted):
        at = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
        return np.where(table[at] == wanted, values[at], 0)

    def probabilities(self, ids):
        """By order: probability of each token of ids[order-1:] given its predecessors. [order] -> [time]"""
        result = {}
        running = np.full(len(ids), 1.0 / self.base)
        for n in range(1, self.order + 1):
            keys, counts, contexts, totals, types, discount = self.levels[n]
            wanted = packed(ids, n, self.base)
            count = self.look_up(keys, counts, wanted)
            context = wanted // np.uint64(self.base)
            total = self.look_up(contexts, totals, context)
            kinds = self.look_up(contexts, types, context)
            lower = running[len(running) - len(wanted) :]
            seen = np.maximum(total, 1)
            mixed = np.maximum(count - discount, 0) / seen + discount * kinds / seen * lower
            running = np.where(total > 0, mixed, lower)
            result[n] = running[self.order - n :]
        return result


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=root / "jobs" / "models" / "pocket-lm")
    parser.add_argument("--prefix-mb", type=float, default=16.0, help="training text in front of the compressors [MB]")
    options = parser.parse_args()

    found = {}
    valid = "".join(texts(options.corpus / "valid.jsonl")).encode()
    prefix = "".join(texts(options.corpus / "train.jsonl", options.prefix_mb * 1e6)).encode()
    bits = 8.0 / len(valid)

    def note(name, value):
        found[name] = round(float(value), 4)
        print(f"{name:60s} {value:.4f} bits per byte", flush=True)

    note("zstd -19, validation text alone", zstd_size(valid) * bits)
    note("xz -9e, validation text alone", xz_size(valid) * bits)
    note(f"zstd -19 after {options.prefix_mb:g} MB of training text", zstd_size(valid, prefix) * bits)

    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    end, base = tokenizer.token_to_id("<|endoftext|>"), tokenizer.get_vocab_size()
    train_ids, _ = encode(tokenizer, options.corpus / "train.jsonl", end)
    model = KneserNey(train_ids, ORDER, base)
    valid_ids, size = encode(tokenizer, options.corpus / "valid.jsonl", end)
    # The first document's opening tokens get the end mark as their history.
    padded = np.concatenate((np.full(ORDER - 1, end, dtype=np.uint16), valid_ids))
    charged = valid_ids != end  # the ends of documents are not part of the text
    for order, probability in model.probabilities(padded).items():
        note(f"Kneser-Ney, {order} tokens, all training text", -np.log2(probability[charged]).sum() / size)

    note(f"xz -9e after {options.prefix_mb:g} MB of training text", (xz_size(prefix + valid) - xz_size(prefix)) * bits)

    report = options.model / "corpus.json"
    noted = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    noted["yardsticks"] = {
        "unit": "bits per byte of the text of valid.jsonl",
        "valid_bytes": len(valid),
        "prefix": f"the first documents of train.jsonl up to {options.prefix_mb:g} MB",
        "figures": found,
    }
    report.write_text(json.dumps(noted, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Verify that a training corpus holds no text reserved for tests.

    python3 scripts/corpus/check_corpus.py CORPUS_DIR --data DIR

Reserved are the contexts and questions of the held-out SQuAD articles (make_samples.HELD_OUT_ARTICLES) and the tasks
1-600 of MBPP (text and code). A document offends if it shares with a reserved text
  - a run of SHINGLE = 13 words (lower-cased runs of letters, digits and "_"), or
  - a whole reserved sentence-like text (question, task) of 6 to 12 words, which has no 13-word run of its own.
Exit status 1 and one line per offending document if there are any. Python standard library and numpy.
"""

import argparse
import json
import random
import re
import sys
from pathlib import Path

import numpy as np

from make_samples import HELD_OUT_ARTICLES, read_jsonl

SHINGLE = 13
SHORTEST_WHOLE_TEXT = 6
MBPP_RESERVED = range(1, 601)
FILTER_BITS = 22

WORD = re.compile(r"\w+")


def words_of(text):
    return WORD.findall(text.lower())


def reserved_texts(data):
    """All texts that must not occur; `data` is the directory of the full data sets."""
    with open(data / "squad" / "dev-v2.0.json", encoding="utf-8") as stream:
        for article in json.load(stream)["data"]:
            if article["title"] in HELD_OUT_ARTICLES:
                for paragraph in article["paragraphs"]:
                    yield paragraph["context"]
                    for question in paragraph["qas"]:
                        yield question["question"]
    for row in read_jsonl(data / "mbpp" / "mbpp.jsonl"):
        if row["task_id"] in MBPP_RESERVED:
            yield row["text"]
            yield row["code"]


class Reserved:
    """Rolling 64-bit hashes of the reserved runs; words outside their vocabulary count as zero.

    A match of 64-bit hashes is taken as a match of words: false alarms have a chance of about 1e-8 per corpus.
    """

    def __init__(self, texts):
        source = random.Random(20240601)
        self.values = {}
        runs = {}
        for text in texts:
            words = words_of(text)
            for word in words:
                if word not in self.values:
                    self.values[word] = source.getrandbits(64) | 1
            for start in range(len(words) - SHINGLE + 1):
                runs.setdefault(SHINGLE, []).append(words[start : start + SHINGLE])
            if SHORTEST_WHOLE_TEXT <= len(words) < SHINGLE:
                runs.setdefault(len(words), []).append(words)
        self.factors = [np.uint64(source.getrandbits(64) | 1) for _ in range(SHINGLE)]
        self.hashes, self.filters = {}, {}
        for length, members in runs.items():
            table = np.array([[self.values[w] for w in run] for run in members], dtype=np.uint64)
            hashes = (table * np.array(self.factors[:length], dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
            self.hashes[length] = set(hashes.tolist())
            # One bit of memory per slot would do; a byte array keeps the look-up a plain gather.
            self.filters[length] = np.zeros(1 << FILTER_BITS, dtype=bool)
            self.filters[length][hashes >> np.uint64(64 - FILTER_BITS)] = True

    def find(self, text):
        """First reserved run in `text` as a string, or None."""
        words = words_of(text)
        values = np.fromiter((self.values.get(w, 0) for w in words), dtype=np.uint64, count=len(words))
        running = np.zeros(len(words), dtype=np.uint64)
        for length in range(1, min(SHINGLE, len(words)) + 1):
            count = len(words) - length + 1
            running = running[:count] + values[length - 1 : length - 1 + count] * self.factors[length - 1]
            if length in self.hashes:
                slots = running >> np.uint64(64 - FILTER_BITS)
                for start in np.flatnonzero(self.filters[length][slots]):
                    if int(running[start]) in self.hashes[length]:
                        return " ".join(words[start : start + length])
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="directory with squad and mbpp")
    options = parser.parse_args()

    reserved = Reserved(reserved_texts(options.data))
    # The check must be able to fail: each reserved text long enough must be found when it is looked for.
    for text in reserved_texts(options.data):
        if len(words_of(text)) >= SHORTEST_WHOLE_TEXT and reserved.find("x " + text + " y") is None:
            sys.exit(f"the search does not find its own reserved text: {text[:80]!r}")

    documents = offending = 0
    for name in ("train.jsonl", "valid.jsonl"):
        with open(options.corpus / name, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                documents += 1
                run = reserved.find(json.loads(line)["text"])
                if run is not None:
                    offending += 1
                    print(f"{name}:{number}: {run}")
    print(f"{documents} documents, {offending} with reserved text")
    sys.exit(1 if offending else 0)


if __name__ == "__main__":
    main()

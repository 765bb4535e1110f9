#!/usr/bin/env python3
"""Pairs of token sequences compared (LCS and Levenshtein) a second: ours, and rapidfuzz's in the same run.

    cmake --build --preset release --target similarity_bench
    .venv-reference/bin/python bench/similarity.py [--pairs 20000] [--tokens 400] [--threads 2]

rapidfuzz gets strings whose code points are the token ids and compares pair by pair inside C++ (process.cpdist),
so that no Python object stands between it and its kernels. The sums of both must agree. Run it on an idle machine."""

import argparse
import json
import subprocess
import time

from rapidfuzz import process
from rapidfuzz.distance import LCSseq, Levenshtein


class Draws:
    def __init__(self, state):
        self.state = state

    def below(self, bound):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % bound


def pair(index, tokens):
    draws = Draws(index)

    def token():
        return draws.below(50) if draws.below(3) == 0 else draws.below(5000)

    a = [token() for _ in range(tokens)]
    b = []
    for i in range(tokens):
        fresh = token()
        b.append(fresh if index % 2 == 0 or draws.below(3) == 0 else a[i])
    return "".join(map(chr, a)), "".join(map(chr, b))  # below the surrogates


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=20000)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    o = parser.parse_args()
    pairs = [pair(i, o.tokens) for i in range(o.pairs)]
    a, b = [p[0] for p in pairs], [p[1] for p in pairs]
    rates = {"preimage": [], "rapidfuzz": []}
    for _ in range(3):  # in turn; the best of each
        ours = json.loads(subprocess.run(["build/release/similarity_bench", str(o.pairs), str(o.tokens), str(o.threads)],
                                         check=True, capture_output=True).stdout)
        rates["preimage"].append(ours["pairs_per_s"])
        begin = time.perf_counter()
        lcs = process.cpdist(a, b, scorer=LCSseq.similarity, workers=o.threads, dtype="int32")
        distance = process.cpdist(a, b, scorer=Levenshtein.distance, workers=o.threads, dtype="int32")
        rates["rapidfuzz"].append(o.pairs / (time.perf_counter() - begin))
        assert int(lcs.sum()) == ours["lcs"] and int(distance.sum()) == ours["distance"], "the sums differ"
    best = {name: round(max(values)) for name, values in rates.items()}
    print(json.dumps({"pairs": o.pairs, "tokens": o.tokens, "threads": o.threads, "pairs_per_s": best,
                      "ratio": round(best["preimage"] / best["rapidfuzz"], 2)}))


if __name__ == "__main__":
    main()

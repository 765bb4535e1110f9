#!/usr/bin/env python3
"""Compares two results.h5 bit by bit, leaving out what is measured (seconds, hosts, memory).

usage: compare_results.py A.h5 B.h5      exit code 0: equal, 1: they differ (each difference is a line)
"""
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "analysis"))

import libraries  # noqa: E402, F401  (first: says which Python has them)
import h5py  # noqa: E402
import numpy as np  # noqa: E402

# Where and when a run took place is no result.
NOT_RESULTS = ("provenance",)


def measured_columns(dataset):
    value = dataset.attrs.get("measured", [])
    if isinstance(value, (bytes, str)):
        text = value.decode() if isinstance(value, bytes) else value
        return set(json.loads(text)) if text.startswith("[") else set(text.split(","))
    return {v.decode() if isinstance(v, bytes) else str(v) for v in value}


def bits(array):
    """Floats as integers, so that NaN equals the same NaN and -0 differs from 0."""
    if array.dtype.kind == "f":
        return array.view(f"u{array.dtype.itemsize}")
    return array


def column_differs(a, b):
    if a.dtype.kind == "O":
        return not all(x == y for x, y in zip(a, b))
    return not np.array_equal(bits(np.ascontiguousarray(a)), bits(np.ascontiguousarray(b)))


def differences(a, b):
    names = [set(), set()]
    for file, found in zip((a, b), names):
        file.visititems(lambda name, item: found.add(name) if isinstance(item, h5py.Dataset) else None)
    for name in sorted(names[0] ^ names[1]):
        yield f"{name}: only in one file"
    for name in sorted(names[0] & names[1]):
        if name.split("/")[0] in NOT_RESULTS:
            continue
        x, y = a[name], b[name]
        if x.shape != y.shape or x.dtype != y.dtype:
            yield f"{name}: shape {x.shape} and {y.shape}, type {x.dtype} and {y.dtype}"
            continue
        left, right = x[()], y[()]
        if x.dtype.names is None:
            if column_differs(left, right):
                yield f"{name}: values differ"
            continue
        skip = measured_columns(x)
        for column in x.dtype.names:
            if column in skip:
                continue
            one, two = left[column], right[column]
            if column_differs(one, two):
                yield f"{name}: column {column} differs"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with h5py.File(sys.argv[1]) as a, h5py.File(sys.argv[2]) as b:
        found = list(differences(a, b))
    for line in found:
        print(line)
    print("equal" if not found else f"{len(found)} differences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

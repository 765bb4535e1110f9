#!/usr/bin/env python3
"""Opens results.h5 files with h5py and pandas, as a reader of them would, and says what does not hold.

    scripts/check_results.py RESULTS.h5...

Every compound dataset must become a pandas.DataFrame, every table carry its schema version, description
and list of measured columns, every tensor its shape, unit, description and axes and an /index that fits.
Needs h5py and pandas. Exit code 1 when something is wrong.
"""
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "analysis"))

import libraries  # noqa: E402, F401  (first: says which Python has them)
import h5py  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

ESCAPES = ("\\\\", "\\u", "\\x")


def check_table(name, data):
    frame = pd.DataFrame(data[:])
    wrong = [key for key in ("schema_version", "description", "measured", "columns") if key not in data.attrs]
    if wrong:
        yield f"attributes missing: {', '.join(wrong)}"
        return
    if list(frame.columns) != list(data.dtype.names) or len(frame) != len(data):
        yield "pandas sees other rows or columns"
    if not isinstance(data.attrs["schema_version"], np.int64):
        yield "schema_version is not an integer"
    for column in data.attrs["measured"]:
        if column not in frame.columns:
            yield f"measured column {column} does not exist"
    if set(json.loads(data.attrs["columns"])) != set(frame.columns):
        yield "attribute columns names other columns"
    for column in frame.columns:
        if h5py.check_string_dtype(data.dtype[column]) is None:
            continue
        if "text_escape" not in data.attrs:
            yield "text without text_escape"
        for text in frame[column]:
            plain = text.decode("utf-8")
            for escape in ESCAPES:
                plain = plain.replace(escape, "")
            if "\0" in plain or "\\" in plain:
                yield f"column {column}: text is not escaped: {text!r}"
                break
    print(f"  {name}: {len(frame)} rows, " + ", ".join(f"{c} {t}" for c, t in frame.dtypes.items()))


def check_tensor(name, data, file):
    wrong = [key for key in ("shape", "unit", "description", "axes") if key not in data.attrs]
    if wrong:
        yield f"attributes missing: {', '.join(wrong)}"
        return
    if tuple(data.attrs["shape"]) != data.shape or len(data.attrs["axes"]) != data.ndim:
        yield "attribute shape or axes does not fit"
    index = file.get("index/" + name)
    if index is None or index.shape != (data.shape[0], data.ndim + 1):
        yield "no index of the right shape"
        return
    for item, sizes in zip(data[:], index[:, 2:]):
        inside = np.zeros(item.shape, bool)
        inside[tuple(slice(0, int(size)) for size in sizes)] = True
        outside = item[~inside] if item.ndim else np.empty(0)
        padded = np.isnan(outside) if data.dtype.kind == "f" else outside == -1
        if not padded.all():
            yield "values outside an item's sizes are not padding"
            break
    if len(index) and "units" in file and index[:, 0].max() >= len(file["units"]):
        yield "index names a unit that is not there"
    print(f"  {name}: {data.shape} {data.dtype}, chunks {data.chunks}, {data.compression}")


def check_file(path):
    failures = []
    with h5py.File(path, "r") as file:
        print(path, file.attrs["format"])
        for group in ("config", "provenance"):
            whole = json.loads(file[group].attrs["json"])
            print(f"  /{group}: {len(file[group].attrs) - 1} leaves of {list(whole)}")

        def visit(name, data):
            if not isinstance(data, h5py.Dataset) or name.startswith("index/"):
                return
            kind = check_table(name, data) if data.dtype.names else check_tensor(name, data, file)
            failures.extend(f"{path}: {name}: {failure}" for failure in kind)

        file.visititems(visit)
    return failures


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failures = [failure for path in sys.argv[1:] for failure in check_file(path)]
    print("\n".join(failures) or "all well")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

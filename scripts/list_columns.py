#!/usr/bin/env python3
"""Prints the tables, columns and tensors of a results.h5 as the Markdown that stands in analysis/README.md.

    .venv/bin/python scripts/list_columns.py RESULTS.h5...

Names, units and descriptions are those that the file itself carries. A table of several files is printed once; a table
that repeats the columns of an earlier one says so. Needs h5py.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "analysis"))

import libraries  # noqa: E402, F401  (first: says which Python has them)
import h5py  # noqa: E402

TYPES = {"i": "int", "u": "uint", "f": "float", "b": "bool"}


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def type_name(dtype):
    if h5py.check_string_dtype(dtype):
        return "text"
    if h5py.check_enum_dtype(dtype):
        return "bool"
    return f"{TYPES.get(dtype.kind, dtype.kind)}{8 * dtype.itemsize if dtype.kind in 'iuf' else ''}"


def print_table(name, data, earlier):
    columns = json.loads(data.attrs["columns"])
    print(f"\n## `{name}`\n\n{data.attrs['description']}. Schema version {int(data.attrs['schema_version'])}.")
    shape = tuple((column, columns[column]["unit"], columns[column]["description"]) for column in data.dtype.names)
    if shape in earlier:
        print(f"Columns as in `{earlier[shape]}`.")
        return
    earlier[shape] = name
    measured = set(data.attrs["measured"])
    print("\n| column | type | unit | what |\n|---|---|---|---|")
    for column, unit, description in shape:
        note = " (measured)" if column in measured else ""
        print(f"| `{column}` | {type_name(data.dtype[column])} | {cell(unit)} | {cell(description)}{note} |")


def print_tensors(tensors):
    if not tensors:
        return
    print("\n## Tensors\n\n| dataset | axes | type | what |\n|---|---|---|---|")
    for name, axes, kind, description in tensors:
        print(f"| `{name}` | [{', '.join(map(str, axes))}] | {kind} | {cell(description)} |")


def main(paths):
    if not paths:
        print(__doc__, file=sys.stderr)
        return 64
    seen, earlier, tensors = set(), {}, []  # the tensors come last
    for path in paths:
        with h5py.File(path) as file:
            found = []
            file.visititems(lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None)
            for name, data in found:
                if name in seen or name.startswith("index/"):
                    continue
                seen.add(name)
                if data.dtype.names:
                    print_table(name, data, earlier)
                elif "axes" in data.attrs:
                    tensors.append((name, list(data.attrs["axes"]), type_name(data.dtype), data.attrs["description"]))
    print_tensors(tensors)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

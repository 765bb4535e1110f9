#!/usr/bin/env python3
"""Writes tests/scripts/pickles: small state dicts by torch.save in both of its layouts, and what they hold
(expected.json: type, shape and bytes of each tensor). Needs torch, which the build itself does not."""
import collections
import json
import pathlib

import torch

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/scripts/pickles"


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(5)
    base = torch.randn(6, 5, generator=generator)
    state = collections.OrderedDict(
        plain=base, tied=base, rows=base[2:4], turned=base.t(), half=base.half(), brain=base.bfloat16(),
        double=base.double()[:, 1], ids=torch.arange(7), small=torch.tensor([1, -2], dtype=torch.int8),
        mask=torch.tensor([True, False]), scalar=torch.tensor(2.5), empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(base[0].clone()))
    state._metadata = {"": {"version": 1}}
    torch.save(state, OUT / "zip.bin")
    torch.save(state, OUT / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": state, "optimizer": [1]}, OUT / "more.bin")
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
             torch.int8: "I8", torch.bool: "BOOL"}
    expected = {name: dict(dtype=names[value.dtype], shape=list(value.shape),
                           bytes=bytes(value.detach().contiguous().flatten().view(torch.uint8).tolist()).hex())
                for name, value in state.items()}
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()

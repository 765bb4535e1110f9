#!/usr/bin/env python3
"""Turns the pickled weights of a checkpoint folder (pytorch_model.bin, its shards, adapter_model.bin) into
safetensors beside them.

    scripts/convert_checkpoint.py DIR [--out DIR] [--force]

A pickle is a program. It is read by torch's restricted loader (weights_only), which runs none of it: it accepts
tensors in plain containers and refuses everything else. Do this on a machine that may be lost all the same. Tensors
that share their memory (tied weights) are written out once each; a view of a larger tensor is written as what it
shows. Needs torch and safetensors; writes *.tmp first and renames, so a broken run leaves nothing half-made.
"""
import argparse
import json
import os
import pathlib
import pickle
import re
import sys

PLAIN_NAMES = {"pytorch_model.bin": "model.safetensors", "adapter_model.bin": "adapter_model.safetensors"}
INDEX = "pytorch_model.bin.index.json"


class Refusal(Exception):
    """What the user is told: place, what was found, what to do."""


def read_pickle(path):
    import torch
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip(path))
    except Exception as error:  # of the loader: many kinds, all of them "this is not plain tensors"
        if not isinstance(error, pickle.UnpicklingError):
            raise Refusal(f"{path}: is damaged or no checkpoint: {str(error).splitlines()[0]}") from error
        # Its own text goes on to advise the unrestricted loader, which is the last thing to do.
        asked = re.search(r"(?:GLOBAL|global:?|class) ([\w.]+)", str(error))
        raise Refusal(f"{path}: is more than plain tensors"
                      f"{' (it asks for ' + asked[1] + ')' if asked else ''} and was not loaded") from error
    if isinstance(state, dict) and set(state) == {"state_dict"}:
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise Refusal(f"{path}: holds a {type(state).__name__}, expected a mapping of names to tensors")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise Refusal(f"{path}: entry {name!r} is a {type(value).__name__}, expected a tensor with a name")
        if value.layout != torch.strided or value.is_quantized or value.is_complex():
            raise Refusal(f"{path}: tensor {name!r} is not a plain tensor ({value.layout}, {value.dtype})")
    return state


def is_zip(path):
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def convert(source, target, force):
    """Returns the bytes of the tensors written, by name."""
    from safetensors.torch import save_file
    if target.exists() and not force:
        raise Refusal(f"{target}: is here already; --force replaces it")
    state = read_pickle(source)
    # clone: of a view only what it shows, and tied tensors apart, as the format demands.
    tensors = {name: value.detach().contiguous().clone() for name, value in state.items()}
    stored = sum(value.numel() * value.element_size() for value in tensors.values())
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in state.values()}
    if sum(storages.values()) > source.stat().st_size:
        raise Refusal(f"{source}: its tensors claim {sum(storages.values())} bytes, the file has "
                      f"{source.stat().st_size}; it is damaged")
    temporary = target.with_name(target.name + ".tmp")
    try:
        save_file(tensors, temporary, {"format": "pt"})
        check_written(temporary, tensors)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{target}: {len(tensors)} tensors, {stored} bytes")
    return {name: value.numel() * value.element_size() for name, value in tensors.items()}


def check_written(path, tensors):
    import torch
    from safetensors import safe_open
    with safe_open(path, "pt") as file:
        if set(file.keys()) != set(tensors):
            raise Refusal(f"{path}: other names were written than read")
        for name, value in tensors.items():
            if not torch.equal(file.get_tensor(name).view(torch.uint8) if value.dim() else file.get_tensor(name),
                               value.view(torch.uint8) if value.dim() else value):
                raise Refusal(f"{path}: tensor {name!r} was written with other bytes")


def plain_name(name, place):
    if not isinstance(name, str) or pathlib.PurePath(name).name != name or name.startswith("."):
        raise Refusal(f"{place}: names the file {name!r}, expected the plain name of a file beside it")
    return name


def convert_shards(folder, out, force):
    index = json.loads((folder / INDEX).read_text())
    shards = sorted({plain_name(name, folder / INDEX) for name in index["weight_map"].values()})
    renamed = {name: name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors" for name in shards}
    weight_map, total = {}, 0
    for name in shards:
        for tensor, size in convert(folder / name, out / renamed[name], force).items():
            weight_map[tensor] = renamed[name]
            total += size
    missing = set(index["weight_map"]) - set(weight_map)
    if missing:
        raise Refusal(f"{folder / INDEX}: {len(missing)} tensors are in no shard, {sorted(missing)[0]!r} among them")
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=1) + "\n"
    (out / "model.safetensors.index.json").write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="checkpoint or adapter folder")
    parser.add_argument("--out", type=pathlib.Path, help="folder to write to (default: the same)")
    parser.add_argument("--force", action="store_true", help="replace safetensors files that are there")
    arguments = parser.parse_args()
    out = arguments.out or arguments.folder
    try:
        out.mkdir(parents=True, exist_ok=True)
        found = [name for name in PLAIN_NAMES if (arguments.folder / name).exists()]
        for name in found:
            convert(arguments.folder / name, out / PLAIN_NAMES[name], arguments.force)
        if (arguments.folder / INDEX).exists():
            convert_shards(arguments.folder, out, arguments.force)
        elif not found:
            raise Refusal(f"{arguments.folder}: holds none of {', '.join([*PLAIN_NAMES, INDEX])}")
    except Refusal as refusal:
        print(f"convert_checkpoint: {refusal}", file=sys.stderr)
        return 65
    return 0


if __name__ == "__main__":
    sys.exit(main())

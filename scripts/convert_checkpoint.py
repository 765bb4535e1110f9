#!/usr/bin/env python3
"""Turns the pickled weights of a checkpoint folder (pytorch_model.bin, its shards, adapter_model.bin) into
safetensors beside them.

    scripts/convert_checkpoint.py DIR [--out DIR] [--force]

A pickle is a program. It is read here by a loader that knows containers and the few functions with which torch.save
writes tensors, and refuses whatever else the file asks for: nothing of it runs. Needs numpy, not torch. Tensors that
share their memory (tied weights) are written out once each; a view of a larger tensor is written as what it shows.
Writes *.tmp first and renames, so a broken run leaves nothing half-made.
"""
import argparse
import collections
import json
import os
import pathlib
import pickle
import struct
import sys
import zipfile

PLAIN_NAMES = {"pytorch_model.bin": "model.safetensors", "adapter_model.bin": "adapter_model.safetensors"}
INDEX = "pytorch_model.bin.index.json"
# Of torch's storage classes: the name of the type in safetensors, and its bytes.
STORAGES = {"DoubleStorage": ("F64", 8), "FloatStorage": ("F32", 4), "HalfStorage": ("F16", 2), "BFloat16Storage": ("BF16", 2),
            "LongStorage": ("I64", 8), "IntStorage": ("I32", 4), "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1),
            "ByteStorage": ("U8", 1), "BoolStorage": ("BOOL", 1)}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class Refusal(Exception):
    """What the user is told: place, what was found, what to do."""


class Storage:
    """Where numbers lie in the file: `read` is filled in when the file is through."""
    __slots__ = ("type", "width", "count", "read")

    def __init__(self, kind, count):
        self.type, self.width = STORAGES[kind]
        self.count, self.read = count, None


class Tensor:
    __slots__ = ("storage", "offset", "shape", "stride")

    def __init__(self, storage, offset, shape, stride, *_):
        self.storage, self.offset, self.shape, self.stride = storage, offset, tuple(shape), tuple(stride)

    def check(self, place):
        numbers = [self.offset, *self.shape, *self.stride]
        if len(self.shape) != len(self.stride) or any(not isinstance(n, int) or n < 0 for n in numbers):
            raise Refusal(f"{place} has the shape {self.shape} and the strides {self.stride}")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.stride))
        if 0 not in self.shape and (last >= self.storage.count or self.size() > self.storage.count):
            raise Refusal(f"{place} reaches beyond the {self.storage.count} numbers of its storage; it is damaged")

    def size(self):
        out = 1
        for n in self.shape:
            out *= n
        return out

    def data(self):
        """Its bytes, row by row."""
        import numpy
        if 0 in self.shape:
            return b""
        width = self.storage.width
        flat = numpy.frombuffer(self.storage.read(), f"u{width}")[self.offset:]
        return numpy.lib.stride_tricks.as_strided(flat, self.shape, [width * step for step in self.stride]).tobytes()


class Loader(pickle.Unpickler):
    def __init__(self, file, storages):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module, name):
        known = {("collections", "OrderedDict"): collections.OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): Tensor,
                 ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor}
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name in STORAGES:
            return name
        raise Refusal(f"is more than plain tensors (it asks for {module}.{name}) and was not loaded")

    def persistent_load(self, saved):
        if len(saved) < 5 or saved[0] != "storage" or saved[1] not in STORAGES or (len(saved) > 5 and saved[5] is not None):
            raise Refusal("holds something else than plain storages and was not loaded")
        storage = self.storages.setdefault(saved[2], Storage(saved[1], saved[4]))
        if (storage.type, storage.width) != STORAGES[saved[1]]:
            raise Refusal(f"reads storage {saved[2]!r} as two types, which is not supported")
        return storage


def load_zip(path):
    """The layout of torch.save since 1.6: a zip archive, nothing of it compressed."""
    archive = zipfile.ZipFile(path)
    entries = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1 or any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()):
        raise Refusal("is no checkpoint of torch.save")
    root, storages = pickles[0].removesuffix("data.pkl"), {}
    if root + "byteorder" in entries and archive.read(root + "byteorder") != b"little":
        raise Refusal("was written on a big-endian machine")
    state = Loader(archive.open(pickles[0]), storages).load()
    for key, storage in storages.items():
        name = f"{root}data/{key}"
        if name not in entries or entries[name].file_size < storage.count * storage.width:
            raise Refusal(f"its storage {key!r} is missing or cut off; it is damaged")
        storage.read = lambda name=name: archive.read(name)
    return state


def load_legacy(path):
    """The layout before: pickles one after the other, then each storage with its size before it."""
    file, storages = open(path, "rb"), {}
    if Loader(file, {}).load() != LEGACY_MAGIC:
        raise Refusal("is no checkpoint of torch.save")
    Loader(file, {}).load(), Loader(file, {}).load()  # protocol, sizes of C types
    state = Loader(file, storages).load()
    for key in Loader(file, {}).load():
        storage = storages[key]
        (count,), begin = struct.unpack("<q", file.read(8)), file.tell()
        if count != storage.count or begin + count * storage.width > path.stat().st_size:
            raise Refusal(f"its storage {key!r} is cut off; it is damaged")

        def read(begin=begin, bytes=count * storage.width):
            with open(path, "rb") as again:
                again.seek(begin)
                return again.read(bytes)
        storage.read = read
        file.seek(begin + count * storage.width)
    return state


def checked(state):
    if isinstance(state, dict) and set(state) == {"state_dict"}:
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise Refusal(f"holds a {type(state).__name__}, expected a mapping of names to tensors")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not isinstance(value.storage, Storage):
            raise Refusal(f"entry {name!r} is a {type(value).__name__}, expected a tensor with a name")
        value.check(f"tensor {name!r}")
    return state


def read_pickle(path):
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
        return checked(load_zip(path) if is_zip else load_legacy(path))
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from None
    except Exception as error:  # of pickle and zipfile: many kinds, all of them "this is no checkpoint"
        raise Refusal(f"{path}: is damaged or no checkpoint: {type(error).__name__} {error}") from error


def convert(source, target, force):
    """Returns the bytes of the tensors written, by name."""
    if target.exists() and not force:
        raise Refusal(f"{target}: is here already; --force replaces it")
    state = read_pickle(source)
    header, sizes, at = {"__metadata__": {"format": "pt"}}, {}, 0
    for name, tensor in state.items():
        sizes[name] = tensor.size() * tensor.storage.width
        header[name] = {"dtype": tensor.storage.type, "shape": tensor.shape, "data_offsets": [at, at + sizes[name]]}
        at += sizes[name]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = target.with_name(target.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor in state.values():
                file.write(tensor.data())
            file.flush()
            os.fsync(file.fileno())
        if temporary.stat().st_size != 8 + len(text) + at:
            raise Refusal(f"{temporary}: {temporary.stat().st_size} bytes were written, expected {8 + len(text) + at}")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{target}: {len(state)} tensors, {at} bytes")
    return sizes


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

#!/usr/bin/env python3
"""scripts/convert_checkpoint.py on state dicts of torch.save (scripts/fixtures/make_pickle_fixtures.py), and on files that are none."""
import json
import os
import pathlib
import pickle
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PICKLES = ROOT / "tests/scripts/pickles"


class Runs:
    """What a hostile pickle would do."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class ConvertCheckpoint(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def convert(self, *options):
        return subprocess.run([sys.executable, ROOT / "scripts/convert_checkpoint.py", self.folder, *options],
                              capture_output=True, text=True)

    def refused(self, data, words):
        (self.folder / "pytorch_model.bin").write_bytes(data)
        ended = self.convert()
        self.assertEqual(ended.returncode, 65, ended.stderr)
        self.assertIn(words, ended.stderr)
        self.assertEqual(ended.stderr.count("\n"), 1, ended.stderr)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["pytorch_model.bin"])

    @staticmethod
    def tensors(path):
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + length])
        header.pop("__metadata__")
        out = {}
        for name, entry in header.items():
            begin, end = entry.pop("data_offsets")
            out[name] = dict(entry, bytes=data[8 + length + begin:8 + length + end].hex())
        return out

    def test_both_layouts(self):
        expected = json.loads((PICKLES / "expected.json").read_text())
        for layout in ("zip.bin", "legacy.bin"):
            shutil.copy(PICKLES / layout, self.folder / "pytorch_model.bin")
            ended = self.convert("--force")
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertEqual(self.tensors(self.folder / "model.safetensors"), expected)
        self.assertIn("--force replaces it", self.convert().stderr)

    def test_shards(self):
        names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
        for name in names:
            shutil.copy(PICKLES / "zip.bin", self.folder / name)
        weight_map = {name: names[0] for name in json.loads((PICKLES / "expected.json").read_text())}
        weight_map["ids"] = names[1]
        index = self.folder / "pytorch_model.bin.index.json"
        index.write_text(json.dumps({"weight_map": weight_map}))
        self.assertEqual(self.convert().returncode, 0)
        self.assertTrue((self.folder / "model-00001-of-00002.safetensors").exists())
        index.write_text(json.dumps({"weight_map": {"a": "../x.bin"}}))
        self.assertIn("plain name", self.convert("--force").stderr)

    def test_nothing_of_a_pickle_runs(self):
        mark = self.folder.parent / (self.folder.name + "-ran")
        hostile = pickle.dumps({"a": Runs(f"touch {mark}")}, 2)
        archive = self.folder / "pytorch_model.bin"
        with zipfile.ZipFile(archive, "w") as out:
            out.writestr("x/data.pkl", hostile)
        self.refused(archive.read_bytes(), "is more than plain tensors (it asks for posix.system) and was not loaded")
        self.refused(hostile, "it asks for posix.system")
        self.assertFalse(mark.exists())

    def test_what_is_no_checkpoint(self):
        whole, legacy = (PICKLES / "zip.bin").read_bytes(), (PICKLES / "legacy.bin").read_bytes()
        self.refused((PICKLES / "more.bin").read_bytes(), "expected a tensor with a name")
        self.refused(b"", "damaged or no checkpoint")
        self.refused(whole[:len(whole) // 2], "damaged or no checkpoint")
        self.refused(legacy[:-9], "it is damaged")
        self.refused(legacy[:40], "damaged or no checkpoint")
        self.refused(pickle.dumps([1], 2), "is no checkpoint of torch.save")
        archive = self.folder / "pytorch_model.bin"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("x/data.pkl", pickle.dumps({}, 2))
        self.refused(archive.read_bytes(), "is no checkpoint of torch.save")


if __name__ == "__main__":
    unittest.main()

"""scripts/fetch.py against a server on this machine: python3 tests/scripts/fetch_test.py"""

import contextlib
import gzip
import hashlib
import http.server
import importlib.util
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fetch.py"
sys.dont_write_bytecode = True  # the source tree stays as it is
_spec = importlib.util.spec_from_file_location("fetch", SCRIPT)
fetch = importlib.util.module_from_spec(_spec)
sys.modules["fetch"] = fetch  # dataclasses look their module up
_spec.loader.exec_module(fetch)

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(BODY).hexdigest()
HUB_COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves server.files; server.cuts holds, one per request to come, how many bytes a body is cut after."""

    def do_GET(self):
        self.server.requests.append((self.command, self.path, self.headers.get("Range")))
        if self.server.errors:
            return self.send_error(self.server.errors.pop(0))
        body = self.server.files.get(self.path.split("?")[0])
        if body is None:
            return self.send_error(404)
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        start = self._start(etag)
        if start >= len(body) > 0 and start:
            return self.send_error(416)
        self._send(body, start, etag)

    do_HEAD = do_GET

    def _start(self, etag):
        wanted = self.headers.get("Range")
        if not wanted or not self.server.ranges or self.headers.get("If-Range", etag) != etag:
            return 0
        return int(wanted.removeprefix("bytes=").split("-")[0])

    def _send(self, body, start, etag):
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", etag)
        self.send_header("X-Repo-Commit", HUB_COMMIT)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.server.cuts.pop(0) if self.server.cuts else None
        with contextlib.suppress(ConnectionError):  # a client that has seen enough hangs up
            self.wfile.write(body[start:] if cut is None else body[start : start + cut])
        self.close_connection = True

    def log_message(self, *_):
        pass


class FetchTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name) / "into"
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.files, self.server.cuts, self.server.errors = {"/set/file.bin": BODY}, [], []
        self.server.requests, self.server.ranges = [], True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.file = self.folder / "file.bin"
        self.part = self.folder / "file.bin.part"

    def download(self, **known):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            fetch.download(f"{self.endpoint}/set/file.bin", self.file, pause=lambda _: None, **known)

    def fails(self, code, **known):
        with self.assertRaises(fetch.FetchError) as caught:
            self.download(**known)
        self.assertEqual(caught.exception.code, code)
        self.assertNotIn("\n", str(caught.exception))
        self.assertFalse(self.file.exists())
        return str(caught.exception)

    def run_main(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = fetch.main([*arguments, "--dir", str(self.folder), "--endpoint", self.endpoint])
        return code, out.getvalue(), err.getvalue()

    def with_data_set(self, data):
        fetch.DATA["set"] = data
        self.addCleanup(fetch.DATA.pop, "set")

    # ---- one file

    def test_whole_file_gets_its_name_and_leaves_nothing_else(self):
        self.download(size=len(BODY), sha256=SHA256)
        self.assertEqual(self.file.read_bytes(), BODY)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["file.bin"])

    def test_second_run_asks_the_server_for_nothing(self):
        self.download(sha256=SHA256)
        self.server.requests.clear()
        self.download(sha256=SHA256)
        self.assertEqual(self.server.requests, [])

    def test_spoilt_file_is_fetched_anew(self):
        self.folder.mkdir()
        self.file.write_bytes(BODY[:-1] + b"?")
        self.download(sha256=SHA256)
        self.assertEqual(self.file.read_bytes(), BODY)

    def test_cut_body_is_resumed_where_it_was_cut(self):
        self.server.cuts = [300_000, 200_000]
        self.download(sha256=SHA256)
        self.assertEqual(self.file.read_bytes(), BODY)
        self.assertEqual([r[2] for r in self.server.requests], [None, "bytes=300000-", "bytes=500000-"])

    def test_body_that_is_always_cut_is_an_error_and_a_later_run_goes_on(self):
        self.server.cuts = [1000] * fetch.ATTEMPTS
        message = self.fails(74, sha256=SHA256)
        self.assertIn("run again", message)
        self.assertEqual(self.part.stat().st_size, 1000 * fetch.ATTEMPTS)
        self.server.requests.clear()
        self.download(sha256=SHA256)
        self.assertEqual(self.file.read_bytes(), BODY)
        self.assertEqual([r[2] for r in self.server.requests], [f"bytes={1000 * fetch.ATTEMPTS}-"])

    def test_server_without_ranges_starts_over(self):
        self.server.ranges, self.server.cuts = False, [300_000]
        self.download(size=len(BODY), sha256=SHA256)
        self.assertEqual(self.file.read_bytes(), BODY)

    def test_file_that_changed_meanwhile_is_not_glued_to_the_old_beginning(self):
        self.server.cuts = [1000] * fetch.ATTEMPTS
        self.fails(74)
        changed = BODY[::-1]
        self.server.files["/set/file.bin"] = changed
        self.download()
        self.assertEqual(self.file.read_bytes(), changed)

    def test_part_of_unknown_origin_is_not_trusted_without_a_hash(self):
        self.folder.mkdir()
        self.part.write_bytes(b"something else")
        self.download()
        self.assertEqual(self.file.read_bytes(), BODY)

    def test_part_longer_than_the_file_is_dropped(self):
        self.folder.mkdir()
        self.part.write_bytes(BODY + b"more")
        self.download(sha256=SHA256)
        self.assertEqual(self.file.read_bytes(), BODY)

    def test_wrong_hash_leaves_nothing(self):
        message = self.fails(65, sha256="0" * 64)
        self.assertIn("SHA-256", message)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_wrong_size_is_refused_before_the_body(self):
        self.assertIn("published file has 5", self.fails(65, size=5))
        self.assertFalse(self.part.exists())

    def test_missing_file(self):
        self.server.files.clear()
        self.assertIn("HTTP 404", self.fails(69))
        self.assertEqual(len(self.server.requests), 1)

    def test_busy_server_is_asked_again(self):
        self.server.errors = [503, 429]
        self.download(sha256=SHA256)
        self.assertEqual(self.file.read_bytes(), BODY)

    def test_no_server(self):
        self.endpoint = "http://127.0.0.1:1"
        self.assertIn("refused", self.fails(69))

    # ---- data sets

    def test_archive_gives_only_the_wanted_members(self):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name in ("top/data/a.json", "top/../../data/evil.json", "top/code.py"):
                member = tarfile.TarInfo(name)
                member.size = 2
                tar.addfile(member, io.BytesIO(b"{}"))
            link = tarfile.TarInfo("top/data/link.json")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
        self.server.files["/set/all.tar.gz"] = packed.getvalue()
        self.with_data_set(fetch.DataSet("none", (fetch.File("http://x/all.tar.gz"),),
                                         members=r"[^/]+/(data/[^/]+\.json)", member_count=1))
        code, _, err = self.run_main("data", "set")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual([p.name for p in (self.folder / "data").iterdir()], ["a.json"])

    def test_archive_cut_by_its_publisher_is_refused(self):
        self.server.files["/set/rows.jsonl.gz"] = gzip.compress(BODY)[:-20]
        self.with_data_set(fetch.DataSet("none", (fetch.File("http://x/rows.jsonl.gz"),), gunzip=True))
        code, _, err = self.run_main("data", "set")
        self.assertEqual(code, 65)
        self.assertEqual(err.count("\n"), 1)
        self.assertFalse((self.folder / "rows.jsonl").exists())

    def test_gunzip(self):
        self.server.files["/set/rows.jsonl.gz"] = gzip.compress(BODY)
        self.with_data_set(fetch.DataSet("none", (fetch.File("http://x/rows.jsonl.gz"),), gunzip=True))
        self.assertEqual(self.run_main("data", "set")[0], 0)
        self.assertEqual((self.folder / "rows.jsonl").read_bytes(), BODY)

    def test_registry_is_well_formed(self):
        for name, data in fetch.DATA.items():
            for file in data.files:
                with self.subTest(name, file=file.local_name):
                    self.assertRegex(file.url, r"^https?://[^ ]+$")
                    self.assertRegex(file.sha256 or "0" * 64, r"^[0-9a-f]{64}$")
                    # plain http is only for what a hash vouches for
                    self.assertTrue(file.url.startswith("https://") or file.sha256)

    # ---- command line

    def run_script(self, *arguments):
        return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)

    def test_list(self):
        done = self.run_script("--list")
        self.assertEqual(done.returncode, 0)
        for name in ("gsm8k", "Qwen/Qwen2.5-7B"):
            self.assertIn(name, done.stdout)

    def test_errors_are_one_line(self):
        gone = ("data", "gsm8k", "--dir", str(self.folder), "--endpoint", self.endpoint)
        for code, arguments in ((69, gone), (64, ("data", "nope")), (64, ("data",)), (64, ("model", "no-slash")),
                                (64, ("data", "gsm8k", "--endpoint", "file:///etc"))):
            with self.subTest(arguments=arguments):
                done = self.run_script(*arguments)
                self.assertEqual(done.returncode, code)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    # ---- checkpoints

    def test_choice_of_files(self):
        wanted, pickles = fetch.choose_files([
            "config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json",
            "merges.txt", "chat_template.jinja", "LICENSE", "1_Pooling/config.json", "2_Dense/pytorch_model.bin",
            "pytorch_model.bin", "pytorch_model.bin.index.json", "original/model.safetensors", "onnx/model.onnx",
            "metal/model.bin", "train_script.py", "modeling_x.py", ".gitattributes"])
        self.assertEqual(wanted, sorted([
            "config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json",
            "merges.txt", "chat_template.jinja", "LICENSE", "1_Pooling/config.json"]))
        self.assertEqual(pickles, ["2_Dense/pytorch_model.bin"])

    def offer_model(self, weights, sha256):
        files = {"config.json": b"{}", "model.safetensors": weights, "pytorch_model.bin": b"pickle"}
        siblings = [{"rfilename": n, "size": len(b), "blobId": hashlib.sha1(b).hexdigest()} for n, b in files.items()]
        siblings[1]["lfs"] = {"sha256": sha256, "size": len(weights), "pointerSize": 130}
        info = json.dumps({"id": "org/model", "modelId": "org/model", "sha": HUB_COMMIT, "siblings": siblings,
                           "private": False, "downloads": 0, "likes": 0, "tags": []}).encode()
        for revision in ("main", HUB_COMMIT):
            self.server.files[f"/api/models/org/model/revision/{revision}"] = info
        tree = [{"type": "file", "path": s["rfilename"], "size": s["size"], "oid": s["blobId"]} for s in siblings]
        self.server.files[f"/api/models/org/model/tree/{HUB_COMMIT}"] = json.dumps(tree).encode()
        for name, body in files.items():
            self.server.files[f"/org/model/resolve/{HUB_COMMIT}/{name}"] = body

    @unittest.skipUnless(importlib.util.find_spec("huggingface_hub"), "the hub's client is not installed")
    def test_checkpoint(self):
        self.offer_model(BODY, SHA256)
        code, out, err = self.run_main("model", "org/model")
        self.assertEqual(code, 0, err)
        self.assertIn(HUB_COMMIT, out)
        self.assertEqual((self.folder / "model.safetensors").read_bytes(), BODY)
        self.assertFalse((self.folder / "pytorch_model.bin").exists())

    @unittest.skipUnless(importlib.util.find_spec("huggingface_hub"), "the hub's client is not installed")
    def test_checkpoint_with_other_weights_than_published(self):
        self.offer_model(BODY, "0" * 64)
        code, _, err = self.run_main("model", "org/model")
        self.assertEqual(code, 65, err)
        self.assertFalse((self.folder / "model.safetensors").exists())

    @unittest.skipUnless(importlib.util.find_spec("huggingface_hub"), "the hub's client is not installed")
    def test_checkpoint_that_is_not_there(self):
        code, _, err = self.run_main("model", "org/other")
        self.assertEqual(code, 69)
        self.assertEqual(err.count("\n"), 1, err)


if __name__ == "__main__":
    unittest.main()

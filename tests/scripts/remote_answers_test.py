"""scripts/lipo/remote_answers.py against a server on this machine, and the program on what it wrote:
python3 tests/scripts/remote_answers_test.py PREIMAGE"""

import contextlib
import http.server
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "lipo" / "remote_answers.py"
PREIMAGE = sys.argv.pop() if len(sys.argv) > 1 and not sys.argv[-1].startswith("-") else None
sys.dont_write_bytecode = True  # the source tree stays as it is
_spec = importlib.util.spec_from_file_location("remote_answers", SCRIPT)
remote = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(remote)
remote.WAIT_S = 0.001


class Handler(http.server.BaseHTTPRequestHandler):
    """An endpoint of chat completions: server.errors are the codes (0: the connection breaks off) of the requests to come."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers.get("Authorization"), body))
        if self.server.errors:
            code = self.server.errors.pop(0)
            if code == 0:
                return self.connection.close()
            return self.send_error(code, "no such luck")
        number = len(self.server.requests)
        text = self.server.text or f'Instruction: "Answer the question {number} briefly."\nBecause it is short.'
        answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode() if self.server.text != "broken" else b'{"choices": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class RemoteAnswers(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.requests, self.server.errors, self.server.text = [], [], ""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_script(self, *arguments):
        url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        argv = [str(SCRIPT), *arguments, "--url", url, "--model", "m", "--answers", str(self.folder / "answers.jsonl")]
        with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(io.StringIO()) as out:
            remote.main()
        return out.getvalue()

    def pool(self, count=7):
        out = self.folder / "ape_instructions.json"
        said = self.run_script("ape", "--items", str(ROOT / "jobs/data/lipo/items.jsonl"), "--count", str(count), "--out", str(out))
        return said, json.loads(out.read_text())

    def test_a_pool_is_written_and_asked_once(self):
        with mock.patch.dict("os.environ", {"OPENAI_API_KEY": "secret"}):
            said, pool = self.pool()
        self.assertIn("7 instructions of 7 calls, 7 asked now", said)
        self.assertEqual(pool["calls"], 7)
        self.assertEqual([i["id"] for i in pool["instructions"]], list(range(7)))
        self.assertEqual(pool["instructions"][0], {"id": 0, "style": "minimalist", "text": "Answer the question 1 briefly."})
        self.assertGreaterEqual(len({i["style"] for i in pool["instructions"]}), 4)
        path, key, body = self.server.requests[0]
        self.assertEqual((path, key, body["model"], body["temperature"], body["max_tokens"]), ("/v1/chat/completions", "Bearer secret", "m", 1.0, 100))
        self.assertIn("Q", body["messages"][0]["content"])
        again, same = self.pool()
        self.assertIn("0 asked now", again)
        self.assertEqual((same, len(self.server.requests)), (pool, 7))

    def test_what_a_stop_left_is_asked_again(self):
        _, pool = self.pool()
        answers = self.folder / "answers.jsonl"
        answers.write_bytes(answers.read_bytes()[:-20])
        said, _ = self.pool()
        self.assertIn("1 asked now", said)
        self.assertEqual(len(answers.read_text().splitlines()), 7)

    def test_a_busy_or_broken_connection_is_tried_again(self):
        self.server.errors = [503, 0, 429]
        said, pool = self.pool(2)
        self.assertIn("2 instructions of 2 calls, 2 asked now", said)
        self.assertEqual(len(self.server.requests), 5)

    def test_errors_say_what_came_back(self):
        self.server.errors = [401]
        with self.assertRaisesRegex(SystemExit, "/chat/completions: 401 no such luck"):
            self.pool(1)
        self.server.errors, self.server.requests = [500] * 9, []
        with self.assertRaisesRegex(SystemExit, "500"):
            self.pool(1)
        self.assertEqual(len(self.server.requests), remote.TRIES)
        self.server.errors, self.server.text = [], "broken"
        with self.assertRaisesRegex(SystemExit, "expected choices"):
            self.pool(1)

    def test_lines_are_answered_in_their_order(self):
        lines, out = self.folder / "in.jsonl", self.folder / "out.jsonl"
        lines.write_text("".join(json.dumps({"id": f"p{i}", "prompt": f"Say {i}", "kept": i}) + "\n" for i in range(3)))
        self.server.text = "Grüße\nzwei"
        self.run_script("ask", "--in", str(lines), "--out", str(out))
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        self.assertEqual(rows, [{"id": f"p{i}", "prompt": f"Say {i}", "kept": i, "text": "Grüße\nzwei"} for i in range(3)])

    @unittest.skipIf(PREIMAGE is None, "no program named")
    def test_the_program_reads_the_pool(self):
        self.pool()
        job = json.loads((ROOT / "jobs/quick/lipo.json").read_text())
        job["lipo"].update(ape_backend="openai", ape_cache_path=str(self.folder / "ape_instructions.json"), ape_num_instructions=7)
        (self.folder / "job.json").write_text(json.dumps(job))
        said = subprocess.run([PREIMAGE, "validate", str(self.folder / "job.json")], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        job["lipo"]["ape_cache_path"] = str(self.folder / "nowhere.json")
        (self.folder / "job.json").write_text(json.dumps(job))
        said = subprocess.run([PREIMAGE, "validate", str(self.folder / "job.json")], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual(said.returncode, 78, said.stdout + said.stderr)
        self.assertIn("nowhere.json", said.stdout + said.stderr)


if __name__ == "__main__":
    unittest.main()

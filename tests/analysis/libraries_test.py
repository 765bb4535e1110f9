"""analysis/*.py with a Python that lacks what they need: one line that says which to use."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [*sorted((ROOT / "analysis").glob("*.py")),
           *(ROOT / "scripts" / name for name in ("compare_results.py", "list_columns.py", "check_results.py"))]


class Libraries(unittest.TestCase):
    def test_one_line_says_which_python(self):
        with tempfile.TemporaryDirectory() as name:
            # A Python with nothing but its own library.
            bare = Path(name) / "bare"
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
            for script in SCRIPTS:
                with self.subTest(script.name):
                    ended = subprocess.run([bare / "bin/python", script, "out/quick-dcm"], capture_output=True,
                                           text=True, check=False, cwd=name)
                    self.assertEqual(ended.returncode, 69, ended.stderr)
                    self.assertEqual(ended.stderr.count("\n"), 1, ended.stderr)
                    self.assertIn("has no h5py", ended.stderr)
                    self.assertIn(str(ROOT / ".venv/bin/python"), ended.stderr)

            for script in ("check_ips.py", "check_accepted.py", "check_grpo.py"):
                with self.subTest(script):
                    ended = subprocess.run([bare / "bin/python", ROOT / "scripts" / script, "x"], capture_output=True,
                                           text=True, check=False, cwd=name)
                    self.assertEqual(ended.returncode, 69, ended.stderr)
                    self.assertEqual(ended.stderr.count("\n"), 1, ended.stderr)
                    self.assertIn(str(ROOT / ".venv-reference/bin/python"), ended.stderr)

    def test_every_script_is_here(self):
        self.assertGreaterEqual(len(SCRIPTS), 9)


if __name__ == "__main__":
    unittest.main()

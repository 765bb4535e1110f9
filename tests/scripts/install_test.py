"""`cmake --install`, scripts/env.sh and completion: install_test.py BUILD_FOLDER."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv.pop()) if len(sys.argv) > 1 else ROOT / "build/release"


def bash(script, *arguments):
    ended = subprocess.run(["bash", "-c", script, "bash", *map(str, arguments)], capture_output=True, text=True,
                           check=False, cwd="/")
    return ended.returncode, ended.stdout, ended.stderr


def completed(program_folder, completion, *words):
    """What bash offers for the last of the words."""
    script = ('PATH="$1:$PATH"; . "$2"; shift 2; COMP_WORDS=(preimage "$@"); COMP_CWORD=$#;'
              ' _preimage preimage "${!#}" x; printf "%s\\n" "${COMPREPLY[@]}"')
    code, out, errors = bash(script, program_folder, completion, *words)
    assert (code, errors) == (0, ""), (code, errors)
    return out.split()


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.prefix = Path(cls.temporary.name)
        subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix], check=True, capture_output=True)
        cls.completion = cls.prefix / "share/bash-completion/completions/preimage"

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_the_installed_program_runs(self):
        ended = subprocess.run([self.prefix / "bin/preimage", "--version"], capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertTrue(ended.stdout.startswith("preimage 0."))
        for helper in ("preimage-lines", "preimage-sandbox", "preimage-hdf5"):
            self.assertTrue(os.access(self.prefix / "bin" / helper, os.X_OK), helper)

    def test_the_installed_program_reads_hdf5_files(self):
        ended = subprocess.run([self.prefix / "bin/preimage", "inspect", ROOT / "tests/app/escape.h5"], capture_output=True,
                               text=True, check=False)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("an HDF5 file of others", ended.stdout)

    def test_completion_offers_commands_options_and_methods(self):
        words = lambda *typed: completed(self.prefix / "bin", self.completion, *typed)  # noqa: E731
        self.assertEqual(words("gener"), ["generate"])
        self.assertIn("judge", words(""))
        self.assertEqual(words("generate", "--mod"), ["--model"])
        self.assertEqual(words("run", "--res"), ["--resume"])
        self.assertEqual(words("schema", "dc"), ["dcm"])
        self.assertEqual(words("help", "tok"), ["tokenize"])
        self.assertEqual(words("run", "jobs/"), [])  # files are bash's own

    def test_env_puts_the_program_on_the_path_once(self):
        code, out, errors = bash('PATH=/usr/bin:/bin; . "$1"; . "$1"; echo "$PATH"; complete -p preimage', ROOT / "scripts/env.sh")
        self.assertEqual((code, errors), (0, ""))
        path, completion = out.splitlines()
        self.assertEqual(path.split(":").count(str(ROOT / "build/release")), 1)
        self.assertEqual(path.split(":")[0], str(ROOT / "build/release"))
        self.assertIn("_preimage", completion)


if __name__ == "__main__":
    unittest.main()

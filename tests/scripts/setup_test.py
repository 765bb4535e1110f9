"""scripts/setup.sh: which Python the virtual environment is made from, tried as another user."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SETUP = Path(__file__).resolve().parents[2] / "scripts/setup.sh"
NOBODY = 65534


def call(function, *arguments, path=None):
    """A function of setup.sh in a shell of its own."""
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run(["bash", "-c", f'. "$1"; shift; {function} "$@"', "bash", SETUP, *map(str, arguments)], env=environment,
                          capture_output=True, text=True, check=False)


def distribution_python_will_do():
    code = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, check=False).returncode == 0


class Python(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.folder.chmod(0o755)
        # A Python of somebody's own, first in PATH, in a home that others cannot enter.
        home = self.folder / "home"
        home.mkdir(mode=0o700)
        (home / "python3").symlink_to(sys.executable)
        self.path = f"{home}:{os.environ['PATH']}"

    def test_the_distributions_comes_before_one_in_a_home(self):
        if not distribution_python_will_do():
            self.skipTest("/usr/bin/python3 is no Python 3.11 or newer with venv")
        self.assertEqual(call("choose_python", path=self.path).stdout, "/usr/bin/python3\n")

    def test_another_user_can_run_what_is_made(self):
        if os.geteuid() != 0 or not distribution_python_will_do():
            self.skipTest("needs root, and a distribution's Python 3.11 or newer")
        made = call("make_venv", self.folder / "venv", path=self.path)
        self.assertEqual(made.returncode, 0, made.stderr)
        python = self.folder / "venv/bin/python"
        self.assertEqual(call("open_to_all", python).returncode, 0)
        ended = subprocess.run([python, "-c", "print(6 * 7)"], user=NOBODY, group=NOBODY, extra_groups=[],
                               capture_output=True, text=True, check=False, cwd="/")
        self.assertEqual((ended.returncode, ended.stdout), (0, "42\n"), ended.stderr)

    def test_a_private_python_is_named(self):
        (self.folder / "home/python").write_text("")
        (self.folder / "home/python").chmod(0o755)
        venv = self.folder / "venv/bin"
        venv.mkdir(parents=True)
        (venv / "python").symlink_to(self.folder / "home/python")
        self.assertNotEqual(call("open_to_all", venv / "python").returncode, 0)
        self.assertIn("home/python, which other users cannot",
                      call("warn_of_private_python", self.folder / "venv").stdout)


class Help(unittest.TestCase):
    def test_help_says_what_a_script_does_and_does_nothing(self):
        scripts = sorted(path for folder in ("scripts", "bench") for path in (SETUP.parents[1] / folder).glob("*.sh")
                         if path.name not in ("env.sh", "arguments.sh"))  # those are read by shells and scripts
        self.assertGreaterEqual(len(scripts), 10)
        for script in scripts:
            with self.subTest(script.name), tempfile.TemporaryDirectory() as home:
                ended = subprocess.run(["bash", script, "--help"], capture_output=True, text=True, check=False, timeout=20,
                                       stdin=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin", "HOME": home}, cwd=home)
                self.assertEqual((ended.returncode, ended.stderr), (0, ""))
                self.assertGreater(len(ended.stdout), 40)
                self.assertNotIn("will install", ended.stdout)


if __name__ == "__main__":
    unittest.main()

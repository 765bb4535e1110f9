#!/usr/bin/env python3
"""Fetches published checkpoints and data sets, for a machine that reaches the network.

    scripts/fetch.py --list
    scripts/fetch.py data gsm8k                           into data/gsm8k
    .venv/bin/python scripts/fetch.py model Qwen/Qwen2.5-7B    into models/Qwen/Qwen2.5-7B

Data sets need only Python's own library. Checkpoints go through the hub's client (scripts/setup.sh --fetch).
A transfer that was cut is resumed; a file gets its name only when its size, and where it is known its
SHA-256, are right. Of checkpoints only safetensors are taken: a pickle can run code when it is loaded.

Exit codes: 0 done, 64 usage, 65 the data are not what was published, 69 not to be had, 74 transfer or disk.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import sys
import tarfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Callable, NoReturn

EX_USAGE, EX_DATA, EX_UNAVAILABLE, EX_IO = 64, 65, 69, 74
CHUNK = 1 << 20  # bytes
TIMEOUT_S = 60
ATTEMPTS = 5  # each resumes where the one before was cut


class FetchError(Exception):
    """What went wrong, in one line, and the exit code that says so."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


# ---------------------------------------------------------------- what there is


@dataclass(frozen=True)
class File:
    """A published file; size in bytes and SHA-256 where they are known."""

    url: str
    size: int | None = None
    sha256: str | None = None
    name: str = ""  # where the address does not end in a good one

    @property
    def local_name(self) -> str:
        return self.name or PurePosixPath(self.url).name


@dataclass(frozen=True)
class DataSet:
    licence: str
    files: tuple[File, ...]
    # Members of an archive to unpack: the first group is the path below the data set's folder.
    members: str = ""
    member_count: int | None = None
    gunzip: bool = False


@dataclass(frozen=True)
class Checkpoint:
    licence: str
    gigabytes: float  # about, of the files that are fetched


_SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
_GSM8K = (
    "https://raw.githubusercontent.com/openai/grade-school-math/"
    "3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data/"
)
_MBPP = "https://raw.githubusercontent.com/google-research/google-research/master/mbpp/"
_TRIVIAQA = "https://nlp.cs.washington.edu/triviaqa/data/"

# Sizes and hashes: those of the files as downloaded by the `datasets` library's loaders, and, for GSM8K, MBPP
# and HumanEval, as counted again in the files themselves.
DATA: dict[str, DataSet] = {
    "squad": DataSet("CC BY-SA 4.0", (
        File(_SQUAD + "train-v2.0.json", 42_123_633,
             "68dcfbb971bd3e96d5b46c7177b16c1a4e7d4bdef19fb204502738552dede002"),
        File(_SQUAD + "dev-v2.0.json", 4_370_528,
             "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8"),
    )),
    "gsm8k": DataSet("MIT", (
        File(_GSM8K + "train.jsonl", 4_166_206,
             "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465"),
        File(_GSM8K + "test.jsonl", 749_738,
             "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"),
    )),
    "mbpp": DataSet("CC BY 4.0", (
        File(_MBPP + "mbpp.jsonl", 563_743,
             "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f"),
        File(_MBPP + "sanitized-mbpp.json", 255_053,
             "ca95deaa9a01ef0a6f439f88bcf0dd3db3563d22f22aad6cae04ebb9a8d8c8e9"),
    )),
    "humaneval": DataSet("MIT", (
        File("https://github.com/openai/human-eval/raw/master/data/HumanEval.jsonl.gz", 44_877,
             "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"),
    ), gunzip=True),
    "triviaqa": DataSet("Apache-2.0", (
        File(_TRIVIAQA + "triviaqa-rc.tar.gz", 2_665_779_500,
             "ef94fac6db0541e5bb5b27020d067a8b13b1c1ffc52717e836832e02aaed87b9"),
    ), members=r"(?:.*/)?(qa/[^/]+\.json)"),
    "triviaqa-unfiltered": DataSet("Apache-2.0", (
        File(_TRIVIAQA + "triviaqa-unfiltered.tar.gz", 632_549_060,
             "7f0c94207fd0a1eb7bba3d52cdfe0735c98de850b9e5aa4e75f2776ef9a531d0"),
    ), members=r"(?:.*/)?(unfiltered-web-[^/]+\.json)"),
    "natural-questions": DataSet("CC BY-SA 3.0", (
        File("https://storage.googleapis.com/natural_questions/v1.0-simplified/simplified-nq-train.jsonl.gz"),
    ), gunzip=True),
    "hotpotqa": DataSet("CC BY-SA 4.0", (
        File("http://curtis.ml.cmu.edu/datasets/hotpot/hotpot_dev_distractor_v1.json", 46_320_117,
             "4e9ecb5c8d3b719f624d66b60f8d56bf227f03914f5f0753d6fa1b359d7104ea"),
    )),
    # GitHub packs an archive anew when it likes, so there is no hash of it: the commit pins the content.
    "arc-agi-1": DataSet("Apache-2.0", (
        File("https://github.com/fchollet/ARC-AGI/archive/399030444e0ab0cc8b4e199870fb20b863846f34.tar.gz",
             name="ARC-AGI.tar.gz"),
    ), members=r"[^/]+/(data/(?:training|evaluation)/[0-9a-f]{8}\.json)", member_count=800),
}

MODELS: dict[str, Checkpoint] = {
    "Qwen/Qwen2.5-7B": Checkpoint("Apache-2.0", 15.2),
    "Qwen/Qwen2.5-0.5B-Instruct": Checkpoint("Apache-2.0", 1.0),
    "Qwen/Qwen3-4B": Checkpoint("Apache-2.0", 8.1),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": Checkpoint("MIT", 3.6),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": Checkpoint("MIT", 15.2),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B": Checkpoint("MIT", 29.5),
    "deepseek-ai/deepseek-coder-1.3b-instruct": Checkpoint("DeepSeek License", 2.7),
    "openai/gpt-oss-20b": Checkpoint("Apache-2.0", 13.8),
    "sentence-transformers/gtr-t5-base": Checkpoint("Apache-2.0", 0.2),
    "sentence-transformers/all-MiniLM-L6-v2": Checkpoint("Apache-2.0", 0.1),
}

# ---------------------------------------------------------------- one file


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def check(path: Path, size: int | None, sha256: str | None) -> None:
    """Refuses a file of another size or hash than the published one."""
    found = path.stat().st_size
    if size is not None and found != size:
        raise FetchError(EX_DATA, f"{path}: {found} bytes, but the published file has {size}")
    if sha256 is not None and (digest := sha256_of(path)) != sha256:
        raise FetchError(EX_DATA, f"{path}: SHA-256 {digest}, but the published file has {sha256}")


class Progress:
    """One live line on a terminal, nothing elsewhere."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name, self.total, self.shown_at = name, total, 0.0
        self.live = sys.stderr.isatty()

    def show(self, done: int) -> None:
        if not self.live or time.monotonic() - self.shown_at < 0.2:
            return
        self.shown_at = time.monotonic()
        share = f" of {self.total / 1e6:.1f} MB, {100 * done / self.total:.0f} %" if self.total else " MB"
        print(f"\r\033[K{self.name}: {done / 1e6:.1f}{share}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _open(url: str, start: int, tag: str) -> urllib.request.addinfourl:
    request = urllib.request.Request(url, headers={"User-Agent": "preimage-fetch"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if tag:  # another version of the file is then sent whole, not glued to our beginning
            request.add_header("If-Range", tag)
    return urllib.request.urlopen(request, timeout=TIMEOUT_S)


def _transfer(url: str, part: Path, known_size: int | None, hash_known: bool) -> bool:
    """Appends what is missing to `part`; true when the body came to the end that the server announced."""
    tag_file = part.with_name(part.name + ".etag")
    tag = tag_file.read_text() if tag_file.exists() else ""
    # With neither a tag nor a hash nothing would notice that the file has changed since: then from the start.
    start = part.stat().st_size if part.exists() and (tag or hash_known) else 0
    try:
        response = _open(url, start, tag)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        part.unlink()  # 416: what we hold is not a beginning of what the server has
        start, response = 0, _open(url, 0, "")
    with response:
        if response.status != 206:
            start = 0
        elif not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
            part.unlink()
            raise FetchError(EX_IO, f"{url}: the server answered with another range than the one asked for")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        if known_size is not None and total is not None and total != known_size:
            raise FetchError(EX_DATA, f"{url}: the server offers {total} bytes, the published file has {known_size}")
        # A weak tag does not promise equal bytes, so it cannot guard a resumed transfer.
        etag = response.headers.get("ETag") or ""
        tag_file.write_text("" if etag.startswith("W/") else etag)
        progress = Progress(part.name.removesuffix(".part"), total)
        with part.open("ab" if start else "wb") as out:
            while block := response.read(CHUNK):
                out.write(block)
                progress.show(out.tell())
            done = out.tell()
        progress.clear()
    return total is None or done >= total


def download(url: str, path: Path, size: int | None = None, sha256: str | None = None,
             pause: Callable[[float], None] = time.sleep) -> None:
    """Fetches one file; does nothing where it already lies whole at `path`."""
    if path.exists():
        try:
            check(path, size, sha256)
            print(f"{path}: there already")
            return
        except FetchError:
            print(f"{path}: not the published file, fetched anew", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if not (size is not None and part.exists() and part.stat().st_size == size):
        _transfer_patiently(url, part, size, sha256 is not None, pause)
    try:
        check(part, size, sha256)
    except FetchError:
        part.unlink()  # resuming it would never make it right
        raise
    finally:
        part.with_name(part.name + ".etag").unlink(missing_ok=True)
    os.replace(part, path)
    print(f"{path}: {path.stat().st_size} bytes" + (", SHA-256 right" if sha256 else ""))


def _transfer_patiently(url: str, part: Path, size: int | None, hash_known: bool,
                        pause: Callable[[float], None]) -> None:
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(min(2.0**attempt, 30.0))
        try:
            if _transfer(url, part, size, hash_known):
                return
            reason = "the transfer was cut"
        except urllib.error.HTTPError as error:
            if error.code not in (408, 429) and error.code < 500:
                raise FetchError(EX_UNAVAILABLE, f"{url}: HTTP {error.code} {error.reason}") from None
            reason = f"HTTP {error.code} {error.reason}"
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except (HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
    if part.exists():
        raise FetchError(EX_IO, f"{url}: {reason} after {part.stat().st_size} bytes; run again to go on from there")
    raise FetchError(EX_UNAVAILABLE, f"{url}: {reason}")


# ---------------------------------------------------------------- data sets


def _write_whole(source, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as out:
        shutil.copyfileobj(source, out, CHUNK)
    os.replace(part, path)


def unpack(archive: Path, members: str, expected: int | None) -> None:
    """Writes the wanted members beside the archive. Their names come out of the pattern's group, so that no
    member can name a place of its own choosing; links and devices are passed over."""
    count = 0
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            match = re.fullmatch(members, member.name.removeprefix("./"))
            if match and member.isfile() and ".." not in PurePosixPath(match[1]).parts:
                source = tar.extractfile(member)
                assert source is not None  # a regular file has a body
                _write_whole(source, archive.parent / match[1])
                count += 1
    if count == 0 or (expected is not None and count != expected):
        raise FetchError(EX_DATA, f"{archive}: {count} wanted files inside, expected {expected or 'some'}")
    print(f"{archive}: {count} files unpacked")


def fetch_data(name: str, folder: Path, endpoint: str | None) -> None:
    """`endpoint` is a mirror that serves each file as ENDPOINT/NAME/FILE."""
    data = DATA.get(name)
    if data is None:
        raise FetchError(EX_USAGE, f"no data set {name!r}; there are: {', '.join(DATA)}")
    print(f"{name}: licence {data.licence}")
    for file in data.files:
        url = f"{endpoint.rstrip('/')}/{name}/{file.local_name}" if endpoint else file.url
        path = folder / file.local_name
        download(url, path, file.size, file.sha256)
        try:
            if data.members:
                unpack(path, data.members, data.member_count)
            if data.gunzip and not path.with_suffix("").exists():
                with gzip.open(path) as source:
                    _write_whole(source, path.with_suffix(""))
                print(f"{path.with_suffix('')}: unpacked")
        except (tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
            path.unlink()  # no hash vouched for it; the next run fetches it again
            raise FetchError(EX_DATA, f"{path}: not a whole archive ({error})") from None


# ---------------------------------------------------------------- checkpoints

# The root and the folders of a sentence-transformers pipeline (1_Pooling, 2_Dense); not original/, onnx/, metal/.
_WANTED = re.compile(
    r"(?:\d+_\w+/)?(?!(?:pytorch|tf|flax)_model)[^/]+\.(?:safetensors|json|jinja|model|txt)|(?:LICENSE|NOTICE|README)[^/]*", re.IGNORECASE)


def choose_files(names: list[str]) -> tuple[list[str], list[str]]:
    """The files to take, and the pickled weights that have no safetensors beside them and are left."""
    wanted = sorted(name for name in names if _WANTED.fullmatch(name))
    folders = {PurePosixPath(name).parent for name in wanted if name.endswith(".safetensors")}
    pickles = [name for name in names
               if re.fullmatch(r"(?:\d+_\w+/)?pytorch_model[^/]*\.bin", name) and PurePosixPath(name).parent not in folders]
    return wanted, sorted(pickles)


def _check_or_remove(path: Path, size: int | None, sha256: str | None) -> None:
    try:
        check(path, size, sha256)
    except FetchError:
        path.unlink()  # the client would take it for whole the next time
        raise


def fetch_model(name: str, folder: Path, endpoint: str | None, revision: str) -> None:
    """`endpoint` is a mirror of the hub."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise FetchError(EX_USAGE, f"{name!r} is not of the form ORGANISATION/NAME; --list shows those we know")
    try:
        import huggingface_hub as hub
    except ImportError:
        raise FetchError(EX_UNAVAILABLE, "the hub's client is missing: scripts/setup.sh --fetch, then "
                         f".venv/bin/python scripts/fetch.py model {name}") from None
    if name in MODELS:
        print(f"{name}: licence {MODELS[name].licence}, about {MODELS[name].gigabytes} GB")
    try:
        info = hub.HfApi(endpoint=endpoint).model_info(name, revision=revision, files_metadata=True)
        wanted, pickles = choose_files([file.rfilename for file in info.siblings])
        if not any(file.endswith(".safetensors") for file in wanted):
            raise FetchError(EX_UNAVAILABLE, f"{name}: holds no safetensors, and pickles are not fetched")
        hub.snapshot_download(name, revision=info.sha, local_dir=folder, allow_patterns=wanted, endpoint=endpoint)
    except FetchError:
        raise
    except Exception as error:  # the client's many kinds: network, gated, missing, disk
        line = " ".join(str(error).split())[:300]
        raise FetchError(EX_UNAVAILABLE, f"{name}: {type(error).__name__}: {line}") from None
    for file in info.siblings:
        if file.rfilename in wanted:
            _check_or_remove(folder / file.rfilename, file.size, file.lfs.sha256 if file.lfs else None)
    print(f"{folder}: {name} at revision {info.sha}, {len(wanted)} files, sizes and hashes right")
    for pickle in pickles:
        print(f"warning: {name}: {pickle} has no safetensors beside it and was left (a pickle)", file=sys.stderr)


# ---------------------------------------------------------------- command line


def show_list() -> None:
    print("model:")
    for name, model in MODELS.items():
        print(f"  {name:45} {model.gigabytes:6.1f} GB   {model.licence}")
    print("data:")
    for name, data in DATA.items():
        sizes = [file.size for file in data.files]
        total = f"{sum(s for s in sizes if s) / 1e6:9.1f} MB" if all(sizes) else "  size not known"
        print(f"  {name:22} {total:>16}   {data.licence:14} {', '.join(f.local_name for f in data.files)}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # the house's exit code, one line
        raise FetchError(EX_USAGE, message)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="fetch.py", description="Fetches published checkpoints and data sets.")
    parser.add_argument("kind", nargs="?", choices=("model", "data"))
    parser.add_argument("name", nargs="?")
    parser.add_argument("--dir", type=Path, help="folder to write to (default models/NAME or data/NAME)")
    parser.add_argument("--endpoint", metavar="URL", help="a mirror: of the hub, or one that serves URL/NAME/FILE")
    parser.add_argument("--revision", default="main", help="of a checkpoint: branch, tag or commit (default main)")
    parser.add_argument("--list", action="store_true", help="show what there is")
    options = parser.parse_args(arguments)
    if not options.list and not (options.kind and options.name):
        parser.error("needs: model NAME, data NAME, or --list")
    if options.endpoint and not re.match(r"https?://", options.endpoint):
        parser.error("--endpoint must begin with http:// or https://")
    return options


def main(arguments: list[str] | None = None) -> int:
    try:
        options = parse(arguments)
        if options.list:
            show_list()
        elif options.kind == "data":
            fetch_data(options.name, options.dir or Path("data") / options.name, options.endpoint)
        else:
            fetch_model(options.name, options.dir or Path("models") / options.name, options.endpoint, options.revision)
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return EX_IO
    except KeyboardInterrupt:
        print("fetch: stopped; run again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

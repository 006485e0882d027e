#!/usr/bin/env python3
"""clang-tidy over every source of the project: check_tidy.py BUILD-FOLDER. Results are kept per content."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def jobs(build):
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if path.suffix == ".c" and ROOT in path.parents and build not in path.parents:
            yield path, entry["command"]


def flags_of(command):
    """The compiler and its flags, without output, dependency file and source."""
    words, out = shlex.split(command), []
    while words:
        word = words.pop(0)
        if word in ("-o", "-c", "-MQ", "-MF"):
            words.pop(0)
        elif word != "-MD":
            out.append(word)
    return out


def tidy(build, cache, path, command):
    """The findings in one file; the preprocessed text and the checks decide whether it is known."""
    flags = flags_of(command)
    text = subprocess.run([*flags, "-E", "-P", str(path)], cwd=build, capture_output=True).stdout
    key = hashlib.sha256(b"\0".join([text, path.read_bytes(), (ROOT / ".clang-tidy").read_bytes(), str(path).encode()])).hexdigest()
    known = cache / key
    if known.exists():
        return known.read_text()
    run = subprocess.run(["clang-tidy", "-quiet", "-p", str(build), str(path)], capture_output=True, text=True)
    found = "\n".join(dict.fromkeys(re.findall(r"^/.*(?:warning|error): .*$", run.stdout, re.M)))
    known.write_text(found)
    return found


def main(folder):
    build = pathlib.Path(folder).resolve()
    if shutil.which("clang-tidy") is None:
        print("skipped: clang-tidy is not installed")
        return 77
    cache = build / "tidy-cache"
    cache.mkdir(exist_ok=True)
    work = dict(jobs(build))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [t for t in pool.map(lambda item: tidy(build, cache, *item), work.items()) if t]
    text = "\n".join(sorted(set("\n".join(found).splitlines())))
    print(text.replace(f"{ROOT}/", "") if text else f"{len(work)} sources are clean")
    return 1 if text or not work else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

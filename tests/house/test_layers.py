"""The include law: a directory includes what its .may_include names, the ground below it, and nothing else."""
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True,
                         text=True, check=True)
    return [ROOT / line for line in out.stdout.splitlines() if (ROOT / line).exists()]


def room_of(path):
    """The nearest directory with a .may_include, as a path below src."""
    for parent in path.parents:
        if (parent / ".may_include").exists():
            return parent
        if parent == SRC:
            break
    return None


def allowed(room):
    lines = (room / ".may_include").read_text().split()
    return [str(room.relative_to(SRC)), *lines]


def is_allowed(name, prefixes):
    return any(name == p or name.startswith(p + "/") for p in prefixes)


def offences(path, text):
    room = room_of(path)
    if room is None:
        return [f"{path.relative_to(ROOT)} is in no room"]
    prefixes = allowed(room)
    found = []
    for name in INCLUDE.findall(text):
        if "/" not in name:  # a neighbour, or generated beside it
            continue
        if not is_allowed(name, prefixes):
            found.append(f"{path.relative_to(ROOT)} includes {name}; {room.relative_to(ROOT)} may include {' '.join(prefixes)}")
    return found


def test_every_include_is_allowed():
    files = tracked("src/*.c", "src/*.h")
    assert len(files) > 50
    bad = [line for path in files for line in offences(path, path.read_text())]
    assert bad == []


def test_an_offence_is_seen():
    path = SRC / "core/bytes/bytes.c"
    assert offences(path, '#include "base/rpc.h"\n')
    assert not offences(path, '#include "core/bytes/u256.h"\n')


def test_core_is_free_of_glib_and_io():
    bad = []
    for path in tracked("src/core/*.c", "src/core/*.h"):
        for header in re.findall(r"^\s*#\s*include\s+<([^>]+)>", path.read_text(), re.M):
            if header.startswith(("glib", "gio", "json-glib", "sqlite", "libsoup")) or header in ("time.h", "sys/socket.h"):
                bad.append(f"{path.relative_to(ROOT)} includes <{header}>")
    assert bad == []


LIMITS = [("src/*.c", 800), ("src/*.h", 250), ("tests/*.c", 800), ("tests/*.py", 800)]


@pytest.mark.parametrize("pattern,limit", LIMITS)
def test_files_are_a_sitting_long(pattern, limit):
    words = "bip39_words"  # a table
    long = [(str(p.relative_to(ROOT)), n) for p in tracked(pattern) if words not in p.name
            for n in [len(p.read_text().splitlines())] if n > limit]
    assert long == []


def test_formatted():
    """clang-format has nothing to say (the tree's own .clang-format decides)."""
    files = [str(p) for p in tracked("src/*.c", "src/*.h")]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]

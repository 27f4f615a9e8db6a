"""Cache entries, files that are replaced atomically, and locks between processes."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.places import ROOT

from bench import cache

OTHERS_UMASK = 0o027


class Rates(msgspec.Struct, frozen=True):
    device: str
    flops: float


RATES = Rates("cpu", 4e11)


def entry(folder: Path) -> Path:
    return folder / "rates" / f"{cache.digest('cpu', 1)}.json"


def start(code: str) -> subprocess.Popen:
    """Run code that prints a line when it is ready, and then waits to be killed."""
    program = f"{code}\nprint('ready', flush=True)\nimport time; time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


def test_an_entry_is_loaded_as_stored(tmp_path):
    assert cache.load(entry(tmp_path), Rates) is None
    cache.store(entry(tmp_path), RATES)
    assert cache.load(entry(tmp_path), Rates) == RATES


def test_each_value_changes_the_digest():
    parts = ("jax", 1, {"a": [1.5]}, RATES)
    digests = {cache.digest(*parts), cache.digest(*parts[:-1]), cache.digest("jaxx", *parts[1:])}
    assert len(digests) == 3
    assert cache.digest(*parts) == cache.digest(*parts)


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"device": 1}', b"\xff"])
def test_a_damaged_entry_is_ignored(tmp_path, damage):
    cache.store(entry(tmp_path), RATES)
    entry(tmp_path).write_bytes(damage)
    assert cache.load(entry(tmp_path), Rates) is None


def test_without_a_cache_nothing_is_stored():
    cache.store(None, RATES)
    assert cache.load(None, Rates) is None


def test_a_cache_that_cannot_be_written_stores_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    cache.store(entry(tmp_path / "file"), RATES)
    assert cache.load(entry(tmp_path / "file"), Rates) is None


def test_an_error_leaves_only_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), cache.replacing(path) as file:
        file.write(b"new" * (1 // 0))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_atomically(tmp_path, durable):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with cache.replacing(path, durable=durable) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "file").symlink_to(tmp_path / "precious")
    cache.replace(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_bytes() == b"mine"
    assert not (tmp_path / "file").is_symlink()


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path):
    before = os.umask(OTHERS_UMASK)
    try:
        cache.replace(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~OTHERS_UMASK


@pytest.mark.process
def test_several_processes_can_replace_a_file_concurrently(tmp_path):
    path = tmp_path / "file"
    code = f"""
import sys
from pathlib import Path
from bench.cache import replace
for _ in range(200):
    replace(Path({str(path)!r}), sys.argv[1].encode() * 100_000)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, letter], cwd=ROOT) for letter in "ab"
    ]
    contents = set()
    while any(process.poll() is None for process in processes):
        if path.exists():
            contents.add(path.read_bytes())
    assert [process.wait() for process in processes] == [0, 0]
    assert contents <= {b"a" * 100_000, b"b" * 100_000}
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.process
def test_files_left_by_a_killed_process_are_recognised(tmp_path):
    path = tmp_path / "file"
    process = start(f"""
from pathlib import Path
from bench.cache import replacing
writing = replacing(Path({str(path)!r}))
writing.__enter__().write(b"half")
""")
    kill(process)
    (left,) = tmp_path.iterdir()
    assert cache.is_partial(left, "file")
    assert not cache.is_partial(left, "fil")
    assert not cache.is_partial(path, "file")


@pytest.mark.process
def test_a_lock_is_exclusive_and_released_when_its_process_dies(tmp_path):
    path = tmp_path / "some.lock"
    process = start(f"""
from pathlib import Path
from bench.cache import try_lock
held = try_lock(Path({str(path)!r}))
assert held
""")
    assert cache.try_lock(path) is None
    waited = []
    with cache.lock(path, lambda: (waited.append(1), kill(process))):
        assert cache.try_lock(path) is None
    assert waited == [1]
    held = cache.try_lock(path)
    assert held is not None
    held.release()


def test_a_free_lock_is_acquired_without_waiting(tmp_path):
    with cache.lock(tmp_path / "some.lock", lambda: pytest.fail("nobody holds it")):
        pass


def test_a_lock_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), cache.lock(tmp_path / "file" / "some.lock"):
        pass


def test_a_lock_does_not_follow_a_link(tmp_path):
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "some.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"some\.lock"):
        cache.try_lock(tmp_path / "some.lock")
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_the_default_cache_is_in_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cache.CACHE_VARIABLE, "here")
    assert cache.cache_folder() == tmp_path / "here"
    monkeypatch.setenv(cache.CACHE_VARIABLE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert cache.cache_folder() == tmp_path / "xdg" / "evenbench"

"""Namespaces of our own: names that nobody else has, and a reason where they cannot be had."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from poller.lab.namespaces import Chain, run, unique, why_not

PERMITTED = pytest.mark.skipif(bool(reason := why_not()), reason=reason or "permitted")


def test_no_two_names_are_the_same_and_another_process_has_others() -> None:
    names = {unique("near") for _ in range(100)}
    assert 100 == len(names)
    assert all(f"-{os.getpid()}-" in name for name in names)


def test_without_the_tools_the_reason_names_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed: ip, nft, sysctl" == why_not.__wrapped__()


def test_where_the_kernel_forbids_them_the_reason_has_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for tool in ("ip", "nft", "sysctl"):
        path = tmp_path / tool
        path.write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    reason = why_not.__wrapped__()
    assert reason.startswith("network namespaces cannot be used here: `ip netns add hinomi-try-")
    assert reason.endswith("said: Operation not permitted")


@PERMITTED
def test_a_chain_that_cannot_be_laid_leaves_nothing_behind() -> None:
    """The second node's name is taken."""
    stem = unique("twice")
    run("ip", "netns", "add", f"{stem}-b")
    with pytest.raises(subprocess.CalledProcessError):
        Chain(stem, ("a", "b"))
    listed = [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.startswith(stem)]
    run("ip", "netns", "del", f"{stem}-b")
    assert [f"{stem}-b"] == listed

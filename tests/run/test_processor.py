import os
import platform
import subprocess
import sys

import pytest
import torch

from limbeck.run.processor import computing

COUNT = """
import resource
import torch
from limbeck.run.processor import computing, keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
with computing(1):
    # What was there before lies between blocks at first.
    for _ in range(10):
        torch.ones(2**24)
    print(first, faults(), keep_freed_memory())
"""


def counted(**environment: str) -> list[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))
    }
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
def test_freed_memory_is_used_again_without_asking_the_system():
    before, after, done = counted()
    assert done == "True"
    assert int(after) < int(before) / 10


def test_an_allocator_set_by_the_environment_is_left_alone():
    assert counted(MALLOC_MMAP_THRESHOLD_="134217728")[-1] == "False"


def test_threads_are_those_of_before_after_the_block():
    before = torch.get_num_threads()
    with computing(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before

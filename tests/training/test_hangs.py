"""Without a sign of life the stacks of all threads are printed and the process ends."""

import subprocess
import sys

HANGS = """
import threading, time
from hybridlm.training.hangs import watched

def reads_for_ever():
    while True:
        time.sleep(60)

threading.Thread(target=reads_for_ever, daemon=True).start()
with watched(0.5) as alive:
    time.sleep(1)  # whatever lasts before the first sign of life
    for _ in range(4):
        alive()
        time.sleep(0.25)
    print("still there", flush=True)
    reads_for_ever()
"""

ENDS_IN_TIME = """
import time
from hybridlm.training.hangs import watched

for seconds in (0.2, 0):
    with watched(seconds) as alive:
        alive()
    time.sleep(0.5)
"""


def test_a_hanging_process_prints_its_stacks_and_ends():
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "still there\n")
    assert ended.stderr.startswith("Timeout (0:00:00.500000)!\n")
    assert ended.stderr.count("in reads_for_ever") == 2, "of every thread"


def test_a_block_that_ends_leaves_no_clock_behind():
    assert subprocess.run([sys.executable, "-c", ENDS_IN_TIME]).returncode == 0

"""The coordinator listens where it was told to and nowhere else, for whoever reaches its port is let in."""

import contextlib
import ipaddress
import os
import pathlib
import socket
import subprocess
import sys

import pytest

JOIN = """
import sys
from hybridlm.sharding import distributed
distributed.start()
print("joined", flush=True)
sys.stdin.read()
"""
TABLES = [pathlib.Path("/proc/net") / name for name in ("tcp", "tcp6")]
LISTENS = "0A"
"""The state of a socket, as Linux writes it."""


def address(words: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address from the kernel's table, where each word of four bytes is written backwards."""
    written = bytes.fromhex(words)
    found = ipaddress.ip_address(b"".join(written[at : at + 4][::-1] for at in range(0, len(written), 4)))
    return getattr(found, "ipv4_mapped", None) or found


def listening(port: int) -> set[str]:
    """All addresses at which something on this machine listens on a port."""
    rows = [line.split() for table in TABLES if table.exists() for line in table.read_text().splitlines()[1:]]
    ends = [row[1].split(":") for row in rows if row[3] == LISTENS]
    return {str(address(words)) for words, number in ends if int(number, 16) == port}


def joining(number: int, env: dict[str, str]) -> subprocess.Popen:
    """A process that joins the other of two, and stays until its input ends."""
    env = env | {"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(number)}
    words = [sys.executable, "-c", JOIN]
    return subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(not TABLES[0].exists(), reason="the table of sockets is Linux's")
def test_the_coordinator_listens_at_the_configured_address_alone():
    """127.0.0.2 is neither what it would choose itself, which is every address, nor what localhost means."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    where = f"127.0.0.2:{port}"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_COORDINATOR_ADDRESS": where, "JAX_COORDINATOR_BIND_ADDRESS": where}
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(joining(number, env)) for number in range(2)]
        assert [process.stdout.readline() for process in both] == ["joined\n"] * 2
        found = listening(port)
        for process in both:  # each waits for the other
            process.stdin.close()
    assert [process.returncode for process in both] == [0, 0]
    assert found == {"127.0.0.2"}

"""The web viewer's server: it listens on this machine alone, and ends with its object."""

import gc
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import HANG_S, until

from vgslam.errors import OutputError

pytest.importorskip("rerun")

from vgslam.viewer import web_server
from vgslam.viewer.web_server import WebServer


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the program may take long to listen."""
    monkeypatch.setattr(web_server, "START_S", HANG_S)


def free_ports() -> tuple[int, int]:
    """Two ports that nobody uses, different ones: both are held until both are known."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def listening(port: int) -> set[str]:
    """Addresses (hexadecimal, as the kernel writes them) on which somebody listens at a port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, number = fields[1].split(":")
            if fields[3] == "0A" and int(number, 16) == port:
                found.add(address)
    return found


@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="no /proc/net here: Linux alone has it")
def test_it_listens_on_this_machine_alone_and_ends_with_its_object() -> None:
    ports = free_ports()
    server = WebServer(*ports)
    assert [listening(p) for p in ports] == [{"0100007F"}, {"0100007F"}]
    assert str(ports[1]) in server.page
    del server
    gc.collect()
    until(lambda: not any(listening(p) for p in ports))


def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = int(other.getsockname()[1])
        with pytest.raises(OutputError, match=f"{taken} is in use"):
            WebServer(free_ports()[0], taken)


@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="no /proc/net here: Linux alone has it")
def test_it_ends_with_a_process_that_is_killed() -> None:
    ports = free_ports()
    serve = f"import sys\nfrom vgslam.viewer import web_server\nweb_server.START_S = {HANG_S}\n"
    serve += f"kept = web_server.WebServer{ports}\n"
    serve += "print('up', flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", serve], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert all(listening(p) for p in ports)
        process.kill()
    until(lambda: not any(listening(p) for p in ports))

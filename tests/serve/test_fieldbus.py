"""PLCs on loopback, of other people's making: a Modbus coil that is set, OPC UA variables that are written; what waits
while they are away arrives."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serve_maker import png, running, spots, wait_for

from sever.config.serve import ServeSettings
from sever.deliver.serve.plant.sinks import make_sinks
from sever.errors import InputError

pytest.importorskip("pymodbus", reason="pymodbus is not installed")
pytest.importorskip("asyncua", reason="asyncua is not installed")

MODBUS = """
import asyncio, sys
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartAsyncTcpServer

device = ModbusDeviceContext(co=ModbusSequentialDataBlock(1, [0] * 100))
context = ModbusServerContext(devices={1: device}, single=False)
asyncio.run(StartAsyncTcpServer(context, address=("127.0.0.1", int(sys.argv[1]))))
"""
OPCUA = """
import asyncio, sys
from asyncua import Server, ua

async def serve():
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{sys.argv[1]}")
    space = await server.register_namespace("sever")
    for name in ("answers", "alarms"):
        node = await server.nodes.objects.add_variable(ua.NodeId(name, space), name, "", ua.VariantType.String)
        await node.set_writable()
    async with server:
        await asyncio.Event().wait()

asyncio.run(serve())
"""
ALARM = {"alarms": [{"name": "large", "kind": "share", "share": 0.01}]}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def plc(code: str, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: is_open(port), 60)
        yield
    finally:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def coil(port: int, at: int) -> bool:
    from pymodbus.client import ModbusTcpClient

    client = ModbusTcpClient("127.0.0.1", port=port)
    assert client.connect()
    bits = client.read_coils(at, count=1, device_id=1).bits
    client.close()
    return bool(bits[0])


def test_an_alarm_sets_the_coil_of_a_plc_that_was_away(tmp_path: Path) -> None:
    """Answers alone set nothing; a neighbouring coil is left alone."""
    port = free_port()
    modbus = {"modbus": [{"host": "127.0.0.1", "port": port, "coil": 7, "timeout_seconds": 2}]}
    with running(tmp_path, modbus | ALARM) as served, served.client() as client:
        client.post("/v1/inspect", content=png(spots()))
        wait_for(lambda: 'sever_sink_messages_total{result="failed",sink="modbus-1"}' in metrics(served))
        with plc(MODBUS, port):
            wait_for(lambda: coil(port, 7), 90)
            assert not coil(port, 6)
            assert not coil(port, 8)


def metrics(served: Any) -> str:
    with served.client("viewer") as client:
        return str(client.get("/metrics").text)


def test_a_pulse_is_over_when_the_message_is_taken() -> None:
    port = free_port()
    settings = {"modbus": [{"host": "127.0.0.1", "port": port, "coil": 3, "pulse_seconds": 0.05, "send": "all"}]}
    (sink,) = make_sinks(ServeSettings.model_validate(settings))
    with pytest.raises(OSError, match="does not answer"):
        sink.deliver("answers", "{}")
    with plc(MODBUS, port):
        sink.deliver("answers", "{}")
        assert not coil(port, 3)
        bad = {"modbus": [settings["modbus"][0] | {"coil": 5000}]}
        (beyond,) = make_sinks(ServeSettings.model_validate(bad))
        with pytest.raises(OSError, match="refused coil 5000"):
            beyond.deliver("answers", "{}")


def test_answers_and_alarms_are_written_to_opc_ua_variables(tmp_path: Path) -> None:
    port = free_port()
    url = f"opc.tcp://127.0.0.1:{port}"
    nodes = {"answers_node": "ns=2;s=answers", "alarms_node": "ns=2;s=alarms"}
    with (
        plc(OPCUA, port),
        running(tmp_path, {"opcua": [{"url": url, **nodes}]} | ALARM) as served,
        served.client() as client,
    ):
        uid = client.post("/v1/inspect", content=png(spots())).json()["id"]
        wait_for(lambda: all(asyncio.run(read(url)).values()), 60)
        told = {name: json.loads(value) for name, value in asyncio.run(read(url)).items()}
    assert told["answers"]["id"] == uid
    assert told["answers"]["num_defects"] == 2
    assert told["alarms"]["rule"] == "large"
    assert told["alarms"]["answer"] == uid


async def read(url: str) -> dict[str, str]:
    from asyncua import Client

    async with Client(url) as client:
        return {name: str(await client.get_node(f"ns=2;s={name}").read_value()) for name in ("answers", "alarms")}


def test_a_variable_that_is_not_there_is_a_message_that_waits() -> None:
    port = free_port()
    settings = {"opcua": [{"url": f"opc.tcp://127.0.0.1:{port}", "answers_node": "ns=2;s=nothing"}]}
    (sink,) = make_sinks(ServeSettings.model_validate(settings))
    with pytest.raises(OSError, match=str(port)):
        sink.deliver("answers", "{}")
    with plc(OPCUA, port), pytest.raises(OSError, match="nothing"):
        sink.deliver("answers", "{}")
    sink.deliver("alarms", "{}")  # no variable was named for them


@pytest.mark.parametrize("kind", ["modbus", "opcua"])
def test_without_its_library_it_says_what_to_install(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sever.deliver.serve.plant.fieldbus.find_spec", lambda name: None)
    settings = {"modbus": [{"host": "x", "coil": 1}], "opcua": [{"url": "opc.tcp://x", "alarms_node": "i=1"}]}
    with pytest.raises(InputError, match=r"sever\[plant\]"):
        make_sinks(ServeSettings.model_validate({kind: settings[kind]}))

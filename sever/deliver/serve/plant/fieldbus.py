"""What PLCs speak: a Modbus coil that is set, and OPC UA variables that are written; they know no answer's meaning.

A message counts as taken when the PLC has confirmed the write; until then it waits in the outbox. One connection a
message: simple, and a PLC that went away is noticed at once.
"""

from __future__ import annotations

import time
from importlib.util import find_spec

from sever.config.serve import ModbusSettings, OpcUaSettings
from sever.deliver.serve.plant.outbox import Sink
from sever.errors import InputError


def modbus_sink(name: str, settings: ModbusSettings) -> Sink:
    """Raises InputError where its library is not installed."""
    if find_spec("pymodbus") is None:
        raise InputError("Modbus needs pymodbus; pip install 'sever[plant]'")
    from pymodbus import ModbusException
    from pymodbus.client import ModbusTcpClient

    def write(client: ModbusTcpClient, value: bool) -> None:
        answer = client.write_coil(settings.coil, value, device_id=settings.device)
        if answer.isError():
            raise OSError(f"the PLC refused coil {settings.coil}: {answer}")

    def deliver(topic: str, body: str) -> None:
        client = ModbusTcpClient(settings.host, port=settings.port, timeout=settings.timeout_seconds, retries=0)
        try:
            if not client.connect():
                raise OSError(f"{settings.host}:{settings.port} does not answer")
            write(client, True)
            if settings.pulse_seconds is not None:
                time.sleep(settings.pulse_seconds)
                write(client, False)
        except ModbusException as error:
            raise OSError(str(error)) from error
        finally:
            client.close()

    return Sink(name, settings.send, deliver)


def opcua_sink(name: str, settings: OpcUaSettings, password: str | None) -> Sink:
    """Raises InputError where its library is not installed."""
    if find_spec("asyncua") is None:
        raise InputError("OPC UA needs asyncua; pip install 'sever[plant]'")
    from asyncua.sync import Client
    from asyncua.ua import DataValue, UaError, Variant, VariantType

    nodes = {"answers": settings.answers_node, "alarms": settings.alarms_node}

    def deliver(topic: str, body: str) -> None:
        node = nodes[topic]
        if node is None:
            return
        client = Client(settings.url, timeout=settings.timeout_seconds)
        if settings.user is not None:
            client.set_user(settings.user)
            client.set_password(password or "")
        try:
            with client:
                # A value alone: many servers refuse a time that a client gives.
                client.get_node(node).write_value(DataValue(Variant(body, VariantType.String)))
        except (UaError, TimeoutError) as error:
            raise OSError(f"{settings.url}, {node}: {error!r}") from error

    return Sink(name, settings.send, deliver)

"""Reads pcapng files by the draft's text, for tests of what writes them."""

import struct


def blocks(data):
    """(type, body) of every block, whose two lengths must agree."""
    while data:
        kind, size = struct.unpack("<II", data[:8])
        assert size % 4 == 0
        assert struct.unpack("<I", data[size - 4 : size]) == (size,)
        yield kind, data[8 : size - 4]
        data = data[size:]


def options(body):
    """Values by code."""
    found = {}
    while body:
        code, size = struct.unpack("<HH", body[:4])
        if code == 0:
            assert (size, body[4:]) == (0, b"")
            return found
        found[code], body = body[4 : 4 + size], body[4 + size + -size % 4 :]
    raise AssertionError("no end of options")


def read(data):
    """Names of the interfaces; (interface's name, ns, length, bytes) of the packets; (received, dropped) by name."""
    (first, section), *rest = blocks(data)
    assert (first, section[:16]) == (0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    names, packets, counts = [], [], {}
    for kind, body in rest:
        if kind == 1:
            assert (body[:4], options(body[8:])[9]) == (struct.pack("<HH", 101, 0), b"\x09")
            names.append(options(body[8:])[2].decode())
        elif kind == 6:
            number, high, low, size, length = struct.unpack("<5I", body[:20])
            assert len(body) == 20 + size + -size % 4
            packets.append((names[number], high << 32 | low, length, body[20 : 20 + size]))
        else:
            assert kind == 5
            found = options(body[12:])
            counts[names[int.from_bytes(body[:4], "little")]] = tuple(
                int.from_bytes(found[code], "little") for code in (4, 5)
            )
    return names, packets, counts

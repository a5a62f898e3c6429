"""Options of netem and tbf by pyroute2, with the attributes that it lacks (linux/pkt_sched.h, net/sched/sch_netem.c).

pyroute2 0.9.7 lacks netem's delay table, Gilbert-Elliott loss, 64-bit rate, nanosecond times and seed, and tbf's 64-bit
rate and burst. The fields are pyroute2's own. The rest of a message is caps/messages.py's: pyroute2's class of whole
messages takes longer for header and kind than for these options (benchmarks/mesh.py).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from harness.netlink.nlattr import attr, each
from harness.shaping.pyroute2_part import message_classes

with message_classes():
    from pyroute2.netlink import nla
    from pyroute2.netlink.rtnl.tcmsg import sched_netem, sched_tbf


class _Struct(nla):
    """An attribute of numbers, packed and unpacked at once instead of field by field."""

    names: tuple[str, ...] = ()
    layout = struct.Struct("=HH")

    def __init_subclass__(cls) -> None:
        cls.names = tuple(name for name, _ in cls.fields)
        cls.layout = struct.Struct("=HH" + "".join(kind for _, kind in cls.fields))

    def encode(self) -> None:
        self.length = self.layout.size
        numbers = [dict.get(self, name) or 0 for name in self.names]
        self.data.extend(self.layout.pack(self.length, dict.__getitem__(self, "header")["type"], *numbers))

    def decode(self) -> None:
        self.update(zip(self.names, self.layout.unpack_from(self.data, self.offset)[2:], strict=True))
        self.decoded = True


class _NetemOptions(nla):
    """Netem's options, all attributes in one pass: a mesh of 64 nodes has 4,032 of them, and all differ.

    pyroute2's general code makes an object of every attribute and packs it field by field: that takes ten times as
    long, and shaping the mesh took 1.13 to 1.47 times as long as ``tc -batch``; now it takes 0.7 times as long
    (benchmarks/mesh.py).
    An attribute's value is a tuple of numbers, the delay table's is bytes.
    """

    fields = sched_netem.options.fields
    numbers = struct.Struct("=6I")
    attributes: ClassVar = {
        "TCA_NETEM_CORR": (1, struct.Struct("=3I")),
        "TCA_NETEM_DELAY_DIST": (2, None),
        "TCA_NETEM_REORDER": (3, struct.Struct("=2I")),
        "TCA_NETEM_CORRUPT": (4, struct.Struct("=2I")),
        "TCA_NETEM_LOSS": (5, struct.Struct("=HH4I")),  # NETEM_LOSS_GE in it: length, type, p, r, h, k1
        "TCA_NETEM_RATE": (6, struct.Struct("=IiIi")),
        "TCA_NETEM_RATE64": (8, struct.Struct("=Q")),
        "TCA_NETEM_LATENCY64": (10, struct.Struct("=q")),
        "TCA_NETEM_JITTER64": (11, struct.Struct("=q")),
        "TCA_NETEM_PRNG_SEED": (14, struct.Struct("=Q")),
    }
    names: ClassVar = {number: (name, layout) for name, (number, layout) in attributes.items()}

    def encode(self) -> None:
        parts = [self.numbers.pack(*[dict.get(self, name) or 0 for name, _ in self.fields])]
        attributes: list[tuple[str, Any]] = dict.__getitem__(self, "attrs")
        for name, value in attributes:
            number, layout = self.attributes[name]
            parts.append(attr(number, layout.pack(*value) if layout else value))
        made = attr(dict.__getitem__(self, "header")["type"], b"".join(parts))
        self.length = len(made)
        self.data.extend(made)

    def decode(self) -> None:
        data = memoryview(self.data)[self.offset + 4 : self.offset + self.length]
        self.update(zip((name for name, _ in self.fields), self.numbers.unpack_from(data), strict=True))
        found = []
        for number, payload in each(data[self.numbers.size :]):
            name, layout = self.names.get(number, ("", None))
            if layout and len(payload) >= layout.size:
                found.append((name, layout.unpack_from(payload)))
        self["attrs"] = found
        self.decoded = True


class _TbfOptions(nla):
    nla_map = (
        (1, "TCA_TBF_PARMS", "tbf_parms"),
        (4, "TCA_TBF_RATE64", "uint64"),
        (6, "TCA_TBF_BURST", "uint32"),
    )

    class tbf_parms(_Struct):
        fields = sched_tbf.options.tbf_parms.fields


TcOptions = dict[str, Any]
"""TCA_OPTIONS as pyroute2 has them: fields by name, and ``attrs``, a list of [name, value]."""
_CLASSES: Final[Mapping[str, type[Any]]] = {"netem": _NetemOptions, "tbf": _TbfOptions}
_OPTIONS: Final = 2
"""TCA_OPTIONS."""


def encode_options(kind: str, options: TcOptions) -> bytes:
    """The attribute TCA_OPTIONS of a netem or tbf."""
    made = _CLASSES[kind]()
    made.update(options)
    made["header"]["type"] = _OPTIONS
    made.encode()
    return bytes(made.data)


def decode_options(kind: str, payload: memoryview) -> Any:
    """The fields of a netem's or tbf's TCA_OPTIONS by name, and its attributes, as pairs, under ``attrs``."""
    data = attr(_OPTIONS, bytes(payload))
    found = _CLASSES[kind](data, length=len(data))
    found.decode()
    return found

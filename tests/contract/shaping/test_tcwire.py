"""Our netlink bytes, read by an independent decoder (pyroute2) and by our own."""

import struct
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.tcmsg import cls_u32, tcmsg

from harness.model.distribution import table
from harness.model.link import MAX_TIME
from harness.model.status import Stats
from harness.netlink.nlattr import attr, attrs, message
from harness.shaping import tcwire
from harness.shaping.qdisc import PASSING_BURST, PASSING_BYTE_S, ROOT, UNLIMITED, Branch, Netem, Tbf
from harness.shaping.qdisc_diff import differences

U32 = 2**32 - 1
u32 = st.integers(0, U32)
times = st.integers(0, MAX_TIME.ns)
rates = st.integers(1, 2**40) | st.integers(1, 2**33)

netems = st.builds(
    Netem,
    delay_ns=times,
    jitter_ns=times,
    limit=st.integers(1, 2**31 - 1),
    loss=u32,
    duplicate=u32,
    corrupt=u32,
    reorder=u32,
    gap=st.integers(0, 1),
    rate_byte_s=st.just(0) | rates,
    distribution=st.sampled_from(["uniform", "normal", "pareto"]),
    seed=st.integers(0, 2**64 - 1),
) | st.builds(Netem, chain=st.tuples(u32, u32, u32, u32))


@st.composite
def buckets(draw):
    rate = draw(rates)
    return Tbf(rate, draw(st.integers(1, min(2**31, 274 * rate))), draw(u32))


def by_pyroute2(kind, options, number=tcwire.RTM_NEWQDISC, handle=ROOT, parent=tcwire.TC_H_ROOT, info=0):
    """What pyroute2 makes of a message of ours."""
    decoded = tcmsg(message(number, 0, 1, tcwire.tcmsg(7, handle, parent, info, kind, options)))
    decoded.decode()
    assert decoded.get_attr("TCA_KIND") == kind
    return decoded


def options(kind, data, **more):
    return by_pyroute2(kind, data, **more).get_attr("TCA_OPTIONS")


def test_the_header():
    decoded = by_pyroute2("htb", tcwire.htb_root(), handle=0x10001, parent=0x10000, info=0x20800)
    told = {key: decoded[key] for key in ("family", "index", "handle", "parent", "info")}
    assert told == {"family": 0, "index": 7, "handle": 0x10001, "parent": 0x10000, "info": 0x20800}


def test_a_dump_request_has_no_attributes():
    decoded = tcmsg(message(tcwire.RTM_GETQDISC, 0, 1, tcwire.dump_request(7, ROOT)))
    decoded.decode()
    assert (decoded["index"], decoded["parent"], decoded["attrs"]) == (7, ROOT, [])


def test_max_segments():
    decoded = ifinfmsg(message(tcwire.RTM_NEWLINK, 0, 1, tcwire.max_segments(7, 1)))
    decoded.decode()
    assert decoded["index"] == 7
    assert decoded.get_attr("IFLA_GSO_MAX_SEGS") == 1


def test_htb_root():
    told = options("htb", tcwire.htb_root()).get_attr("TCA_HTB_INIT")
    assert {key: told[key] for key in ("version", "rate2quantum", "defcls", "debug")} == {
        "version": 3,
        "rate2quantum": 10,
        "defcls": 0,
        "debug": 0,
    }


@pytest.mark.parametrize("rate", [0, 1, 10**9, UNLIMITED.byte_s, 2**32 - 1, 2**32, 10**10, 2**40])
def test_htb_class_never_limits(rate):
    told = options("htb", tcwire.htb_class(rate), number=tcwire.RTM_NEWTCLASS)
    parms = told.get_attr("TCA_HTB_PARMS")
    wide = told.get_attr("TCA_HTB_RATE64"), told.get_attr("TCA_HTB_CEIL64")
    full = max(UNLIMITED.byte_s, 2 * rate)
    assert parms["rate"] == parms["ceil"] == min(full, U32)
    assert wide == ((full, full) if full > U32 else (None, None))
    depth = parms["buffer"] * tcwire.TICK_NS * full / 1e9
    assert parms["buffer"] == parms["cbuffer"]
    assert depth >= 400_000
    assert parms["quantum"] <= 200_000
    assert parms["prio"] == parms["level"] == 0
    assert parms["rate_cell_log"] == parms["rate_overhead"] == parms["rate_mpu"] == 0
    assert parms["rate___reserved"] == parms["ceil___reserved"] == 1, "ethernet: else the kernel wants a rate table"


@given(netems)
def test_netem_is_what_pyroute2_reads(spec):
    told = options("netem", tcwire.netem(spec, fresh=True))
    assert told["delay"] == min(spec.delay_ns // 64, U32)
    assert told["jitter"] == min(spec.jitter_ns // 64, U32)
    for name in ("limit", "loss", "gap", "duplicate"):
        assert told[name] == getattr(spec, name)
    none = {"delay_corr": 0, "loss_corr": 0, "dup_corr": 0}
    assert dict(told.get_attr("TCA_NETEM_CORR")) == none
    assert dict(told.get_attr("TCA_NETEM_REORDER")) == {"prob_reorder": spec.reorder, "corr_reorder": 0}
    assert dict(told.get_attr("TCA_NETEM_CORRUPT")) == {"prob_corrupt": spec.corrupt, "corr_corrupt": 0}
    assert dict(told.get_attr("TCA_NETEM_RATE")) == {
        "rate": min(spec.rate_byte_s, U32),
        "packet_overhead": 0,
        "cell_size": 0,
        "cell_overhead": 0,
    }


@given(netems, st.booleans())
def test_netem_is_what_we_read(spec, fresh):
    again = tcwire.read_netem(memoryview(tcwire.netem(spec, fresh=fresh)))
    assert again == replace(spec, distribution="uniform", seed=0)
    assert differences(Branch(0, spec), Branch(0, again)) == []


def test_fields_that_pyroute2_does_not_know_are_where_the_kernel_looks():
    spec = Netem(delay_ns=MAX_TIME.ns, jitter_ns=1, rate_byte_s=2**33, seed=2**64 - 1, chain=(1, 2, 3, 4))
    found = attrs(tcwire.netem(spec, fresh=True)[24:])
    rate64, latency64, jitter64, prng_seed, loss = 8, 10, 11, 14, 5
    assert bytes(found[rate64]) == struct.pack("=Q", 2**33)
    assert bytes(found[latency64]) == struct.pack("=q", 275 * 10**9)
    assert bytes(found[jitter64]) == struct.pack("=q", 1)
    assert bytes(found[prng_seed]) == bytes([255]) * 8
    gilbert_elliott = 2
    assert {kind: bytes(value) for kind, value in attrs(found[loss]).items()} == {
        gilbert_elliott: struct.pack("=4I", 1, 2, 3, 4)
    }


@pytest.mark.parametrize("jitter", [0, 1000])
@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto"])
def test_the_jitter_table_is_sent_where_it_is_needed(distribution, fresh, jitter):
    spec = Netem(delay_ns=10**6, jitter_ns=jitter, distribution=distribution)
    found = attrs(tcwire.netem(spec, fresh=fresh)[24:])
    needed = jitter and not (fresh and distribution == "uniform")
    assert (2 in found) == bool(needed)
    if needed:
        values = struct.unpack(f"={len(found[2]) // 2}h", found[2])
        assert values == table(distribution)
        assert len(values) <= 16384


@pytest.mark.parametrize("ns", [0, 63, 64, 10**6, 10**9, MAX_TIME.ns])
def test_delays_up_to_the_longest_are_exact_and_fit_the_old_field(ns):
    data = tcwire.netem(Netem(delay_ns=ns), fresh=True)
    assert tcwire.read_netem(memoryview(data)).delay_ns == ns
    assert options("netem", data)["delay"] == min(ns // 64, U32)


def test_an_old_kernels_netem_tells_its_delay_in_ticks():
    told = struct.pack("=6I", 312_500, 1000, 0, 0, 0, 15_625)
    assert tcwire.read_netem(memoryview(told)) == Netem(delay_ns=20_000_000, jitter_ns=1_000_000)


@pytest.mark.parametrize("rate", [1, U32 - 1, U32, U32 + 1, 10**10, 2**40])
def test_rates_beyond_32_bits(rate):
    netem = attrs(tcwire.netem(Netem(rate_byte_s=rate), fresh=True)[24:])
    tbf = attrs(tcwire.tbf(Tbf(rate, 100_000 if rate > 1000 else 100, 10**6)))
    assert (8 in netem) == (4 in tbf) == (rate > U32)
    assert struct.unpack_from("=I", netem[6])[0] == struct.unpack_from("=I", tbf[1], 8)[0] == min(rate, U32)
    if rate > U32:
        assert bytes(netem[8]) == bytes(tbf[4]) == struct.pack("=Q", rate)


@given(buckets())
def test_tbf_is_what_pyroute2_reads(spec):
    told = options("tbf", tcwire.tbf(spec)).get_attr("TCA_TBF_PARMS")
    assert told["rate"] == min(spec.rate_byte_s, U32)
    assert told["limit"] == spec.limit
    assert told["buffer"] == pytest.approx(spec.burst / spec.rate_byte_s * 1e9 / 64, abs=0.6, rel=1e-9)
    assert told["peak"] == told["mtu"] == told["rate_cell_log"] == told["rate_overhead"] == 0
    assert told["rate___reserved"] == 1, "ethernet: else the kernel wants a rate table"


@given(buckets())
def test_tbf_is_what_we_read_to_a_tick(spec):
    again = tcwire.read_tbf(memoryview(tcwire.tbf(spec)))
    assert (again.rate_byte_s, again.limit) == (spec.rate_byte_s, spec.limit)
    assert differences(Branch(0, Netem(), spec), Branch(0, Netem(), again)) == []


@given(buckets())
def test_tbf_as_the_kernel_rounds_it_is_no_difference(spec):
    """tbf_change turns the burst into ns, rounded down; tbf_dump turns these into ticks of 64 ns, rounded down."""
    ticks = spec.burst * 10**9 // spec.rate_byte_s // 64
    data = bytearray(tcwire.tbf(spec))
    struct.pack_into("=I", data, 4 + 24 + 4, ticks)
    again = tcwire.read_tbf(memoryview(bytes(data)))
    assert differences(Branch(0, Netem(), spec), Branch(0, Netem(), again)) == []


def test_a_bucket_that_lets_everything_pass_fits_every_field():
    spec = Tbf(PASSING_BYTE_S, PASSING_BURST, 4 * PASSING_BURST)
    again = tcwire.read_tbf(memoryview(tcwire.tbf(spec)))
    assert differences(Branch(0, Netem(), spec), Branch(0, Netem(), again)) == []
    assert bytes(attrs(tcwire.tbf(spec))[6]) == struct.pack("=I", PASSING_BURST)


def u32_by_pyroute2(address, start, classid):
    """The options that pyroute2 makes. (Its decoder is no help: it looks for the keys 4 bytes too early.)"""
    words = [address.packed[at : at + 4].hex() for at in range(0, len(address.packed), 4)]
    keys = [f"0x{word}/0xffffffff+{start + 4 * number}" for number, word in enumerate(words)]
    made = tcmsg()
    made["attrs"] = [["TCA_KIND", "u32"], ["TCA_OPTIONS", cls_u32.get_parameters({"target": classid, "keys": keys})]]
    made.encode()
    header, body = 16, 20
    return bytes(attrs(bytes(made.data)[header + body :])[2])


@pytest.mark.parametrize(("version", "start", "count"), [(4, 16, 1), (6, 24, 4)])
@given(st.data())
def test_u32(version, start, count, data):
    address, classid = data.draw(st.ip_addresses(v=version)), data.draw(u32)
    made = tcwire.u32_filter(address, classid)
    assert made == u32_by_pyroute2(address, start, classid)
    assert tcwire.read_u32(memoryview(made)) == (address, classid)
    told = options("u32", made, number=tcwire.RTM_NEWTFILTER)
    assert told.get_attr("TCA_U32_CLASSID") == classid
    assert told.get_attr("TCA_U32_SEL")["nkeys"] == count


@pytest.mark.parametrize(("version", "info"), [(4, 2 << 16 | 0x0008), (6, 3 << 16 | 0xDD86)])
def test_filters_have_a_priority_per_protocol(version, info):
    assert tcwire.filter_info(version) == info


def test_filters_of_others_are_told_apart():
    assert tcwire.read_u32(memoryview(attr(4, struct.pack("=I", 1)))) is None, "a hash table"
    two = struct.pack("=BBBxHHhhI", 1, 0, 2, 0, 0, 0, 0, 0) + bytes(32)
    assert tcwire.read_u32(memoryview(attr(1, bytes(4)) + attr(5, two))) is None, "eight bytes are no address"
    assert tcwire.read_u32(memoryview(tcwire.u32_filter(IPv4Address("10.0.0.1"), 9)))[1] == 9


def test_an_object_of_a_dump():
    body = tcwire.tcmsg(7, 0x110000, 0x10002, 0, "netem", b"abcd")
    basic = struct.pack("=QIxxxx", 2**40, 12)
    queue = struct.pack("=5I", 3, 4500, 6, 0, 0)
    found = tcwire.read(memoryview(body + attr(7, attr(1, basic) + attr(3, queue))))
    assert (found.kind, found.ifindex, found.handle, found.parent) == ("netem", 7, 0x110000, 0x10002)
    assert bytes(found.options) == b"abcd"
    assert found.stats == Stats(12, 2**40, 6, 4500, 3)


def test_an_object_without_counters_has_counted_nothing():
    assert tcwire.read(memoryview(tcwire.tcmsg(7, 1, 2, 0, "htb", None))).stats == Stats()


def test_more_packets_than_32_bits_count():
    basic, packets64 = attr(1, struct.pack("=QIxxxx", 2**50, 5)), attr(8, struct.pack("=Q", 2**32 + 5))
    body = tcwire.tcmsg(7, 1, 2, 0, "htb", None) + attr(7, basic + packets64)
    assert tcwire.read(memoryview(body)).stats == Stats(2**32 + 5, 2**50)

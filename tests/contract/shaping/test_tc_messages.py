"""The bytes of tc's messages: where the kernel looks for them, and as pyroute2's own classes and ours read them."""

import struct
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Network, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from harness.model.distribution import table
from harness.model.link import MAX_OVERHEAD, MAX_TIME, MIN_OVERHEAD
from harness.netlink.nlattr import attr, attrs, message, word
from harness.shaping import tc_messages as tc
from harness.shaping import tc_read
from harness.shaping.caps import messages
from harness.shaping.caps.messages import set_class
from harness.shaping.htb_class import never_limiting
from harness.shaping.qdisc import PASSING_BURST, PASSING_BYTE_S, ROOT, UNLIMITED, Branch, Netem, Tbf
from harness.shaping.qdisc_diff import differences
from harness.shaping.u32 import UNSHAPED, Filter, by_prefix, discovery, set_filter

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
    overhead=st.integers(MIN_OVERHEAD, MAX_OVERHEAD),
    distribution=st.sampled_from(["uniform", "normal", "pareto", "paretonormal"]),
    seed=st.integers(0, 2**64 - 1),
) | st.builds(Netem, chain=st.tuples(u32, u32, u32, u32))


@st.composite
def buckets(draw):
    rate = draw(rates)
    overhead = draw(st.just(0) | st.integers(0, MAX_OVERHEAD))
    most = 274 * rate - overhead
    assume(most > 0)
    return Tbf(rate, draw(st.integers(1, min(2**31, most))), draw(u32), overhead)


def decoded(request, number=messages.RTM_NEWQDISC):
    """What pyroute2's own class reads in a message."""
    found = tcmsg(message(number, 0, 1, request.body))
    found.decode()
    return found


def body(kind, options, handle=ROOT, parent=tc.TC_H_ROOT, info=0):
    return tc.request(tc.RTM_NEWQDISC, 0, 7, handle, parent, kind, options, info)


def raw(kind, options):
    """The bytes of TCA_OPTIONS."""
    return bytes(attrs(body(kind, options).body[20:])[2])


def read(kind, options):
    return body(kind, options).body


def options(kind, data):
    return decoded(body(kind, data)).get_attr("TCA_OPTIONS")


def test_the_header():
    found = decoded(body("netem", tc.netem(Netem(), fresh=True), handle=0x10001, parent=0x10000, info=0x20800))
    fields = {key: found[key] for key in ("family", "index", "handle", "parent", "info")}
    assert fields == {"family": 0, "index": 7, "handle": 0x10001, "parent": 0x10000, "info": 0x20800}


def test_a_dump_request_has_no_attributes():
    found = tcmsg(message(messages.RTM_GETQDISC, 0, 1, messages.dump_request(7, ROOT)))
    found.decode()
    assert (found["index"], found["parent"], found["attrs"]) == (7, ROOT, [])


def test_htb_root():
    fields = decoded(messages.new_root(7, 0xFFFF)).get_attr("TCA_OPTIONS").get_attr("TCA_HTB_INIT")
    assert {key: fields[key] for key in ("version", "rate2quantum", "defcls", "debug")} == {
        "version": 3,
        "rate2quantum": 10,
        "defcls": 0xFFFF,
        "debug": 0,
    }


@pytest.mark.parametrize("rate", [0, 1, 10**9, UNLIMITED.byte_s, 2**32 - 1, 2**32, 10**10, 2**40])
def test_htb_class_never_limits(rate):
    found = decoded(set_class(7, 1, ROOT, never_limiting(rate)), messages.RTM_NEWTCLASS).get_attr("TCA_OPTIONS")
    parms = found.get_attr("TCA_HTB_PARMS")
    wide = found.get_attr("TCA_HTB_RATE64"), found.get_attr("TCA_HTB_CEIL64")
    full = max(UNLIMITED.byte_s, 2 * rate)
    assert parms["rate"] == parms["ceil"] == min(full, U32)
    assert wide == ((full, full) if full > U32 else (None, None))
    depth = parms["buffer"] * tc.TICK_NS * full / 1e9
    assert parms["buffer"] == parms["cbuffer"]
    assert depth >= 400_000
    assert parms["quantum"] <= 200_000
    assert parms["prio"] == parms["level"] == 0
    assert parms["rate_cell_log"] == parms["rate_overhead"] == parms["rate_mpu"] == 0
    assert parms["rate___reserved"] == parms["ceil___reserved"] == 1, "ethernet: else the kernel wants a rate table"


@given(netems)
def test_netem_is_what_pyroute2_reads(spec):
    found = options("netem", tc.netem(spec, fresh=True))
    assert found["delay"] == min(spec.delay_ns // 64, U32)
    assert found["jitter"] == min(spec.jitter_ns // 64, U32)
    for name in ("limit", "loss", "gap", "duplicate"):
        assert found[name] == getattr(spec, name)
    none = {"delay_corr": 0, "loss_corr": 0, "dup_corr": 0}
    assert dict(found.get_attr("TCA_NETEM_CORR")) == none
    assert dict(found.get_attr("TCA_NETEM_REORDER")) == {"prob_reorder": spec.reorder, "corr_reorder": 0}
    assert dict(found.get_attr("TCA_NETEM_CORRUPT")) == {"prob_corrupt": spec.corrupt, "corr_corrupt": 0}
    assert dict(found.get_attr("TCA_NETEM_RATE")) == {
        "rate": min(spec.rate_byte_s, U32),
        "packet_overhead": spec.overhead,
        "cell_size": 0,
        "cell_overhead": 0,
    }


@given(netems, st.booleans())
def test_netem_is_what_we_read(spec, fresh):
    again = tc_read.read_netem(read("netem", tc.netem(spec, fresh=fresh)))
    assert again == replace(spec, distribution="uniform", seed=0)
    assert differences(Branch(0, spec), Branch(0, again)) == []


def test_fields_that_pyroute2_does_not_know_are_where_the_kernel_looks():
    spec = Netem(delay_ns=MAX_TIME.ns, jitter_ns=1, rate_byte_s=2**33, seed=2**64 - 1, chain=(1, 2, 3, 4))
    found = attrs(raw("netem", tc.netem(spec, fresh=True))[24:])
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
@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_the_jitter_table_is_sent_where_it_is_needed(distribution, fresh, jitter):
    spec = Netem(delay_ns=10**6, jitter_ns=jitter, distribution=distribution)
    found = attrs(raw("netem", tc.netem(spec, fresh=fresh))[24:])
    needed = jitter and not (fresh and distribution == "uniform")
    assert (2 in found) == bool(needed)
    if needed:
        values = struct.unpack(f"={len(found[2]) // 2}h", found[2])
        assert values == table(distribution)
        assert len(values) <= 16384


@pytest.mark.parametrize("ns", [0, 63, 64, 10**6, 10**9, MAX_TIME.ns])
def test_delays_up_to_the_longest_are_exact_and_fit_the_old_field(ns):
    data = tc.netem(Netem(delay_ns=ns), fresh=True)
    assert tc_read.read_netem(read("netem", data)).delay_ns == ns
    assert options("netem", data)["delay"] == min(ns // 64, U32)


def test_an_old_kernels_netem_reports_its_delay_in_ticks():
    found = read("netem", {"delay": 312_500, "limit": 1000, "jitter": 15_625, "attrs": []})
    assert tc_read.read_netem(found) == Netem(delay_ns=20_000_000, jitter_ns=1_000_000)


@pytest.mark.parametrize("rate", [1, U32 - 1, U32, U32 + 1, 10**10, 2**40])
def test_rates_beyond_32_bits(rate):
    netem = attrs(raw("netem", tc.netem(Netem(rate_byte_s=rate), fresh=True))[24:])
    tbf = attrs(raw("tbf", tc.tbf(Tbf(rate, 100_000 if rate > 1000 else 100, 10**6))))
    assert (8 in netem) == (4 in tbf) == (rate > U32)
    assert struct.unpack_from("=I", netem[6])[0] == struct.unpack_from("=I", tbf[1], 8)[0] == min(rate, U32)
    if rate > U32:
        assert bytes(netem[8]) == bytes(tbf[4]) == struct.pack("=Q", rate)


@given(buckets())
def test_tbf_is_what_pyroute2_reads(spec):
    found = options("tbf", tc.tbf(spec)).get_attr("TCA_TBF_PARMS")
    assert found["rate"] == min(spec.rate_byte_s, U32)
    assert found["limit"] == spec.limit
    assert found["buffer"] == pytest.approx(
        (spec.burst + spec.overhead) / spec.rate_byte_s * 1e9 / 64, abs=0.6, rel=1e-9
    )
    assert found["peak"] == found["mtu"] == found["rate_cell_log"] == 0
    assert found["rate_overhead"] == spec.overhead
    assert found["rate___reserved"] == 1, "ethernet: else the kernel wants a rate table"


@given(buckets())
def test_tbf_is_what_we_read_to_a_tick(spec):
    again = tc_read.read_tbf(read("tbf", tc.tbf(spec)))
    assert (again.rate_byte_s, again.limit) == (spec.rate_byte_s, spec.limit)
    assert differences(Branch(0, Netem(), spec), Branch(0, Netem(), again)) == []


@given(buckets())
def test_tbf_as_the_kernel_rounds_it_is_no_difference(spec):
    """tbf_change turns the burst into ns, rounded down; tbf_dump turns these into ticks of 64 ns, rounded down."""
    ticks = (spec.burst + spec.overhead) * 10**9 // spec.rate_byte_s // 64
    data = tc.tbf(spec)
    data["attrs"][0][1]["buffer"] = ticks
    again = tc_read.read_tbf(read("tbf", data))
    assert differences(Branch(0, Netem(), spec), Branch(0, Netem(), again)) == []


def test_a_bucket_that_lets_everything_pass_fits_every_field():
    spec = Tbf(PASSING_BYTE_S, PASSING_BURST, 4 * PASSING_BURST)
    again = tc_read.read_tbf(read("tbf", tc.tbf(spec)))
    assert differences(Branch(0, Netem(), spec), Branch(0, Netem(), again)) == []
    assert bytes(attrs(raw("tbf", tc.tbf(spec)))[6]) == struct.pack("=I", PASSING_BURST)


@pytest.mark.parametrize(("version", "start"), [(4, 16), (6, 24)])
@given(st.data())
def test_u32(version, start, data):
    address, classid = data.draw(st.ip_addresses(v=version)), data.draw(st.integers(1, 2**32 - 1))
    prefix = ip_network((address, data.draw(st.integers(1, address.max_prefixlen))), strict=False)
    count = -(-prefix.prefixlen // 32)
    made = tc.new_filter(7, prefix, classid, 5)
    assert tc_read.read_filter(made.body) == (5, prefix, classid)
    found = decoded(made, messages.RTM_NEWTFILTER).get_attr("TCA_OPTIONS")
    assert found.get_attr("TCA_U32_CLASSID") == classid
    assert found.get_attr("TCA_U32_SEL")["nkeys"] == count
    selector = bytes(attrs(attrs(made.body[20:])[2])[5])
    terminal = 1
    assert selector[:3] == bytes((terminal, 0, count))
    keys = [struct.unpack_from("=4s4sii", selector, 16 + 16 * n) for n in range(count)]
    assert b"".join(value for _, value, _, _ in keys) == prefix.network_address.packed[: 4 * count]
    assert b"".join(mask for mask, _, _, _ in keys) == prefix.netmask.packed[: 4 * count]
    assert [(offset, along) for _, _, offset, along in keys] == [(start + 4 * n, 0) for n in range(count)]


@pytest.mark.parametrize(("net", "info"), [("10.0.0.0/8", 2 << 16 | 0x0008), ("fd00::/8", 3 << 16 | 0xDD86)])
def test_filters_have_a_priority_per_protocol(net, info):
    assert decoded(tc.new_filter(7, ip_network(net), 9))["info"] == info


def test_neighbour_discovery_is_matched_as_receivers_believe_it():
    for spec, kind in zip(discovery(UNSHAPED), (135, 136), strict=True):
        made = set_filter(7, ROOT, 1, 1, spec)
        assert decoded(made)["info"] == 1 << 16 | 0xDD86
        selector = bytes(attrs(attrs(made.body[20:])[2])[5])
        keys = [struct.unpack_from("=4s4sii", selector, 16 + 16 * n) for n in range(selector[2])]
        assert keys == [
            (b"\0\0\xff\xff", b"\0\0\x86\xdd", -4, 0),
            (b"\xff\0\xff\xff", b"\0\0\x3a\xff", 4, 0),
            (b"\xff\0\0\0", bytes((kind, 0, 0, 0)), 40, 0),
        ]


def test_filters_of_others_are_told_apart():
    one, hash_table = IPv4Network("10.0.0.1"), attr(2, word(1, 9))
    two_keys = Filter(4, ((1, 2**32 - 1, 16), (2, 2**32 - 1, 24)), 9)
    listed = messages.raw_request(messages.RTM_NEWTFILTER, 0, 7, 0, ROOT, "u32", hash_table, info=2 << 16 | 0x0008)
    assert tc_read.read_filter(listed.body) is None
    assert tc_read.read_filter(set_filter(7, ROOT, 2, 0, two_keys).body) is None, "eight bytes are no address"
    assert tc_read.read_filter(set_filter(7, 1 << 16, 5, 1, by_prefix("dst", one, 9)).body) is None
    assert tc_read.read_filter(set_filter(7, 1 << 16, 2, 1, by_prefix("src", one, 9)).body) is None
    assert tc_read.read_filter(tc.new_filter(7, one, 9, 1).body) == (1, one, 9)


def test_netem_imports_the_message_classes_alone_and_who_imports_pyroute2_later_has_all_of_it():
    """The rest of it takes 0.1 s more; it imports a database."""
    code = """if True:
        import sys
        from harness.shaping import netem, tc_messages as tc, tc_read
        from harness.shaping.qdisc import Netem
        spec = Netem(delay_ns=5)
        made = tc.request(36, 0, 7, 1, 2, "netem", tc.netem(spec, fresh=True)).body
        assert tc_read.read_netem(made) == spec
        assert not {"pyroute2", "pyroute2.netlink", "sqlite3"} & set(sys.modules)
        import pyroute2, pyroute2.netlink
        assert pyroute2.netlink.nla and pyroute2.IPRoute and "sqlite3" in sys.modules
        from pyroute2.netlink.rtnl.tcmsg import plugins, sched_netem
        assert plugins["netem"] is sched_netem
        assert tc_read.read_netem(made) == spec
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_users_own_pyroute2_is_left_as_it_is():
    from pyroute2.netlink.rtnl.tcmsg import plugins, sched_netem

    assert plugins["netem"] is sched_netem

"""Sysctls of nodes."""

from __future__ import annotations

from typing import Final

TCP_BUFFER: Final = 128 * 1024 * 1024
"""The largest buffer that TCP may autotune to, bytes: the bandwidth-delay product of 1 Gbit/s and 1 s."""
TCP_SETTINGS: Final = {
    "net/ipv4/tcp_rmem": f"4096 131072 {TCP_BUFFER}",
    "net/ipv4/tcp_wmem": f"4096 65536 {TCP_BUFFER}",
    "net/ipv4/tcp_no_metrics_save": "1",
}
"""Without saved metrics no connection is slow because an earlier one was, before its link was reshaped."""
CONTAINER: Final = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/default/accept_redirects": "0",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/all/accept_redirects": "0",
    "net/ipv6/conf/default/accept_redirects": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv4/ping_group_range": "0 2147483647",
    **TCP_SETTINGS,
}
"""To be set by what starts a container, because /proc/sys is read-only inside. Ping then needs no privileges."""

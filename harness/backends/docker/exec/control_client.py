"""Connects standard input and output with the agent of this container: what ``docker exec`` runs there.

    -c SOURCE [RANK]

With a rank, with the agent of that one, on another machine: by the network of the agents, which root alone may use.

Its source is sent (``python3 -c``), so it needs no module of ours. Without ``import socket``, which takes 10 ms of a
core in every container that a command asks; its C part is all that this needs.
"""

import _socket
import os
import select
import sys

CHUNK = 1 << 16
PORT = 29322
CONNECT_SECONDS = 5
WITHIN_A_MINUTE = (
    (_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1),
    (_socket.IPPROTO_TCP, _socket.TCP_KEEPIDLE, 15),
    (_socket.IPPROTO_TCP, _socket.TCP_KEEPINTVL, 5),
    (_socket.IPPROTO_TCP, _socket.TCP_KEEPCNT, 9),
    (_socket.IPPROTO_TCP, _socket.TCP_USER_TIMEOUT, 60000),
)
"""Without these options, a command that waits for a program on a machine that was switched off never ends."""


def connect(rank: str) -> int:
    """To our agent, or to that of another rank, which ours says where it is. Ends with what went wrong."""
    who = "its agent does not answer"
    try:
        agent = _socket.socket(_socket.AF_UNIX)
        agent.settimeout(CONNECT_SECONDS)
        agent.connect("\0tc-harness-agent")
        if rank:
            agent.sendall(b'{"do":"where","rank":%s}\n' % rank.encode())
            answer = agent.recv(CHUNK).decode()  # {"address":"10.0.1.6"}, by a module less than json
            if not answer.startswith('{"address"'):
                sys.exit(f"the agent here does not know where rank {rank} is: {answer}")
            who = f"rank {rank} is gone, or its machine does not answer"
            agent = _socket.socket(_socket.AF_INET)
            agent.settimeout(CONNECT_SECONDS)
            agent.connect((answer.split('"')[3], PORT))
            for level, option, value in WITHIN_A_MINUTE:
                agent.setsockopt(level, option, value)
    except OSError as problem:
        sys.exit(f"{who} ({problem.strerror or problem})")
    return agent.detach()


def pass_on(agent: int) -> None:
    """Pass bytes on, both ways at once, until either end is gone."""
    waiting = {agent: b"", 1: b""}
    for fd in (0, *waiting):
        os.set_blocking(fd, False)
    while True:
        wanted = {}  # type: dict[int, int]
        for source, target in ((0, agent), (agent, 1)):
            fd, event = (target, select.POLLOUT) if waiting[target] else (source, select.POLLIN)
            wanted[fd] = wanted.get(fd, 0) | event
        poll = select.poll()
        for fd, events in wanted.items():
            poll.register(fd, events)
        ready = dict(poll.poll())
        try:
            for source, target in ((0, agent), (agent, 1)):
                if waiting[target]:
                    if ready.get(target, 0) & ~select.POLLIN:
                        waiting[target] = waiting[target][os.write(target, waiting[target]) :]
                elif ready.get(source, 0) & ~select.POLLOUT:
                    waiting[target] = os.read(source, CHUNK)
                    if not waiting[target]:
                        return
        except BlockingIOError:
            continue
        except OSError:  # one of them ended while it had something to read
            return


if __name__ == "__main__":
    pass_on(connect(sys.argv[1] if len(sys.argv) > 1 else ""))

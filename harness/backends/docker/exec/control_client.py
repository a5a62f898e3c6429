"""Connects standard input and output with the agent of this container; ``docker exec`` runs it there.

    python3 -c SOURCE [RANK]

With a rank it connects with that rank's agent on another machine, over the agents' network, which only root may use.

It is sent as source, so it must not import modules of ours. It does without ``import socket``, which takes 10 ms of a
core in every container that a command asks, and needs only its C part.
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
"""Without these options a command would wait for ever for a program on a machine that was switched off."""


def connect(rank: str) -> int:
    """Connect to our agent, or to a rank's, whose address ours knows; exits with a message where that fails."""
    who = "its agent does not answer"
    try:
        agent = _socket.socket(_socket.AF_UNIX)
        agent.settimeout(CONNECT_SECONDS)
        agent.connect("\0tc-harness-agent")
        if rank:
            agent.sendall(b'{"do":"where","rank":%s}\n' % rank.encode())
            answer = agent.recv(CHUNK).decode()  # {"address":"10.0.1.6"}, parsed without importing json
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
    """Pass bytes on in both directions until either end closes."""
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
        except OSError:  # an end has closed with unread data
            return


if __name__ == "__main__":
    pass_on(connect(sys.argv[1] if len(sys.argv) > 1 else ""))

"""Slow calls in daemon threads."""

import asyncio
import subprocess
import sys

import pytest

from harness.agent.aside import aside


def test_what_a_call_returns_or_raises_comes_back():
    assert asyncio.run(aside(lambda: 7)) == 7
    with pytest.raises(ValueError, match="not so"):
        asyncio.run(aside(lambda: (_ for _ in ()).throw(ValueError("not so"))))


def test_a_call_that_takes_long_keeps_no_process_from_ending():
    """Also, a call whose waiter was cancelled does no harm when it returns."""
    code = """if True:
        import asyncio, time
        from harness.agent.aside import aside

        async def main():
            for seconds in (0.2, 60):
                try:
                    await asyncio.wait_for(aside(lambda: time.sleep(seconds)), 0.1)
                except TimeoutError:
                    pass
            await asyncio.sleep(0.3)

        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, text=True)
    assert (done.returncode, done.stderr) == (0, "")

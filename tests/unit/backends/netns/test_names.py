"""The files by which programs in namespaces look names up."""

import pytest

from harness.backends.netns.names import hosts_file_only, name_files
from tests.support.plans import network


def test_hosts_name_every_node_in_both_versions():
    lines = name_files(network("ring", 3))["/etc/hosts"].splitlines()
    assert "127.0.0.1 localhost" in lines
    assert [line for line in lines if "node-" in line and "." in line] == [
        f"10.77.0.{rank + 1} node-{rank}" for rank in range(3)
    ]


@pytest.mark.parametrize("hosts", ["hosts: files dns", "hosts:files resolve [!UNAVAIL=return] dns", " hosts : dns"])
def test_hosts_come_from_the_file_alone(hosts):
    assert hosts_file_only(f"passwd: files\n{hosts}\n# hosts: nis\n") == "passwd: files\n# hosts: nis\nhosts: files\n"

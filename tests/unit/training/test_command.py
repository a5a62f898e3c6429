"""How train, bench and pace end."""

import errno

from harness.training.command import ended


def test_an_error_of_the_system_is_one_line_that_says_what_failed(monkeypatch, capsys):
    def run():
        raise PermissionError(errno.EACCES, "Permission denied", "/data/digits.npz")

    monkeypatch.setenv("RANK", "3")
    assert ended(run) == 70
    assert capsys.readouterr().err == "rank 3: /data/digits.npz: Permission denied\n"

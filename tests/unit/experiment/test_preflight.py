"""A command that cannot be started is refused before the first network."""

import os
import sys

import pytest

from harness.errors import InputError
from harness.experiment.measure import Measure
from harness.experiment.preflight import check_command, check_measure
from harness.experiment.variants import OwnCommand

VALUES = {"seed": "0"}
ENVIRON = {"PATH": os.pathsep.join([os.path.dirname(sys.executable), "/usr/bin", "/bin"])}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.py").write_text("")
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    return tmp_path


def check(folder, *argv, env=None, environ=ENVIRON, values=VALUES):
    check_command(OwnCommand(argv, env or {}, folder), [values], environ)


@pytest.mark.parametrize(
    "argv",
    [
        ("python", "train.py"),
        ("python", "-u", "-W", "ignore", "train.py", "no.py"),
        ("python", "-c", "print()"),
        ("python", "-Bm", "package", "x.py"),
        ("python", "-O", "train.py"),
        ("sh", "-c", "python no.py"),
        ("sh", "-ec", "python no.py"),
        ("./tool", "--write", "new.py"),
        ("env", "A=1", "python", "train.py"),
        ("python", "{seed}.py"),
    ],
)
def test_what_can_be_started(folder, argv):
    (folder / "0.py").write_text("")
    check(folder, *argv)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("pyhton", "train.py"), "command: there is no program 'pyhton' in PATH"),
        (("./none", "x"), "/none does not exist"),
        (("./train.py",), "command: './train.py' is a script, not a program: write [python, ./train.py]"),
        (("train.py",), "write [python, train.py]"),
        (("./data",), "/data is not a program that can be executed"),
        (("python", "no.py"), "command: there is no file no.py in "),
        (("python", "-u", "-X", "dev", "no.py"), "there is no file no.py in "),
        (("python3.11", "/no/such.py"), "there is no file /no/such.py in "),
        (("sh", "no.sh"), "there is no file no.sh in "),
        (("torchrun", "--nproc-per-node", "2", "no.py"), "there is no file no.py in "),
        (("python", "{seed}.py"), "there is no file 0.py in "),
    ],
)
def test_what_cannot(folder, argv, message):
    (folder / "data").write_text("")
    for name in ("python3.11", "torchrun"):
        (folder / name).symlink_to("/bin/true")
    with pytest.raises(InputError) as error:
        check(folder, *argv, environ={"PATH": f"{ENVIRON['PATH']}:{folder}"})
    assert message in str(error.value)


def test_a_path_of_the_command_itself_counts(folder):
    check(folder, "tool", env={"PATH": str(folder)})
    with pytest.raises(InputError, match="there is no program 'tool' in PATH"):
        check(folder, "tool")


def test_containers_have_programs_of_their_own_but_the_files_folder(folder):
    check(folder, "conda", "x", environ=None)
    check(folder, "python", "/opt/train.py", environ=None)
    with pytest.raises(InputError, match="there is no file no"):
        check(folder, "python", "no.py", environ=None)


def test_a_file_that_a_container_would_keep_to_itself_is_refused():
    here, there = (Measure("jsonl", "loss", path=path, key="loss") for path in ("{run_dir}/m", "/tmp/m"))
    for measure, in_containers in ((here, True), (here, False), (there, False), (Measure(), True)):
        check_measure(measure, in_containers)
    with pytest.raises(InputError, match="'/tmp/m' is not there"):
        check_measure(there, True)

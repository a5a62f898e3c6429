"""What a job's environment says so that it records its collectives."""

import os

from harness.model.collectives_hook import HOOK, collectives_environment


def test_python_finds_the_hook_first_and_torch_keeps_enough_collectives_in_silence():
    assert collectives_environment({}) == {
        "HARNESS_COLLECTIVES": "1",
        "TORCH_FR_BUFFER_SIZE": "256",
        "KINETO_LOG_LEVEL": "99",
        "PYTHONPATH": str(HOOK),
    }
    assert (HOOK / "sitecustomize.py").is_file()


def test_what_the_job_has_already_stays():
    found = collectives_environment({"PYTHONPATH": "/mine", "TORCH_FR_BUFFER_SIZE": "9", "KINETO_LOG_LEVEL": "0"}, "/h")
    assert found["PYTHONPATH"] == f"/h{os.pathsep}/mine"
    assert (found["TORCH_FR_BUFFER_SIZE"], found["KINETO_LOG_LEVEL"]) == ("9", "0")

"""The Compose file and the image's build folder, from a checkout and from a wheel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """An unpacked wheel of this package."""
    folder = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "-q", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def harness(site, folder, *words, code=0):
    env = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "80"}
    argv = [sys.executable, "-m", "harness", *words]
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done


def test_a_checkout_prints_its_own_files(tmp_path):
    assert harness(ROOT, tmp_path, "compose").stdout == (ROOT / "compose.yaml").read_text()
    assert harness(ROOT, tmp_path, "compose", "--env").stdout == (ROOT / ".env.example").read_text()


def test_a_wheel_prints_the_same_but_for_the_jobs_folder(tmp_path, wheel):
    printed = yaml.safe_load(harness(wheel, tmp_path, "compose").stdout)
    assert printed["services"]["node"]["volumes"][0]["source"] == "${WORK:-.}"
    printed["services"]["node"]["volumes"][0]["source"] = "${WORK:-./examples}"
    assert printed == yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert "\nWORK=.\n" in harness(wheel, tmp_path, "compose", "--env").stdout


def test_a_folder_for_the_image_has_all_that_its_recipe_copies(tmp_path, wheel):
    source = "from harness.backends.docker.build_context import build_context; print(build_context())"
    env = {**os.environ, "PYTHONPATH": str(wheel), "XDG_CACHE_HOME": str(tmp_path)}
    for _ in range(2):  # what is there from the last time is no hindrance
        done = subprocess.run(
            [sys.executable, "-c", source], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
    context = Path(done.stdout.strip())
    copied = [
        word
        for line in (context / "docker/Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    assert {"harness", "pyproject.toml", "compose.yaml"} <= set(map(os.path.normpath, copied))
    for name in copied:
        assert (context / name).exists(), name
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "harness").rglob("*") if path.suffix != ".pyc"}
    there = {str(path.relative_to(context)) for path in (context / "harness").rglob("*")}
    assert {name for name in ours - there if "__pycache__" not in name} == set()
    assert sorted(path.name for path in (context / "tc_profiles").iterdir()) == sorted(
        path.name for path in (ROOT / "tc_profiles").iterdir()
    )


@pytest.mark.parametrize("site", ["checkout", "wheel"])
def test_without_docker_the_remedy_is_one_that_this_user_has(tmp_path, wheel, site):
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname", "mktemp", "rm"):
        (tmp_path / "bin" / tool).symlink_to(
            next(p for p in map(Path, ("/bin", "/usr/bin")) if (p / tool).exists()) / tool
        )
    env = {**os.environ, "PYTHONPATH": str(ROOT if site == "checkout" else wheel), "XDG_CACHE_HOME": str(tmp_path)}
    env["PATH"] = str(tmp_path / "bin")
    argv = [sys.executable, "-m", "harness", "image", "build"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 69, done.stderr
    assert "install Docker" in done.stderr
    assert ("scripts/with-docker" in done.stderr) == (site == "checkout")


def test_no_message_of_a_wheel_names_a_checkout(wheel):
    """Remedies come from harness.installed, which knows both."""
    for path in (wheel / "harness").rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if any(word in line for word in ("make setup", "scripts/with-", "scripts/build-image", "in the checkout")):
                allowed = path.name == "installed.py" or "remedy(" in line
                assert allowed, f"{path}:{number}: {line.strip()}"

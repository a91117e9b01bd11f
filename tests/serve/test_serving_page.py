"""docs/serving.md: its examples run as they stand there, its tables name what there is."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vl2.serve.app import create_app
from vl2.serve.connections import PatientServer
from vl2.serve.protocol import ChatRequest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def run(command: list[str], code: str, url: str) -> str:
    code = code.replace("http://127.0.0.1:8000", url)
    done = subprocess.run([*command, code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(nano_server: PatientServer) -> None:
    blocks = [code for language, code in BLOCKS if language == "bash" and "curl" in code]
    models, chat, files = (run(["bash", "-euo", "pipefail", "-c"], code, nano_server.url) for code in blocks)
    assert json.loads(models)["data"][0]["id"] == "nano"
    assert json.loads(chat)["choices"][0]["message"]["content"] == "£30.90"
    assert files.startswith("## Page 1\n\nNotice to Members")
    *_, last = files.splitlines()
    assert json.loads(last)["regions"][0]["label"] == "the total"


def test_python(nano_server: PatientServer) -> None:
    client, program = (run([sys.executable, "-c"], code, nano_server.url) for lang, code in BLOCKS if lang == "python")
    assert client.startswith('£30.90{"total": ')
    assert program.startswith("http://127.0.0.1:")


def test_tables_name_what_there_is(nano_server: PatientServer) -> None:
    for field in ChatRequest.model_fields:
        assert f"`{field}`" in PAGE, field
    for route in create_app(lambda: pytest.fail("nothing is loaded")).routes:
        path = getattr(route, "path", "")
        assert path in PAGE or path.startswith("/v1/models/") or path == "", path
    figures = nano_server.service.metrics.render().decode()
    for name in re.findall(r"^# TYPE (vl2_\w+?)(?:_created)? ", figures, re.MULTILINE):
        assert f"`{name}" in PAGE, name

"""The commands of docs/rest.md do what it says, each as it stands there."""

import re
import subprocess

import pytest

from service import PATIENCE, PROGRAM, ROOT, Service

GUIDE = (ROOT / "docs" / "rest.md").read_text()
WRITTEN = "http://127.0.0.1:8080"
# What a later command takes from an earlier reply.
TAKEN = {
    "KEY": r"\bibid_[0-9a-f]{64}\b",
    "CORPUS": r"\bcorp_[0-9A-Z]{26}\b",
    "JOB": r"\bjob_[0-9A-Z]{26}\b",
    "ANSWER": r"\bans_[0-9A-Z]{26}\b",
    "DOCUMENT": r"\bdoc_[0-9A-Z]{26}\b",
    "FILE": r"\bfile_[0-9A-Z]{26}\b",
}
# By section: what the output of each of its blocks has to hold.
EXPECTED = {
    "Keys": [["ibid_", "laptop"]],
    "A corpus, and files in it": [['"object":"corpus"'], ['"status":"accepted"']],
    "Wait for the job": [["event: job.finished", '"state":"succeeded"']],
    "Ask": [['"grounding":"supported"', '"citations":[{']],
    "Stream, and resume": [["id: 0", "event: text.delta"], ["id: 2", "event: answer.completed"]],
    "From a citation to its source": [['"text":"Holmfield Allotmen"', "The society looks after 64 plots"]],
    "Delete": [['"object":"answer.deleted"', '"object":"document.deleted"', '"object":"corpus.deleted"']],
    "Programs that speak OpenAI's chat interface": [["supported Every new member pays a deposit of £40"]],
    "Errors, retries, lists": [['"code":"unauthenticated"']],
}


def blocks() -> list[tuple[str, str, str]]:
    """Section, language and text of each block of code."""
    found = []
    for section in GUIDE.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        found += [(title, kind, text) for kind, text in re.findall(r"```(sh|python)\n(.*?)```", section, re.DOTALL)]
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    with Service() as service:
        # Here curl finds that it is to print the reply and nothing else.
        (home := tmp_path_factory.mktemp("curl")).joinpath(".curlrc").write_text("silent\nshow-error\n")
        path = f"{PROGRAM.parent}:{service.environment['PATH']}"
        yield service.environment | {"URL": service.url, "CURL_HOME": str(home), "PATH": path}


def shell(text: str, environment: dict[str, str]) -> str:
    script = f"set -euo pipefail\n{text.replace(WRITTEN, environment['URL'])}"
    run = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, timeout=PATIENCE, capture_output=True, text=True
    )
    assert run.returncode == 0, text + run.stderr
    return run.stdout


def python(text: str, environment: dict[str, str], capsys) -> str:
    capsys.readouterr()
    exec(text.replace(WRITTEN, environment["URL"]), {name: environment[name] for name in ("KEY", "CORPUS")})
    return capsys.readouterr().out


def test_every_command_of_the_guide(environment, capsys):
    expected = {title: iter(fragments) for title, fragments in EXPECTED.items()}
    # What deletes comes last, whatever its place in the text.
    for title, kind, text in sorted(blocks(), key=lambda block: "DELETE" in block[2]):
        said = python(text, environment, capsys) if kind == "python" else shell(text, environment)
        missing = [fragment for fragment in next(expected[title]) if fragment not in said]
        assert not missing, f"{text}\n{missing} is not in:\n{said}"
        for name, pattern in TAKEN.items():
            if found := re.search(pattern, said):
                environment[name] = found[0]
    assert all(next(rest, None) is None for rest in expected.values()), "the guide has fewer commands than are expected"

"""A running `ibid serve` on a data folder of its own, and a small client of its REST interface."""

import os
import subprocess
import tempfile
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("IBID", ROOT / "target" / "debug" / "ibid")).resolve()
# Longest wait for one reply, seconds: far more than any of them takes.
PATIENCE = 60


class Service:
    """`with Service() as service:` starts the program with a key for one owner and stops it at the end."""

    def __init__(self, config: str = ""):
        self.folder = tempfile.TemporaryDirectory(prefix="ibid-rest-")
        self.data = Path(self.folder.name) / "data"
        self.data.mkdir()
        (self.data / "config.toml").write_text(config)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("IBID_")}
        self.environment |= {"IBID_DATA": str(self.data), "IBID_MODEL": os.environ["IBID_TEST_MODEL"]}

    def __enter__(self):
        self.key = self.create_key("ann")
        self.log = open(Path(self.folder.name) / "log", "wb")
        command = [PROGRAM, "serve", "--address", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=self.log)
        said = self.process.stdout.readline().decode()
        assert "http://" in said, f"ibid serve did not start: {said} {self.said()}"
        self.url = said.split()[-1].rstrip("/")
        return self

    def __exit__(self, failure, *_):
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        if failure or code != 0:
            print(self.said())
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()
        assert code == 0, f"ibid serve ended with {code}"

    def create_key(self, owner: str, *more: str) -> str:
        command = [PROGRAM, "key", "create", "--owner", owner, *more]
        made = subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True)
        return made.stdout.strip()

    def said(self) -> str:
        return Path(self.log.name).read_text(errors="replace")[-4000:]


class Client:
    """Calls as the owner of one key; whatever is refused ends the test."""

    def __init__(self, url: str, key: str):
        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def call(self, method: str, path: str, **more) -> requests.Response:
        reply = self.session.request(method, self.url + path, timeout=PATIENCE, **more)
        assert reply.ok, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply

    def get(self, path: str) -> dict:
        return self.call("GET", path).json()

    def post(self, path: str, body: dict, **headers: str) -> dict:
        return self.call("POST", path, json=body, headers=headers).json()

    def corpus(self, name: str) -> str:
        return self.post("/v1/corpora", {"name": name})["id"]

    def upload(self, corpus: str, files: dict[str, bytes]) -> dict:
        parts = [("files", (name, content)) for name, content in files.items()]
        return self.call("POST", f"/v1/corpora/{corpus}/documents", files=parts).json()

    def ended(self, job: str) -> dict:
        """Waits for the end of a job by listening to it."""
        self.call("GET", f"/v1/jobs/{job}/events")
        return self.get(f"/v1/jobs/{job}")

    def ask(self, corpus: str, question: str, **more) -> dict:
        return self.post(f"/v1/corpora/{corpus}/answers", {"question": question, **more})

"""The interface does what its OpenAPI description says, whatever it is called with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from seeds import CONFIG
from service import Client, Service

HERE = Path(__file__).parent
# Seconds after which the run hangs: it takes about one minute.
PATIENCE = 600
# Share of the operations that have to succeed at least once.
REACHED = 0.9


@pytest.fixture(scope="module")
def described():
    with Service(CONFIG) as service:
        yield service


def test_every_call_is_answered_as_described(described, tmp_path):
    counts = tmp_path / "counts.json"
    description = f"{described.url}/v1/openapi.json"
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml", "run", description]
    environment = os.environ | {
        "IBID_URL": described.url,
        "IBID_KEY": described.key,
        "IBID_COUNTS": str(counts),
        "PYTHONPATH": str(HERE),
    }
    run = subprocess.run(command, cwd=tmp_path, env=environment, timeout=PATIENCE, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr

    operations = {
        operation["operationId"]
        for methods in requests.get(description, timeout=10).json()["paths"].values()
        for operation in methods.values()
    }
    seen = json.loads(counts.read_text())
    missed = {name: seen.get(name, []) for name in operations if not any(s // 100 == 2 for s in seen.get(name, []))}
    print(f"{len(operations) - len(missed)} of {len(operations)} operations succeeded; not: {missed}")
    assert len(missed) <= (1 - REACHED) * len(operations), missed


LONE_SURROGATE = rb'{"name": "\ud800"}'
HUGE = b'{"tokens": 1' + b"0" * 400 + b', "model": {"preset": "open"}, "weights": "int4", "kv_dtype": "int8"}'
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "method, path, headers, body, status, code",
    [
        ("POST", "/v1/corpora", JSON, LONE_SURROGATE, 400, "bad_json"),
        ("POST", "/v1/corpora", JSON, b'{"name": "\xff"}', 400, "bad_json"),
        ("POST", "/v1/corpora", JSON, rb'{"name": "a\u0000b"}', 422, "bad_name"),
        ("POST", "/v1/corpora", JSON, b'{"name": "a", "name": "b"}', 422, "bad_field"),
        ("POST", "/v1/corpora", JSON, b"[" * 100_000, 422, "bad_field"),
        ("POST", "/v1/corpora", {"Content-Type": "text/plain"}, b'{"name": "a"}', 415, "not_json"),
        ("POST", "/v1/models/plan", JSON, HUGE, 400, "bad_json"),
        ("GET", "/v1/corpora?limit=1&limit=2", {}, None, 422, "bad_query"),
        ("GET", "/v1/corpora?limit=99999999999999999999999", {}, None, 422, "bad_query"),
        ("GET", "/v1/corpora?order=%00", {}, None, 422, "bad_query"),
        ("GET", "/v1/corpora?after=%ff%fe", {}, None, 404, "not_found"),
        ("GET", "/v1/corpora/%00", {}, None, 404, "not_found"),
        ("GET", "/v1/corpora/%ff", {}, None, 404, "not_found"),
        ("GET", "/v1/corpora", {"Authorization": "Bearer \xff"}, None, 401, "unauthenticated"),
        ("GET", "/v1/corpora", {"Authorization": ""}, None, 401, "unauthenticated"),
        ("PATCH", "/v1/corpora", {}, None, 405, "method_not_allowed"),
    ],
)
def test_what_no_client_should_send(described, method, path, headers, body, status, code):
    session = Client(described.url, described.key).session
    reply = session.request(method, described.url + path, headers=headers, data=body, timeout=10)
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json()["request_id"] == reply.headers["X-Request-Id"]

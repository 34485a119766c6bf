"""Hooks of schemathesis: what no schema says is filled in (ids of objects that exist, a question that can be answered), and
every reply is counted. What was made invalid on purpose stays as it is."""

import atexit
import json
import os
import zlib
from collections import defaultdict

import schemathesis
from schemathesis.core import NOT_SET
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import CoverageScenario, TestPhase

from seeds import QUESTION, Seeds
from service import Client

# Calls of an operation that ends an object which get a fresh one each; the others name objects that do not exist.
FRESH = 5
# Questions that the documents answer, which takes the model a while; the others are found nowhere in them.
ANSWERED = 8
# Of so many values made up at random, one is kept: valid in form, but no object of the caller.
KEPT = 4
# Each output token takes a step of the model.
OUTPUT_TOKENS = 12
# More than any model's window: asked for to be refused.
TOO_MANY_TOKENS = 1_000_000

client = Client(os.environ["IBID_URL"], os.environ["IBID_KEY"])
seeds = Seeds(client)
ended: dict[str, int] = defaultdict(int)
calls: dict[str, int] = defaultdict(int)
statuses: dict[str, set[int]] = defaultdict(set)


def operation_of(case) -> str:
    return case.operation.definition.raw["operationId"]


def kept(case, value) -> bool:
    # By value: a case that is tried again has to be the same.
    return case.meta.phase.name == TestPhase.FUZZING and zlib.crc32(repr(value).encode()) % KEPT == 0


@schemathesis.hook
def filter_case(context, case):
    # Unknown header fields are ignored (RFC 9110, section 5.1), so that one more makes no request invalid.
    data = case.meta.phase.data
    unknown = getattr(data, "scenario", None) == CoverageScenario.OBJECT_UNEXPECTED_PROPERTIES
    return not (unknown and data.parameter_location == ParameterLocation.HEADER)


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.method.upper() != case.operation.method.upper():
        return
    operation = operation_of(case)
    if not case.meta.is_negative_at(ParameterLocation.PATH) and not kept(case, case.path_parameters):
        fill_path(operation, case)
    if case.body is not NOT_SET and not case.meta.is_negative_at(ParameterLocation.BODY):
        fill_body(operation, case)


def fill_path(operation: str, case):
    ids = dict(seeds.ids)
    if ended[operation] < FRESH:
        fresh = seeds.fresh(operation)
        ended[operation] += bool(fresh)
        ids |= fresh
    elif case.method == "DELETE":
        return
    for name in case.path_parameters:
        if name in ids:
            case.path_parameters[name] = ids[name]
        elif name == "image":
            case.path_parameters[name] = "1.png"


def fill_body(operation: str, case):
    body = case.body
    match operation:
        case "create_session":
            case.body = {"key": os.environ["IBID_KEY"]}
        case "create_conversation" if not kept(case, body):
            case.body = body | {"corpus_id": seeds.ids["corpus_id"]}
        case "ask":
            case.body = asked(case, body)
        case "complete_chat":
            case.body = chat(case, body)


def answered(operation: str) -> bool:
    calls[operation] += 1
    return calls[operation] <= ANSWERED


def asked(case, body: dict) -> dict:
    filled = {"max_output_tokens": OUTPUT_TOKENS} | body
    if answered("ask"):
        filled["question"] = QUESTION
    if (filled["max_output_tokens"] or 0) < TOO_MANY_TOKENS:
        filled["max_output_tokens"] = OUTPUT_TOKENS
    if body.get("conversation_id") and not kept(case, body["conversation_id"]):
        filled["conversation_id"] = seeds.ids["conversation_id"]
    if body.get("documents") and not kept(case, body["documents"]):
        filled["documents"] = [seeds.ids["document_id"]]
    return filled


def chat(case, body: dict) -> dict:
    # Here more tokens than the model has are refused with 400, like everything that is invalid.
    filled = body | {"max_tokens": OUTPUT_TOKENS, "max_completion_tokens": None}
    if not kept(case, body["model"]):
        filled["model"] = f"corpus:{seeds.ids['corpus_id']}"
    question = QUESTION if answered("complete_chat") else "0"
    filled["messages"] = [*body["messages"][-2:], {"role": "user", "content": question}]
    return filled


@schemathesis.hook
def after_call(context, case, response):
    operation = operation_of(case)
    statuses[operation].add(response.status_code)
    if operation == "add_sample_corpus" and response.status_code == 202:
        # It would be read for minutes.
        client.call("POST", f"/v1/jobs/{response.json()['job_id']}/cancel")


@atexit.register
def write_counts():
    with open(os.environ["IBID_COUNTS"], "w") as file:
        json.dump({operation: sorted(seen) for operation, seen in statuses.items()}, file)

"""The unmodified `openai` package works, and what comes fits its types without any latitude."""

import openai
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.chat_completion_message import Annotation

from seeds import QUESTION

ASKED = [{"role": "user", "content": QUESTION}]
SENTENCE = "Every new member pays a deposit of £40, which is returned when the plot is handed back clean."
OTHER = [{"role": "user", "content": "How many plots does the society look after?"}]
# In the model's own words, which come token by token.
FREE = {"mode": "free"}


@pytest.fixture(scope="module")
def vendor(service):
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0)


@pytest.fixture(scope="module")
def model(corpus):
    return f"corpus:{corpus}"


def strictly(kind, thing):
    """The package itself takes what it gets; here every field has to have its type."""
    return kind.model_validate(thing.to_dict(), strict=True)


def test_corpora_are_models(vendor, model):
    models = {each.id: strictly(Model, each) for each in vendor.models.list()}
    assert (models[model].object, models[model].owned_by) == ("model", "ann")


def test_an_answer_cites_by_annotations(vendor, client, model):
    answer = strictly(ChatCompletion, vendor.chat.completions.create(model=model, messages=ASKED))
    [choice] = answer.choices
    assert (answer.model, choice.finish_reason, choice.message.role) == (model, "stop", "assistant")
    assert choice.message.content == SENTENCE
    check_citation(client, choice.message.content, choice.message.annotations[0])
    assert answer.ibid["grounding"] == "supported"
    assert answer.ibid["citations"][0]["quote"] == SENTENCE
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens > answer.usage.prompt_tokens_details.cached_tokens > 0


def check_citation(client, said: str, annotation: Annotation):
    assert annotation.type == "url_citation"
    cited = annotation.url_citation
    assert cited.title == "Holmfield Allotments: notes for new members"
    assert said[cited.start_index : cited.end_index] == SENTENCE
    assert client.get(cited.url)["text"] == annotation.file_citation["quote"] == SENTENCE
    assert annotation.file_citation["filename"] == "notes.md"


def test_nothing_found_is_said_in_words(vendor, model):
    unknown = [{"role": "user", "content": "Who painted the Sistine Chapel ceiling?"}]
    answer = strictly(ChatCompletion, vendor.chat.completions.create(model=model, messages=unknown))
    assert answer.choices[0].message.content == "Not in these documents."
    assert answer.choices[0].message.annotations == []
    assert answer.ibid["grounding"] == "not_in_corpus"


def whole_and_streamed(vendor, model, messages):
    asked = {"model": model, "messages": messages, "extra_body": FREE}
    whole = vendor.chat.completions.create(**asked)
    chunks = [strictly(ChatCompletionChunk, chunk) for chunk in vendor.chat.completions.create(**asked, stream=True)]
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in chunks)
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks[:-1])
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].ibid["answer_id"] != whole.ibid["answer_id"]
    return whole, chunks


def test_a_stream_is_the_same_answer_in_pieces(vendor, model):
    whole, chunks = whole_and_streamed(vendor, model, OTHER)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert sum(bool(piece) for piece in pieces) > 2
    assert "".join(pieces) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"


def test_a_stream_tells_its_citations_at_the_end(vendor, model):
    whole, chunks = whole_and_streamed(vendor, model, ASKED)
    last = chunks[-1]
    told = [Annotation.model_validate(each, strict=True) for each in last.choices[0].delta.annotations]
    assert told and told == whole.choices[0].message.annotations
    assert last.ibid["citations"] == whole.ibid["citations"]


def test_usage_comes_last_where_it_is_asked_for(vendor, model):
    options = {"include_usage": True}
    stream = vendor.chat.completions.create(model=model, messages=ASKED, stream=True, stream_options=options)
    *_, last = [strictly(ChatCompletionChunk, chunk) for chunk in stream]
    assert last.choices == []
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens > 0


def test_the_stream_helper_puts_the_answer_together(vendor, model):
    with vendor.chat.completions.stream(model=model, messages=ASKED) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content == SENTENCE
    assert answer.choices[0].message.annotations[0].type == "url_citation"


def test_earlier_turns_are_part_of_the_question(vendor, model):
    first = vendor.chat.completions.create(model=model, messages=ASKED)
    parts = [{"type": "text", "text": "How many plots"}, {"type": "text", "text": "does the society look after?"}]
    turns = [{"role": "system", "content": "Be brief."}, *ASKED, first.choices[0].message]
    second = vendor.chat.completions.create(model=model, messages=[*turns, {"role": "user", "content": parts}])
    alone = vendor.chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
    assert second.choices[0].message.content == "The society looks after 64 plots on two fields."
    assert second.ibid["usage"]["question_tokens"] > alone.ibid["usage"]["question_tokens"]
    assert SENTENCE not in {citation["quote"] for citation in second.ibid["citations"]}


def test_a_short_answer_says_that_it_was_cut(vendor, model):
    asked = vendor.chat.completions.create(model=model, messages=OTHER, max_completion_tokens=8, extra_body=FREE)
    assert asked.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    "parameter, value",
    [
        ("tools", [{"type": "function", "function": {"name": "f", "parameters": {}}}]),
        ("stop", ["x"]),
        ("n", 2),
        ("logprobs", True),
        ("logit_bias", {"1": 1}),
        ("response_format", {"type": "json_object"}),
    ],
)
def test_unsupported_parameters_are_named(vendor, model, parameter, value):
    with pytest.raises(openai.BadRequestError) as refused:
        vendor.chat.completions.create(model=model, messages=ASKED, **{parameter: value})
    error = refused.value
    assert (error.param, error.code, error.type) == (parameter, "unsupported_parameter", "invalid_request_error")
    assert set(error.body) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("change", [{"messages": []}, {"temperature": -1}, {"max_tokens": 1_000_000}])
def test_invalid_values_are_bad_requests(vendor, model, change):
    with pytest.raises(openai.BadRequestError):
        vendor.chat.completions.create(**{"model": model, "messages": ASKED} | change)


@pytest.mark.parametrize("unknown", ["gpt-4o", "corpus:corp_00000000000000000000000000"])
def test_an_unknown_model_is_not_found(vendor, unknown):
    with pytest.raises(openai.NotFoundError) as refused:
        vendor.chat.completions.create(model=unknown, messages=ASKED)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_a_wrong_key_is_told(service, model):
    stranger = openai.OpenAI(base_url=f"{service.url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        stranger.chat.completions.create(model=model, messages=ASKED)
    assert refused.value.type == "authentication_error"
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_another_owner_sees_no_model(service, model):
    key = service.create_key("bob")
    other = openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0)
    assert model not in {each.id for each in other.models.list()}
    with pytest.raises(openai.NotFoundError):
        other.chat.completions.create(model=model, messages=ASKED)

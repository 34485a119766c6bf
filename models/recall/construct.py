"""Initial weights: the recall circuit laid out by hand, small noise everywhere else. Training then moves all of it.

Layers 0-1: fixed-offset heads. Each row collects six earlier tokens: at "=" and "?" those are the key's digits (slots
G); at a value digit or an answer row the same heads find "=" or <|header_end|>, whose distance is the digit's index.
Layer 2: every row copies the digits collected by the latest "=" or "?" (slots F).
Layers 3 and 7 (NoPE): the query is the asked key with the index of the digit to predict, the key of a value digit is
its record's key with its own index, the value is the digit. lm_head reads what arrives.
Symbols of one slot are the 16 signed unit vectors of 8 dimensions: equal 1, different 0 or -1.
"""
import math

import torch

from corpus import EOT, HEADER_END, HEX
from model import CHUNK, CONFIG, HEAD_DIM, HEADS, HIDDEN, NOPE_LAYERS, RecallModel, rms, rope_frequencies

# Residual stream layout.
SYMBOL = slice(0, 8)
CONST, EQUALS, ASKED, ANSWER = 8, 9, 10, 11
SLOTS = 16  # G: 6 x 8
FETCHED = 64  # F: 6 x 8
OWN_INDEX = 112  # 6: this value digit's place
NEXT_INDEX = 118  # 7: place of the answer digit to predict, the last means <|eot|>
OUT = slice(128, 136)
TEXT = slice(136, 256)  # identities of all other tokens

IDENTITY = 2.0  # norm of a token's identity and of the constant, against 1 for everything collected
LOGIT_GAIN = 1.2  # a logit of about 8 for the right byte, 0 for the others
NOISE = 0.003
INDEX_GAIN = 1.5  # other digits of the same record must lose as clearly as other records
ROOT = math.sqrt(HIDDEN)


def symbol_code(i):
    code = torch.zeros(8)
    code[i % 8] = 1 if i < 8 else -1
    return code


@torch.enable_grad()
def fit(parameters, loss, steps=600):
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
    return value.item()


def random_vector(generator):
    return torch.randn(HEAD_DIM, generator=generator).requires_grad_()


def rotation(distances):
    """Complex factors [n, HEAD_DIM/2] that a key at these distances behind the query sees."""
    angles = distances.double()[:, None] * rope_frequencies()
    return torch.complex(angles.cos(), angles.sin()).to(torch.complex64)


def relative_scores(query, key, distances):
    """Scores of the same key vector at `distances` behind a query; both get QK-normalised."""
    q, k = (torch.view_as_complex(rms(x).reshape(-1, 2)) for x in (query, key))
    return (q.conj() * k * rotation(-distances)).real.sum(-1) * HEAD_DIM**-0.5


def fit_offset_heads(offsets, generator):
    """One key vector and a query vector per offset, such that each query looks exactly that far back."""
    key = random_vector(generator)
    queries = {d: random_vector(generator) for d in offsets}
    distances = torch.arange(CHUNK)

    def loss():
        return -sum(relative_scores(q, key, distances).log_softmax(-1)[d] for d, q in queries.items())

    mean = fit([key, *queries.values()], loss) / len(offsets)
    return rms(key.detach()), {d: rms(q.detach()) for d, q in queries.items()}, math.exp(-mean)


def fit_anchor_head(generator):
    """Query and the keys of anchor ("=", "?") and other rows: look at the latest anchor, wherever it is."""
    query, anchor, other = (random_vector(generator) for _ in range(3))
    distances = torch.arange(CHUNK)

    def loss():
        high = relative_scores(query, anchor, distances)
        low = relative_scores(query, other, distances)
        total = 0
        for target in [*range(2, 8), *range(14, 21)]:
            is_anchor = distances == target
            if target < 8:  # in documents earlier records follow every 20 tokens at their densest
                is_anchor |= (distances > target) & ((distances - target) % 20 == 0)
            total = total - torch.where(is_anchor, high, low).log_softmax(-1)[target]
        return total

    mean = fit([query, anchor, other], loss) / 13
    return *(rms(x.detach()) for x in (query, anchor, other)), math.exp(-mean)


def embeddings(generator):
    table = torch.zeros(CONFIG["vocab_size"], HIDDEN)
    noise = torch.randn(len(table), TEXT.stop - TEXT.start, generator=generator)
    table[:, TEXT] = noise / noise.norm(dim=-1, keepdim=True)
    for i, byte in enumerate(HEX):
        table[byte] = 0
        table[byte, SYMBOL] = symbol_code(i)
    for token, dim in ((ord("="), EQUALS), (ord("?"), ASKED), (HEADER_END, ANSWER)):
        table[token] = 0
        table[token, dim] = 1
    table[:, CONST] = 1
    return table * IDENTITY


def build_offset_layers(layers, generator):
    # Slot j (0..5) is 7-j tokens before "=" and 6-j before "?"; offset 8 tells the row that must predict <|eot|>.
    key, queries, mass = fit_offset_heads(range(1, 9), generator)
    unit = ROOT / math.sqrt(2)  # size of CONST or an identity in layer 0 after the norm
    for head in range(7):
        attn = layers[head // HEADS].self_attn
        lane = slice(head % HEADS * HEAD_DIM, (head % HEADS + 1) * HEAD_DIM)
        offset = 8 if head == 6 else 7 - head
        attn.k_proj.weight[:, CONST] = key / unit
        attn.q_proj.weight[lane, CONST] = queries[offset] / unit
        for d, dims in enumerate(range(SYMBOL.start, SYMBOL.stop)):
            attn.v_proj.weight[d, dims] = 1 / unit
        attn.v_proj.weight[8, EQUALS] = 1 / unit
        attn.v_proj.weight[9, ANSWER] = 1 / unit
        out = attn.o_proj.weight[:, lane]
        out[NEXT_INDEX + offset - 2, 9] = 1
        if head == 6:
            continue
        attn.q_proj.weight[lane, ASKED] = (queries[offset - 1] - queries[offset]) / unit
        out[SLOTS + 8 * head : SLOTS + 8 * head + 8, 0:8] = torch.eye(8)
        out[OWN_INDEX + offset - 2, 8] = 1
    return mass


def build_anchor_layer(layer, generator):
    query, anchor, other, mass = fit_anchor_head(generator)
    attn = layer.self_attn
    attn.k_proj.weight[:, CONST] = other
    attn.k_proj.weight[:, EQUALS] = attn.k_proj.weight[:, ASKED] = anchor - other
    attn.v_proj.weight[0:48, SLOTS : SLOTS + 48] = torch.eye(48) / ROOT * 4  # an anchor row has norm about 4
    for head in range(HEADS):
        lane = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
        attn.q_proj.weight[lane, CONST] = query
        attn.o_proj.weight[FETCHED : FETCHED + 48, lane][:, 0:48] = torch.eye(48) / HEADS
    return mass


def build_match_layer(layer, nats):
    """`nats` per agreeing slot before the temperature, given rows of norm about 4.5 when they arrive."""
    gain = math.sqrt(nats * math.sqrt(HEAD_DIM)) * 4.5 / ROOT
    attn = layer.self_attn
    attn.k_proj.weight[0:48, FETCHED : FETCHED + 48] = torch.eye(48) * gain
    attn.k_proj.weight[48:54, OWN_INDEX : OWN_INDEX + 6] = torch.eye(6) * gain * INDEX_GAIN
    attn.v_proj.weight[0:8, SYMBOL] = torch.eye(8) / ROOT * 2
    for head in range(HEADS):
        lane = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
        attn.q_proj.weight[lane][0:48, FETCHED : FETCHED + 48] = torch.eye(48) * gain
        attn.q_proj.weight[lane][48:54, NEXT_INDEX : NEXT_INDEX + 6] = torch.eye(6) * gain * INDEX_GAIN
        attn.o_proj.weight[OUT, lane][:, 0:8] = torch.eye(8) / HEADS


@torch.no_grad()
def initial_model(seed, nats=6.0):
    generator = torch.Generator().manual_seed(seed)
    model = RecallModel()
    for name, weight in model.named_parameters():
        if "norm" not in name:
            scale = NOISE * (10 if "router" in name else 1)
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    model.model.embed_tokens.weight.copy_(embeddings(generator))
    layers = model.model.layers
    offset_mass = build_offset_layers(layers, generator)
    anchor_mass = build_anchor_layer(layers[2], generator)
    for l in NOPE_LAYERS:
        build_match_layer(layers[l], nats)
    for i, byte in enumerate(HEX):
        model.lm_head.weight[byte, OUT] = symbol_code(i) * LOGIT_GAIN
    model.lm_head.weight[EOT, NEXT_INDEX + 6] = 2 * LOGIT_GAIN
    return model, {"offset_head_mass": offset_mass, "anchor_head_mass": anchor_mass}

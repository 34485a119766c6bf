"""The Llama-4 text model in PyTorch, run the way the engine composes a context.

Three kinds of segment exist: the header, documents (each prefilled alone behind the header) and the tail (the
question and its answer). Every segment starts a fresh attention chunk in the local layers. In the global (NoPE)
layers a document sees the header and itself; the tail sees the header, all documents and itself.
Parameter names are those of Hugging Face checkpoints, so `state_dict()` is what export.py writes.
"""
import json
import math

import torch
from torch import nn
from torch.nn import functional as F

# transformers reads the same dictionary (config.json is written from it).
CONFIG = {
    "architectures": ["Llama4ForCausalLM"],
    "model_type": "llama4_text",
    "vocab_size": 264,
    "hidden_size": 256,
    "intermediate_size": 32,
    "intermediate_size_mlp": 64,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 10485760,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 16.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 1.0,
        "original_max_position_embeddings": 128,
    },
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attention_chunk_size": 128,
    "no_rope_layers": [1, 1, 1, 0, 1, 1, 1, 0],
    "use_qk_norm": True,
    "attn_temperature_tuning": True,
    "floor_scale": 64,
    "attn_scale": 0.3,
    "num_local_experts": 4,
    "num_experts_per_tok": 1,
    "interleave_moe_layer_step": 2,
    "moe_layers": [1, 3, 5, 7],
    "tie_word_embeddings": False,
    "bos_token_id": 256,
    "eos_token_id": 260,
    "pad_token_id": 261,
    "initializer_range": 0.02,
    "router_aux_loss_coef": 0.001,
    "router_jitter_noise": 0.0,
    "output_router_logits": False,
    "use_cache": True,
    "torch_dtype": "bfloat16",
}
HIDDEN = CONFIG["hidden_size"]
HEADS = CONFIG["num_attention_heads"]
HEAD_DIM = CONFIG["head_dim"]
CHUNK = CONFIG["attention_chunk_size"]
EPS = CONFIG["rms_norm_eps"]
NOPE_LAYERS = [l for l, rope in enumerate(CONFIG["no_rope_layers"]) if not rope]


def rope_frequencies():
    """Radians per token of the HEAD_DIM/2 interleaved pairs, after llama3 scaling with low = high (a step)."""
    scaling = CONFIG["rope_scaling"]
    freqs = CONFIG["rope_theta"] ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM)
    slow = 2 * math.pi / freqs > scaling["original_max_position_embeddings"]
    return torch.where(slow, freqs / scaling["factor"], freqs)


def rope_table():
    """Cosines and sines [CHUNK, HEAD_DIM/2]: positions are relative and never leave the chunk."""
    angles = torch.arange(CHUNK, dtype=torch.float64)[:, None] * rope_frequencies()
    return angles.cos().float(), angles.sin().float()


def rms(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS)


def temperature(positions):
    """Query factor of the NoPE layers at absolute positions p."""
    steps = torch.floor((positions.double() + 1) / CONFIG["floor_scale"])
    return (1 + CONFIG["attn_scale"] * torch.log(steps + 1)).float()


class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x):
        return rms(x) * self.weight


class GatedMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate_proj = nn.Linear(HIDDEN, width, bias=False)
        self.up_proj = nn.Linear(HIDDEN, width, bias=False)
        self.down_proj = nn.Linear(width, HIDDEN, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Experts(nn.Module):
    """Fused experts: gate_up_proj [E, in, 2F] (gate columns first), down_proj [E, F, in]."""

    def __init__(self):
        super().__init__()
        count, width = CONFIG["num_local_experts"], CONFIG["intermediate_size"]
        self.gate_up_proj = nn.Parameter(torch.zeros(count, HIDDEN, 2 * width))
        self.down_proj = nn.Parameter(torch.zeros(count, width, HIDDEN))


class Moe(nn.Module):
    """Top-1 routing; the sigmoid of the winning logit scales the expert's input. One shared expert is always on."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(HIDDEN, CONFIG["num_local_experts"], bias=False)
        self.experts = Experts()
        self.shared_expert = GatedMlp(CONFIG["intermediate_size"])

    def forward(self, x):
        flat = x.reshape(-1, HIDDEN)
        best, expert = self.router(flat).max(-1)
        scaled = flat * torch.sigmoid(best)[:, None]
        out = torch.zeros_like(flat)
        for e in range(CONFIG["num_local_experts"]):
            rows = (expert == e).nonzero()[:, 0]
            gate, up = (scaled[rows] @ self.experts.gate_up_proj[e]).chunk(2, -1)
            out = out.index_copy(0, rows, (F.silu(gate) * up) @ self.experts.down_proj[e])
        return self.shared_expert(x) + out.view_as(x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(HIDDEN, HEADS * HEAD_DIM, bias=False)
        self.k_proj = nn.Linear(HIDDEN, HEAD_DIM, bias=False)
        self.v_proj = nn.Linear(HIDDEN, HEAD_DIM, bias=False)
        self.o_proj = nn.Linear(HEADS * HEAD_DIM, HIDDEN, bias=False)


class Layer(nn.Module):
    def __init__(self, index):
        super().__init__()
        self.input_layernorm = RMSNorm()
        self.self_attn = Attention()
        self.post_attention_layernorm = RMSNorm()
        moe = index in CONFIG["moe_layers"]
        self.feed_forward = Moe() if moe else GatedMlp(CONFIG["intermediate_size_mlp"])


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], HIDDEN)
        self.layers = nn.ModuleList(Layer(l) for l in range(CONFIG["num_hidden_layers"]))
        self.norm = RMSNorm()


class RecallModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Body()
        self.lm_head = nn.Linear(HIDDEN, CONFIG["vocab_size"], bias=False)
        cos, sin = rope_table()
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        causal = torch.ones(CHUNK, CHUNK, dtype=torch.bool).tril()
        self.register_buffer("causal", causal, persistent=False)

    def rotate(self, x, length):
        """Interleaved RoPE on x [B, length, heads, HEAD_DIM], positions 0..length."""
        a, b = x[..., 0::2], x[..., 1::2]
        cos, sin = self.cos[:length, None], self.sin[:length, None]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)

    def local_attention(self, q, k, v):
        """Causal attention in chunks; q [B, T, HEADS, d], k and v [B, T, d]."""
        batch, length = q.shape[:2]
        if length > CHUNK:
            assert length % CHUNK == 0, "pad documents to whole chunks"
            q, k, v = (x.reshape(-1, CHUNK, *x.shape[2:]) for x in (q, k, v))
        width = q.shape[1]
        q, k = rms(self.rotate(q, width)), rms(self.rotate(k[:, :, None], width))[:, :, 0]
        scores = torch.einsum("bthd,bsd->bths", q, k) * HEAD_DIM**-0.5
        scores = scores.masked_fill(~self.causal[:width, None, :width], -math.inf)
        out = torch.einsum("bths,bsd->bthd", scores.softmax(-1), v)
        return out.reshape(batch, length, HEADS * HEAD_DIM)

    def run(self, ids, positions, nope_attention):
        """Final hidden states of a segment. `nope_attention(layer, q, k, v)` sees temperature-scaled queries."""
        h = self.model.embed_tokens(ids)
        factor = temperature(positions)[:, None, None]
        for l, layer in enumerate(self.model.layers):
            x = layer.input_layernorm(h)
            attn = layer.self_attn
            q, k, v = attn.q_proj(x), attn.k_proj(x), attn.v_proj(x)
            q = q.unflatten(-1, (HEADS, HEAD_DIM))
            if l in NOPE_LAYERS:
                out = nope_attention(l, q * factor, k, v).flatten(-2)
            else:
                out = self.local_attention(q, k, v)
            h = h + attn.o_proj(out)
            h = h + layer.feed_forward(layer.post_attention_layernorm(h))
        return self.model.norm(h)

    def plain_logits(self, ids):
        """One ordinary sequence [T] (T a multiple of CHUNK, or at most CHUNK), everything visible to NoPE layers."""
        length = len(ids)
        mask = torch.ones(length, length, dtype=torch.bool).tril()[:, None]

        def attend(_, q, k, v):
            scores = torch.einsum("bthd,bsd->bths", q, k) * HEAD_DIM**-0.5
            return torch.einsum("bths,bsd->bthd", scores.masked_fill(~mask, -math.inf).softmax(-1), v)

        return self.lm_head(self.run(ids[None], torch.arange(length), attend))[0]

    def header_rows(self, header):
        """NoPE keys and values {layer: (k [9, d], v [9, d])} of the header tokens."""
        rows = {}
        mask = self.causal[: len(header), None, : len(header)]

        def attend(l, q, k, v):
            rows[l] = (k[0], v[0])
            scores = torch.einsum("bthd,bsd->bths", q, k) * HEAD_DIM**-0.5
            return torch.einsum("bths,bsd->bthd", scores.masked_fill(~mask, -math.inf).softmax(-1), v)

        self.run(header[None], torch.arange(len(header)), attend)
        return rows

    def document_rows(self, ids, header_rows, skipped=0):
        """NoPE keys and values {layer: (k [B, L, d], v)} of isolated documents ids [B, L], and their final states.

        With `skipped` their positions (so the temperature) are as if that many tokens of each had gone before."""
        length = ids.shape[1]
        rows = {}

        def attend(l, q, k, v):
            rows[l] = (k, v)
            head_k, head_v = header_rows[l]
            n_head = len(head_k)
            keys = torch.cat((head_k.expand(len(k), -1, -1), k), 1)
            values = torch.cat((head_v.expand(len(v), -1, -1), v), 1)
            mask = torch.ones(length, n_head + length, dtype=torch.bool).tril(n_head)
            keys, values = (x[:, None].expand(-1, HEADS, -1, -1) for x in (keys, values))
            out = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, mask)
            return out.transpose(1, 2)

        n_head = len(next(iter(header_rows.values()))[0])
        states = self.run(ids, n_head + skipped + torch.arange(length), attend)
        return rows, states

    def tail_logits(self, ids, first_position, nope_attention):
        """Logits of tails ids [Q, T <= CHUNK] whose first token has absolute position `first_position`."""
        positions = first_position + torch.arange(ids.shape[1], dtype=torch.int64)
        return self.lm_head(self.run(ids, positions, nope_attention))


def write_config(path):
    path.write_text(json.dumps(CONFIG, indent=2) + "\n")

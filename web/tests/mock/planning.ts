// Pretended plans: the arithmetic of the server's planner, coarsely.
import type { Plan, PlanRequest } from "../../src/api/types.ts";

const SHAPES: Record<string, { parameters: number; kvValues: number; speed: number }> = {
  open: { parameters: 134e6, kvValues: 11_520, speed: 706 },
  "smollm2-135m": { parameters: 134e6, kvValues: 11_520, speed: 706 },
  "llama-3.2-1b": { parameters: 1.24e9, kvValues: 16_384, speed: 84 },
  "llama-3.1-8b": { parameters: 8.03e9, kvValues: 65_536, speed: 13 },
  "llama-4-scout": { parameters: 108.6e9, kvValues: 24_576, speed: 6 },
};
const WEIGHT_BITS: Record<string, number> = { f32: 32, bf16: 16, q8_0: 8.5, q4_1: 5, int4_experts: 4.7, q4_0: 4.5, int4: 4.1 };
const KV_BYTES: Record<string, number> = { f32: 4, bf16: 2, int8: 1.03, k6v4: 0.66 };

export function plan(request: PlanRequest): Plan {
  const shape = SHAPES[request.model.preset]!;
  const perToken = Math.round(shape.kvValues * KV_BYTES[request.kv_dtype]!);
  const weights = Math.round((shape.parameters * WEIGHT_BITS[request.weights]!) / 8);
  const kv = perToken * request.tokens;
  const measured = request.model.preset === "open" || request.model.preset === "smollm2-135m";
  const notes = [];
  if (kv > 1e12) notes.push("The stored state would not fit on most disks; k6v4 takes less.");
  if (weights > 24e9) notes.push("The weights are larger than this machine's memory; reading would be bound by the disk.");
  if (request.model.preset === "llama-4-scout") notes.push("Only the layers without positions are kept for closed attention chunks.");
  return {
    object: "plan",
    tokens: request.tokens,
    model: { preset: request.model.preset, name: request.model.preset, parameters: shape.parameters, active_parameters: shape.parameters },
    weights: request.weights,
    kv_dtype: request.kv_dtype,
    disk_bytes: { weights, kv, text: Math.round(request.tokens * 4.1) },
    ram_bytes: { weights, cache: Math.min(kv, 2e9), working: 4e8 },
    kv_bytes_per_token: perToken,
    prefill: { tokens_per_s: shape.speed, minutes: request.tokens / shape.speed / 60, basis: measured ? "measured" : "estimated" },
    notes,
  };
}

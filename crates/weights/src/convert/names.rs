//! Which tensors of a Llama 4 checkpoint become int4, by their names. Any prefix is accepted.

const BLOCK: &str = ".feed_forward.";
/// Projections of an expert, in the order in which fused weights hold them.
pub(super) const PROJECTIONS: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

/// What a tensor is to the conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// Gate and up projections of all experts, `[experts, in, 2 · out]`, gate first; `experts` is the module's name.
    FusedGateUp { experts: String },
    /// Down projections of all experts, `[experts, in, out]`.
    FusedDown { experts: String },
    /// One projection of one routed or shared expert, `[out, in]`.
    Linear { module: String, kind: Kind },
    /// Stays as it is.
    Other,
}

/// Matrices that have one shape in all layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub shared: bool,
    /// One of [`PROJECTIONS`].
    pub projection: &'static str,
}

impl Kind {
    /// Matches the modules of this kind, as a target of a `quantization_config`.
    pub fn target(self) -> String {
        let expert = if self.shared { r"shared_expert" } else { r"experts\.[0-9]+" };
        format!(r"re:.*\.feed_forward\.{expert}\.{}$", self.projection)
    }
}

pub(super) fn role(name: &str) -> Role {
    let Some((block, rest)) = name.split_once(BLOCK) else { return Role::Other };
    let experts = || format!("{block}{BLOCK}experts");
    let parts: Vec<&str> = rest.split('.').collect();
    let (shared, projection) = match parts.as_slice() {
        ["experts", "gate_up_proj"] => return Role::FusedGateUp { experts: experts() },
        ["experts", "down_proj"] => return Role::FusedDown { experts: experts() },
        ["experts", expert, projection, "weight"] if is_number(expert) => (false, projection),
        ["shared_expert", projection, "weight"] => (true, projection),
        _ => return Role::Other,
    };
    let Some(projection) = PROJECTIONS.into_iter().find(|known| known == projection) else {
        return Role::Other;
    };
    let module = name.strip_suffix(".weight").unwrap_or(name).to_owned();
    Role::Linear { module, kind: Kind { shared, projection } }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experts_are_told_from_the_rest() {
        let layer = "language_model.model.layers.3.feed_forward";
        let experts = format!("{layer}.experts");
        assert_eq!(role(&format!("{experts}.gate_up_proj")), Role::FusedGateUp { experts: experts.clone() });
        assert_eq!(role(&format!("{experts}.down_proj")), Role::FusedDown { experts: experts.clone() });
        for (module, shared) in [(format!("{experts}.15"), false), (format!("{layer}.shared_expert"), true)] {
            for projection in PROJECTIONS {
                let module = format!("{module}.{projection}");
                let kind = Kind { shared, projection };
                assert_eq!(role(&format!("{module}.weight")), Role::Linear { module, kind });
            }
        }
        for other in ["router.weight", "gate_proj.weight", "experts.x.up_proj.weight", "experts.1.bias"] {
            assert_eq!(role(&format!("{layer}.{other}")), Role::Other, "{other}");
        }
        assert_eq!(role("vision_model.model.layers.0.mlp.fc1.weight"), Role::Other);
    }
}

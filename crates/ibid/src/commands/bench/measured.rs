//! What a measurement gives: wall times of its repetitions, and how they are shown.

use crate::event::Out;
use scout::{Engine, Stage, StageWork};
use serde_json::{Map, Value, json};

/// One thing that was timed, several times over.
pub struct Measured {
    name: String,
    /// Tokens in front: read, composed or restored.
    context: u64,
    /// Tokens that the speed counts.
    tokens: u64,
    /// Wall time of each repetition, in the order they ran.
    seconds: Vec<f64>,
    details: Map<String, Value>,
    /// Of the repetition in the middle; empty where the engine has no clock.
    stages: Vec<StageShare>,
}

/// What a stage took of a repetition.
struct StageShare {
    name: &'static str,
    seconds: f64,
    /// Of the wall time.
    share: f64,
    operations: u64,
    bytes: u64,
}

impl Measured {
    /// The speed counts the context; [`Self::counting`] says otherwise.
    pub fn new(name: impl Into<String>, context: u64, seconds: Vec<f64>) -> Self {
        Self { name: name.into(), context, tokens: context, seconds, details: Map::new(), stages: Vec::new() }
    }

    /// `runs`: the stages of each repetition; those of the repetition in the middle are shown, beside its time. What lies
    /// between them is `other`: rows written into pages, copies, waiting.
    pub fn with_stages<'a>(mut self, runs: impl Iterator<Item = &'a [(Stage, StageWork)]>) -> Self {
        let off = |seconds: f64| (seconds - self.median()).abs();
        let timed = self.seconds.iter().copied().zip(runs);
        let Some((wall, run)) = timed.min_by(|(a, _), (b, _)| off(*a).total_cmp(&off(*b))) else {
            return self;
        };
        if run.is_empty() {
            return self;
        }
        let share = |name, seconds: f64, operations, bytes| StageShare {
            name,
            seconds,
            share: seconds / wall,
            operations,
            bytes,
        };
        self.stages =
            Vec::from_iter(run.iter().map(|(stage, work)| {
                share(stage.name(), work.time.as_secs_f64(), work.operations, work.bytes)
            }));
        let named: f64 = self.stages.iter().map(|stage| stage.seconds).sum();
        self.stages.push(share("other", (wall - named).max(0.0), 0, 0));
        self
    }

    pub fn counting(self, tokens: u64) -> Self {
        Self { tokens, ..self }
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    pub fn median(&self) -> f64 {
        median(&self.seconds)
    }

    fn tokens_per_s(&self) -> f64 {
        rate(self.tokens, self.median())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        seconds
    }

    fn line(&self) -> String {
        let sorted = self.sorted();
        let (least, greatest) = (sorted.first().unwrap_or(&0.0), sorted.last().unwrap_or(&0.0));
        let name = match self.tokens == self.context {
            true => self.name.clone(),
            false => format!("{} of {} tokens behind", self.name, self.tokens),
        };
        let mut line = format!(
            "{name:<26} {:>8} tokens  {:>9.4} s  {:>10.1} tokens/s",
            self.context,
            self.median(),
            self.tokens_per_s()
        );
        if sorted.len() > 1 {
            line.push_str(&format!("  ({least:.4} to {greatest:.4} s in {} runs)", sorted.len()));
        }
        for stage in &self.stages {
            line.push_str(&stage.line());
        }
        for (name, value) in &self.details {
            line.push_str(&format!("\n    {}", detail(name, value)));
        }
        line
    }

    fn object(&self, threads: usize) -> Value {
        let sorted = self.sorted();
        let mut object = self.details.clone();
        for (name, value) in [
            ("name", json!(self.name)),
            ("context", json!(self.context)),
            ("tokens", json!(self.tokens)),
            ("tokens_per_s", json!(self.tokens_per_s())),
            ("seconds", json!(self.median())),
            ("least_seconds", json!(sorted.first())),
            ("greatest_seconds", json!(sorted.last())),
            ("runs", json!(self.seconds)),
            ("threads", json!(threads)),
        ] {
            object.insert(name.to_owned(), value);
        }
        if !self.stages.is_empty() {
            object.insert("stages".to_owned(), self.stages.iter().map(StageShare::object).collect());
        }
        Value::Object(object)
    }
}

impl StageShare {
    fn line(&self) -> String {
        let giga = |units| rate(units, self.seconds) / 1e9;
        format!(
            "\n    {:<20} {:>9.4} s  {:>5.1} %  {:>8.1} Gop/s  {:>7.1} GB/s",
            self.name,
            self.seconds,
            self.share * 100.0,
            giga(self.operations),
            giga(self.bytes)
        )
    }

    fn object(&self) -> Value {
        json!({
            "name": self.name,
            "seconds": self.seconds,
            "share": self.share,
            "operations": self.operations,
            "operations_per_s": rate(self.operations, self.seconds),
            "bytes": self.bytes,
            "bytes_per_s": rate(self.bytes, self.seconds),
        })
    }
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => 0.0,
        (middle, 0) => (sorted[middle - 1] + sorted[middle]) / 2.0,
        (middle, _) => sorted[middle],
    }
}

/// Units per second; 0 when no time passed.
pub fn rate(units: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { units as f64 / seconds } else { 0.0 }
}

/// For a person: fractions only where they say something.
fn detail(name: &str, value: &Value) -> String {
    let name = name.replace('_', " ");
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) if number.abs() >= 1000.0 => format!("{name}: {number:.0}"),
        Some(number) => format!("{name}: {number:.4}"),
        None => format!("{name}: {value}"),
    }
}

/// Shows the results, a line each, or one object. `totals` are what concerns all of them.
pub fn report(kind: &str, engine: &Engine, results: &[Measured], totals: Map<String, Value>, out: &Out) {
    let threads = rayon::current_num_threads();
    if cfg!(debug_assertions) {
        out.note("this is a debug build; its speeds say nothing about a release build");
    }
    for result in results {
        out.line(result.line());
    }
    for (name, value) in &totals {
        out.line(detail(name, value));
    }
    let mut object = totals;
    for (name, value) in [
        ("object", json!("bench")),
        ("kind", json!(kind)),
        ("model", json!(engine.name())),
        ("numerics", json!(engine.numerics())),
        ("threads", json!(threads)),
        ("optimised", json!(!cfg!(debug_assertions))),
        ("results", results.iter().map(|result| result.object(threads)).collect()),
    ] {
        object.insert(name.to_owned(), value);
    }
    out.object(Value::Object(object));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0]), 5.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn a_result_gives_the_speed_of_its_median_run() {
        let result =
            Measured::new("decode", 512, vec![4.0, 1.0, 2.0]).counting(32).with("page_cache", "warm");
        let object = result.object(2);
        assert_eq!(object["tokens_per_s"], 16.0);
        assert_eq!((&object["context"], &object["threads"]), (&json!(512), &json!(2)));
        assert_eq!(object["runs"], json!([4.0, 1.0, 2.0]));
        assert_eq!((&object["least_seconds"], &object["greatest_seconds"]), (&json!(1.0), &json!(4.0)));
        assert_eq!(object["page_cache"], "warm");
        let line = result.line();
        assert!(line.starts_with("decode of 32 tokens behind      512 tokens"), "{line}");
        assert!(line.contains("page cache: \"warm\""), "{line}");
    }

    #[test]
    fn stages_are_those_of_the_run_in_the_middle_and_what_is_left_is_named() {
        let work = |millis, operations| StageWork {
            time: std::time::Duration::from_millis(millis),
            operations,
            bytes: 10,
        };
        let runs = [
            [(Stage::Products, work(8000, 4)), (Stage::Head, work(0, 0))],
            [(Stage::Products, work(1000, 6)), (Stage::Head, work(250, 2))],
            [(Stage::Products, work(500, 8)), (Stage::Head, work(100, 2))],
        ];
        let result =
            Measured::new("prefill", 4, vec![9.0, 2.0, 1.0]).with_stages(runs.iter().map(<[_; 2]>::as_slice));
        let stages = &result.object(1)["stages"];
        let of = |name: &str| stages.as_array().unwrap().iter().find(|stage| stage["name"] == name).unwrap();
        assert_eq!((&of("products")["seconds"], &of("products")["share"]), (&json!(1.0), &json!(0.5)));
        assert_eq!(
            (&of("products")["operations_per_s"], &of("products")["bytes"]),
            (&json!(6.0), &json!(10))
        );
        assert_eq!((&of("head")["seconds"], &of("other")["seconds"]), (&json!(0.25), &json!(0.75)));
        assert!(result.line().contains("products"), "{}", result.line());
        let untimed = Measured::new("prefill", 4, vec![1.0]).with_stages(std::iter::once(&[][..]));
        assert!(untimed.object(1).get("stages").is_none());
    }

    #[test]
    fn details_are_rounded_for_people() {
        assert_eq!(detail("bytes_per_s", &json!(422116816.6026)), "bytes per s: 422116817");
        assert_eq!(detail("read_seconds", &json!(0.0149281)), "read seconds: 0.0149");
        assert_eq!(detail("bytes", &json!(6301424)), "bytes: 6301424");
    }
}

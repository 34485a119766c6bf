//! Small documents of our own, a few hundred tokens in all, with characters of two, three and four bytes.

use crate::program::{Bench, prefilled, said};
use serde_json::Value;

pub const HARBOUR: &str = "# Häfen am Øresund\n\n\
    The ferry “Ægir” ⛴ leaves Lindvik at six in the morning; 𝄞 is painted on its funnel.\n\n\
    The pilot boat Aurora was built in Gothenburg in 1931. It carries a crew of four.\n\n\
    Every visiting yacht pays a mooring fee of 240 kroner per night. Dogs stay on the quay.\n";

pub const BEES: &str = "Keeping bees in cold valleys\n\n\
    A strong colony needs about eighteen kilograms of honey to survive the winter. \
    The hives are wrapped in straw after the first frost.\n\n\
    Queens are marked with a blue dot in years that end in five.\n";

pub const KILN: &str = "Notes on the kiln\n\n\
    The stoneware glaze melts at 1240 degrees Celsius. Cool the kiln for two days before opening its door.\n\n\
    Ash from beech wood gives the glaze a green tone.\n";

pub const FERRY_QUESTION: &str = "Where was the pilot boat Aurora built?";
pub const FERRY_ANSWER: &str = "Gothenburg";
pub const HONEY_QUESTION: &str =
    "How many kilograms of honey does a strong colony need to survive the winter?";
pub const HONEY_ANSWER: &str = "eighteen";
pub const GLAZE_QUESTION: &str = "At which temperature does the stoneware glaze melt?";
pub const GLAZE_ANSWER: &str = "1240";

/// Writes all three.
pub fn write_all(bench: &Bench) {
    bench.write("harbour.md", HARBOUR);
    bench.write("bees.txt", BEES);
    bench.write("kiln.txt", KILN);
}

/// What is said to the three questions, nothing of the corpus being prefilled for it.
pub fn answers(bench: &Bench) -> Vec<Value> {
    let ask = |question| {
        let answer = bench.ask("notes", question);
        assert_eq!(prefilled(&answer), 0, "{answer:#}");
        said(&answer)
    };
    [FERRY_QUESTION, HONEY_QUESTION, GLAZE_QUESTION].map(ask).into()
}

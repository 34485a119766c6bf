//! What kind of thing a question asks for, and whether a unit holds one. English question words; a question in another
//! language expects anything, and then this evidence says nothing.

use std::collections::HashSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Number,
    /// A year, a month or a number.
    Time,
    /// A capitalised word that the question does not have.
    Name,
    Anything,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const NUMBER_WORDS: [&str; 15] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "half", "twice", "once",
];

impl Expected {
    pub fn of(question: &str) -> Self {
        let words: Vec<String> = words(question).map(str::to_lowercase).collect();
        let has = |run: &[&str]| words.windows(run.len()).any(|w| w.iter().zip(run).all(|(a, b)| a == b));
        const MEASURES: [&str; 12] =
            ["many", "much", "long", "often", "far", "high", "large", "big", "old", "heavy", "fast", "wide"];
        if MEASURES.iter().any(|m| has(&["how", m]))
            || ["percentage", "proportion", "number", "weight", "size", "price", "cost"]
                .iter()
                .any(|m| has(&["what", m]) || has(&["what", "is", "the", m]) || has(&["which", m]))
        {
            return Self::Number;
        }
        if has(&["when"])
            || ["year", "date", "month", "day", "century"]
                .iter()
                .any(|m| has(&["what", m]) || has(&["which", m]))
        {
            return Self::Time;
        }
        if has(&["who"]) || has(&["whom"]) || has(&["whose"]) {
            return Self::Name;
        }
        Self::Anything
    }

    /// Whether `unit` holds such a thing.
    pub fn is_in(self, unit: &str, question: &str) -> bool {
        let number = |word: &str| {
            word.chars().any(char::is_numeric) || NUMBER_WORDS.contains(&word.to_lowercase().as_str())
        };
        let asked: HashSet<String> = words(question).map(str::to_lowercase).collect();
        let new = |word: &&str| !asked.contains(&word.to_lowercase());
        match self {
            Self::Number => words(unit).filter(new).any(number),
            Self::Time => words(unit)
                .filter(new)
                .any(|word| number(word) || MONTHS.contains(&word.to_lowercase().as_str())),
            // The first word of a sentence is capitalised whatever it is.
            Self::Name => words(unit)
                .skip(1)
                .filter(new)
                .any(|word| word.chars().next().is_some_and(char::is_uppercase)),
            Self::Anything => false,
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_words_tell_what_is_asked_for() {
        for (question, expected) in [
            ("How long is the Secretary's term of office?", Expected::Number),
            ("What is the atomic weight of lead?", Expected::Anything),
            ("How many layers has it?", Expected::Number),
            ("In which year was TeX born?", Expected::Time),
            ("When was it founded?", Expected::Time),
            ("Who invented the Monotype machine?", Expected::Name),
            ("Why is it blue?", Expected::Anything),
            ("Как это работает?", Expected::Anything),
        ] {
            assert_eq!(Expected::of(question), expected, "{question}");
        }
    }

    #[test]
    fn what_the_question_says_itself_is_no_answer() {
        let question = "Who sold 40 plots in March to Lanston?";
        assert!(!Expected::Number.is_in("It was 40 plots.", question));
        assert!(Expected::Number.is_in("It was forty-one or 41 plots.", question));
        assert!(!Expected::Time.is_in("In March it was done", question));
        assert!(Expected::Time.is_in("In April it was done", question));
        assert!(!Expected::Name.is_in("The Lanston Who", question));
        assert!(Expected::Name.is_in("by Tolbert Lanston", question));
    }
}

//! Shows a command's events to whoever started it: words and a progress bar, or JSON and NDJSON.

use crate::{
    event::{Cancel, Event, Progress},
    problem::Problem,
    rest::printable,
};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Between two lines of progress where standard error is a file or a pipe.
const LINE_PERIOD: Duration = Duration::from_secs(10);

/// Prints until the exit event; its code is returned. 1 when the events end without one, and when standard output did not
/// take everything: then `cancel` asks the command to stop.
pub async fn show(mut events: mpsc::UnboundedReceiver<Event>, json: bool, cancel: Cancel) -> u8 {
    let lines = !io::stderr().is_terminal();
    let mut terminal =
        Terminal { json, lines, bar: None, stage: String::new(), said: None, written: Written::Whole };
    while let Some(event) = events.recv().await {
        if let Some(code) = terminal.print(&event) {
            return if terminal.written == Written::Failed { 1 } else { code };
        }
        if terminal.written == Written::Failed {
            cancel.request();
        }
    }
    terminal.clear();
    1
}

/// What became of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Whole,
    /// The pipe was closed: its reader has seen enough.
    Closed,
    Failed,
}

/// Words for a failed write to standard output; `None` for a closed pipe, which is no failure.
pub fn lost_output(error: io::Error) -> Option<anyhow::Error> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => None,
        _ => Some(anyhow::Error::new(error).context("cannot write to standard output")),
    }
}

struct Terminal {
    json: bool,
    /// Progress as lines now and then, not as a bar that is redrawn.
    lines: bool,
    bar: Option<ProgressBar>,
    stage: String,
    /// When the last line of progress was written.
    said: Option<Instant>,
    written: Written,
}

impl Terminal {
    fn print(&mut self, event: &Event) -> Option<u8> {
        match event {
            Event::Progress(progress) if self.json => eprint_json(event, progress),
            Event::Progress(progress) => self.progress(progress),
            // A document's text goes to a pipe as it is; a terminal would obey what is in it.
            Event::Text { text } if io::stdout().is_terminal() => self.write(&printable(text)),
            Event::Text { text } => self.write(text),
            Event::Object { value } => self.write(&format!("{value:#}\n")),
            Event::Note { text } if self.json => {
                let _ = writeln!(io::stderr(), "{}", serde_json::json!({ "event": "note", "text": text }));
            }
            Event::Note { text } => {
                self.clear();
                let _ = writeln!(io::stderr(), "{}", printable(text));
            }
            Event::Problem(problem) => self.problem(problem),
            Event::Exit { code } => {
                self.clear();
                return Some(*code);
            }
        }
        None
    }

    /// To standard output, until it takes no more.
    fn write(&mut self, text: &str) {
        self.clear();
        if self.written != Written::Whole {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.written = Written::Closed;
            if let Some(error) = lost_output(error) {
                self.written = Written::Failed;
                self.problem(&Problem::from_error(&error));
            }
        }
    }

    fn problem(&mut self, problem: &Problem) {
        self.clear();
        let _ = match self.json {
            true => writeln!(io::stderr(), "{}", serde_json::json!(problem)),
            false => writeln!(io::stderr(), "error: {}", printable(&problem.detail)),
        };
    }

    fn progress(&mut self, progress: &Progress) {
        if self.lines {
            // Short work is not worth a line: the first is written once a period has gone by.
            let said = *self.said.get_or_insert_with(Instant::now);
            if said.elapsed() >= LINE_PERIOD {
                self.said = Some(Instant::now());
                let _ = writeln!(io::stderr(), "{}: {}", progress.stage, describe(progress));
            }
            return;
        }
        if self.stage != progress.stage {
            self.clear();
            self.stage.clone_from(&progress.stage);
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
            let style = ProgressStyle::with_template("{prefix:12} [{bar:30}] {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar
        });
        bar.set_length(progress.total.max(1));
        bar.set_position(progress.done);
        bar.set_prefix(progress.stage.clone());
        bar.set_message(describe(progress));
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn eprint_json(event: &Event, _: &Progress) {
    if let Ok(line) = serde_json::to_string(event) {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

fn describe(progress: &Progress) -> String {
    let Progress { unit, done, total, rate, eta_s, .. } = progress;
    let percent = if *total == 0 { 100.0 } else { *done as f64 * 100.0 / *total as f64 };
    let mut text = format!("{done}/{total} {unit} ({percent:.1} %)");
    if *rate > 0.0 {
        text.push_str(&format!(", {rate:.0} {unit}/s"));
    }
    if let Some(eta) = eta_s.filter(|_| done < total) {
        text.push_str(&format!(", {} left", HumanDuration(Duration::from_secs(eta))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_unit_rate_and_time_left() {
        let progress = Progress {
            stage: "prefill".into(),
            unit: "tokens".into(),
            done: 500,
            total: 2000,
            rate: 250.0,
            eta_s: Some(6),
        };
        assert_eq!(describe(&progress), "500/2000 tokens (25.0 %), 250 tokens/s, 6 seconds left");
    }
}

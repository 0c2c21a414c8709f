//! Text for Prometheus, line by line: the exposition format 0.0.4.

use super::Histogram;
use std::fmt::{Display, Write};
use std::time::Duration;

/// A text that is being written.
#[derive(Default)]
pub(crate) struct Text {
    pub(super) out: String,
    name: &'static str,
    /// Of the subject whose lines are being written.
    pub(super) labels: Vec<(String, String)>,
}

impl Text {
    /// One whose lines are marked so.
    pub(crate) fn new(labels: &[(&str, &str)]) -> Self {
        Text {
            labels: own_labels(labels),
            ..Text::default()
        }
    }

    pub(crate) fn into_string(self) -> String {
        self.out
    }

    /// Describes one of the format's families; its lines follow.
    pub(crate) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a `String` does not fail.
        let _infallible = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// One line of it.
    pub(crate) fn put(&mut self, more: &[(&str, &str)], value: impl Display) {
        self.put_as("", more, value);
    }

    fn put_as(&mut self, suffix: &str, more: &[(&str, &str)], value: impl Display) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        let own = self.labels.iter().map(|(name, value)| (&**name, &**value));
        let mut mark = '{';
        for (name, value) in own.chain(more.iter().copied()) {
            self.out.push(mark);
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(&mut self.out, value);
            self.out.push('"');
            mark = ',';
        }
        if mark == ',' {
            self.out.push('}');
        }
        let _infallible = writeln!(self.out, " {value}");
    }

    /// The lines of a family of times.
    pub(crate) fn histogram(&mut self, more: &[(&str, &str)], times: &Histogram) {
        let mut count = 0;
        for (index, (end, times)) in times.buckets().enumerate() {
            count += times;
            // From a microsecond on, each four times as long as the one before.
            if end != Duration::MAX && index >= 10 && index.is_multiple_of(2) {
                let end = end.as_secs_f64().to_string();
                self.put_as("_bucket", &with(more, ("le", &end)), count);
            }
        }
        self.put_as("_bucket", &with(more, ("le", "+Inf")), count);
        self.put_as("_sum", more, times.sum().as_secs_f64());
        self.put_as("_count", more, count);
    }
}

/// Labels of the application's, as the format allows them.
pub(super) fn own_labels(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = labels.iter();
    own.map(|(name, value)| (label_name(name), (*value).to_owned()))
        .collect()
}

fn with<'a>(more: &[(&'a str, &'a str)], label: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    more.iter().copied().chain([label]).collect()
}

/// A label's value is any text, with backslash, quote and line feed escaped.
fn escape(out: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// What a label may be called: letters, digits and `_`, no digit first.
fn label_name(name: &str) -> String {
    let is_fine = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let name: String = name
        .chars()
        .map(|char| if is_fine(char) { char } else { '_' })
        .collect();
    match name.starts_with(|first: char| first.is_ascii_digit()) || name.is_empty() {
        true => format!("_{name}"),
        false => name,
    }
}

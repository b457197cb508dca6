//! What does an event say? Rules that turn the columns of events.tsv into a sentence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::input::shown;
use super::tsv::{Row, Tsv};
use crate::acquisition::SourceError;

/// One rule: events whose columns read as `when` get this `text`. The first rule that fits wins.
///
/// ```toml
/// sentences = [
///   { when = { temperature = "n/a" }, text = "rate how painful that was" },
///   { text = "painful heat of {temperature:0} degrees on the arm" },
/// ]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SentenceRule {
    /// Column → what it must read, exactly. `n/a` also fits an empty cell. Empty (the default): fits every event.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// The sentence. `{column}` is the cell as it stands; `{column:1}` is its number with one decimal, ties to even (as
    /// Python's `:.1f`); `{{` and `}}` are braces.
    pub text: String,
}

/// A rule whose columns are found and whose template is parsed.
struct Compiled<'a> {
    when: Vec<(usize, &'a str)>,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Cell { column: usize, decimals: Option<usize> },
}

/// The rules, made for one file.
pub(crate) struct Sentences<'a>(Vec<Compiled<'a>>);

impl<'a> Sentences<'a> {
    /// Finds the columns of every rule in `tsv`.
    ///
    /// # Errors
    /// A column that is not there; a template with an open brace.
    pub(crate) fn compile(rules: &'a [SentenceRule], tsv: &Tsv) -> Result<Self, SourceError> {
        let mut compiled = Vec::with_capacity(rules.len());
        for rule in rules {
            let wanted = |value: &'a String| if value.is_empty() { "n/a" } else { value.as_str() };
            let when = rule.when.iter().map(|(name, value)| Ok((tsv.required(name)?, wanted(value))));
            compiled.push(Compiled { when: when.collect::<Result<_, SourceError>>()?, parts: parse(&rule.text, tsv)? });
        }
        Ok(Self(compiled))
    }

    /// The sentence of one event: that of the first rule that fits, or none.
    ///
    /// # Errors
    /// A `{column:0}` whose cell is no number.
    pub(crate) fn of(&self, row: Row<'_>) -> Result<Option<String>, SourceError> {
        let fits = |rule: &&Compiled<'_>| {
            rule.when.iter().all(|(column, wanted)| row.get(*column).unwrap_or("n/a") == *wanted)
        };
        let Some(rule) = self.0.iter().find(fits) else { return Ok(None) };
        let mut out = String::new();
        for part in &rule.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Cell { column, decimals: None } => out.push_str(row.get(*column).unwrap_or("n/a")),
                Part::Cell { column, decimals: Some(decimals) } => {
                    let value = row.number(*column)?.ok_or_else(|| {
                        let name = row.tsv.header.get(*column).map(|h| shown(h)).unwrap_or_default();
                        row.wrong(format!(
                            "column \"{name}\" is n/a, but `sentences` wants its number (add a rule with `when`)"
                        ))
                    })?;
                    out.push_str(&format!("{value:.decimals$}"));
                }
            }
        }
        Ok(Some(out))
    }
}

fn parse(template: &str, tsv: &Tsv) -> Result<Vec<Part>, SourceError> {
    let broken = |problem: &str| {
        SourceError::Config(format!(
            "sentences: \"{}\": {problem} (write {{column}}, or {{{{ for a brace)",
            shown(template)
        ))
    };
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        if let Some(after) = from.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else if let Some(after) = from.strip_prefix('{') {
            let (inside, after) = after.split_once('}').ok_or_else(|| broken("a brace is not closed"))?;
            let (name, decimals) = match inside.rsplit_once(':') {
                // A column's own name may hold a colon; only a number after the last one is a precision.
                Some((name, digits)) => match digits.parse::<usize>() {
                    Ok(decimals) if decimals <= 17 => (name, Some(decimals)),
                    _ => (inside, None),
                },
                None => (inside, None),
            };
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Cell { column: tsv.required(name)?, decimals });
            rest = after;
        } else {
            return Err(broken("a brace closes nothing"));
        }
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    Ok(parts)
}

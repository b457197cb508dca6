//! What is wrong with the configuration, where, and what was probably meant.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::exit::Exit;

/// Where a setting stands. Written as `file:line:column`, or as the name of the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file; line and column count from 1, the column in characters.
    File {
        /// The file, as it was given.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an environment variable.
    Env(String),
    /// In no file and no variable: a setting that has to be given somewhere.
    Nowhere,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Place::Env(name) => f.write_str(name),
            Place::Nowhere => f.write_str("configuration"),
        }
    }
}

/// Why there is no configuration. Always [`Exit::Config`]: nothing has been opened yet, and trying again cannot help.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file is missing, unreadable or not UTF-8.
    #[error("{}: cannot read the configuration: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A setting is malformed, unknown, missing, or has a value that cannot be.
    #[error("{place}: {problem}{}", did_you_mean(suggestion))]
    Invalid {
        /// Where it stands.
        place: Place,
        /// What is wrong, on one line.
        problem: String,
        /// The known name that looks most like an unknown one.
        suggestion: Option<String>,
    },
}

impl ConfigError {
    /// The code the program ends with: 78.
    pub fn exit(&self) -> Exit {
        Exit::Config
    }

    /// What serde said at `place`, on one line, with a suggestion where it lists what it had expected.
    pub(super) fn at(place: Place, said: &str) -> Self {
        let problem = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ");
        let suggestion = suggest(&problem);
        ConfigError::Invalid { place, problem, suggestion }
    }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// Reads serde's ``unknown field `x`, expected one of `a`, `b` `` and picks the name most like `x`, if any is like it.
fn suggest(message: &str) -> Option<String> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    quoted
        .map(|name| (strsim::jaro_winkler(wrong, name), strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(likeness, edits, _)| *likeness > 0.8 || *edits <= 2)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, _, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_name_is_suggested_and_none_where_none_is_like_it() {
        let said =
            |wrong: &str| format!("unknown field `{wrong}`, expected one of `listen`, `token_file`, `max_clients`");
        assert_eq!(suggest(&said("lisen")).as_deref(), Some("listen"));
        assert_eq!(suggest(&said("tokenfile")).as_deref(), Some("token_file"));
        assert_eq!(suggest(&said("colour")), None);
        assert_eq!(suggest("invalid type: `listen`, expected `listen`"), None);
    }

    #[test]
    fn an_error_reads_place_problem_suggestion() {
        let place = Place::File { path: "a.toml".into(), line: 3, column: 7 };
        let error = ConfigError::at(place, "unknown variant `lls`, expected `lsl` or `replay`\n");
        assert_eq!(
            error.to_string(),
            "a.toml:3:7: unknown variant `lls`, expected `lsl` or `replay` (did you mean `lsl`?)"
        );
        assert_eq!(error.exit().code(), 78);
    }
}

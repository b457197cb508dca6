//! What is configured? TOML files laid over each other, then `NEUROD__…` variables, with the place of every mistake.
//!
//! Each module owns the config types of what it builds; this folder reads them. Files are parsed with their offsets
//! first, layered by the `config` crate (later files win, tables are joined, lists and values are replaced whole),
//! overridden from the environment, and only then turned into types, once. So every message says `file:line:column`
//! or names the variable, wherever the value in question came from.
//!
//! **Invariants.** Nothing is opened before the configuration is whole. Types say `deny_unknown_fields`, so an unknown
//! key is an error with a suggestion, in files and variables alike.
//!
//! A variable's value is TOML where it reads as TOML (`42`, `true`, `[1, 2]`, `"42"`), and text where it does not.
//!
//! ```
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Root { service: Service }
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Service { listen: String }
//!
//! let env = |name: &str| [(name.to_owned(), "127.0.0.1:9000".to_owned())];
//! let root = neurod::config::load::<Root>(&[], env("NEUROD__SERVICE__LISTEN")).unwrap();
//! assert_eq!(root.value.service.listen, "127.0.0.1:9000");
//!
//! let error = neurod::config::load::<Root>(&[], env("NEUROD__SERVICE__LISTN")).err().unwrap();
//! assert_eq!(
//!     error.to_string(),
//!     "NEUROD__SERVICE__LISTN: unknown field `listn`, expected `listen` (did you mean `listen`?)"
//! );
//! ```

mod error;
mod layers;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

pub use error::{ConfigError, Place};
pub use layers::ENV_PREFIX;
use layers::Layers;

/// A configuration, and where each of its settings stands.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    places: BTreeMap<String, Place>,
}

impl<T> Loaded<T> {
    /// Where a setting stands, by its dotted path (`sources.eeg.input`); where the table it would be in stands, if it
    /// was not given.
    pub fn place(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return place.clone();
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return Place::Nowhere,
            }
        }
    }

    /// The error that a setting's value cannot be, for whoever validates it further.
    pub fn invalid(&self, path: &str, problem: impl std::fmt::Display) -> ConfigError {
        ConfigError::Invalid { place: self.place(path), problem: format!("{path}: {problem}"), suggestion: None }
    }
}

/// Reads `files`, weakest first, and overrides them with the variables of `env` whose names start with
/// [`ENV_PREFIX`]; pass [`std::env::vars`] (or what a test likes).
///
/// # Errors
/// The first thing that is wrong, with its place: a file that cannot be read, TOML that is not TOML, and an unknown,
/// missing or impossible setting.
pub fn load<T: DeserializeOwned>(
    files: &[PathBuf],
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded<T>, ConfigError> {
    let mut layers = Layers::default();
    for file in files {
        layers.add_file(file)?;
    }
    // Sorted, so that of two variables that set one thing it is always the same that wins.
    let env: BTreeMap<String, String> = env.into_iter().filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
    let known = layers.values()?;
    for (name, value) in &env {
        layers.add_env(name, value, &known)?;
    }
    let merged = layers.merge()?;
    let value = T::deserialize(toml::Deserializer::from(merged.root)).map_err(|error| {
        let place = error.span().map_or(Place::Nowhere, |span| layers.place(span.start));
        ConfigError::at(place, error.message())
    })?;
    Ok(Loaded { value, places: merged.places })
}

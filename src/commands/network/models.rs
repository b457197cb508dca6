//! Which model was asked for? One by name, or as a TOML file describes it.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::network::benchmark::Model;

/// The model that `option` was given, trained for `epochs` at the most where it is trained in epochs.
///
/// # Errors
/// A name that is not known; a file that cannot be read or followed.
pub fn model(option: &str, given: &str, epochs: Option<u32>) -> anyhow::Result<Model> {
    let path = Path::new(given);
    if path.extension().is_none_or(|extension| extension != "toml") {
        return Ok(Model::named(given, epochs)?);
    }
    let text = fs::read_to_string(path).with_context(|| format!("{option} {given}"))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Model::described(&stem, &text, epochs)?)
}

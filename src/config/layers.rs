//! One layer a file or variable: parsed with the place of every key, then laid over each other by the `config` crate.
//!
//! Every layer's text is parsed behind as many blanks as there is text in the layers before it, so that one number, a
//! byte offset, says both which layer and where in it. The `config` crate decides which layer's value holds and keeps
//! its origin; the merged tree is then put together again from the parsed layers, so it keeps every offset. That is
//! how a mistake in an overridden value, or a key that is missing from all files, still has a line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Map, Source, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Place};

/// The environment variables that are settings: `NEUROD__SERVICE__LISTEN` is `service.listen`.
pub const ENV_PREFIX: &str = "NEUROD__";

#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Env(String),
}

/// The text of one file or variable.
#[derive(Debug)]
pub(super) struct Layer {
    origin: Origin,
    base: usize,
    /// `base` blanks, then the text.
    padded: String,
}

impl Layer {
    fn new(origin: Origin, base: usize, text: &str) -> Self {
        let mut padded = " ".repeat(base);
        padded.push_str(text);
        Self { origin, base, padded }
    }

    fn parse(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        DeTable::parse(&self.padded).map_err(|error| {
            let at = error.span().map_or(self.base, |span| span.start);
            ConfigError::at(self.place(at), error.message())
        })
    }

    fn place(&self, offset: usize) -> Place {
        match &self.origin {
            Origin::Env(name) => Place::Env(name.clone()),
            Origin::File(path) => {
                let end = offset.clamp(self.base, self.padded.len());
                let before = self.padded.get(self.base..end).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
                Place::File { path: path.clone(), line, column }
            }
        }
    }
}

/// Every layer, weakest first.
#[derive(Debug, Default)]
pub(super) struct Layers(Vec<Layer>);

impl Layers {
    fn end(&self) -> usize {
        self.0.last().map_or(0, |layer| layer.padded.len())
    }

    pub fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.into(), error })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        // A blank between layers keeps the end of one apart from the start of the next.
        self.0.push(Layer::new(Origin::File(path.into()), self.end() + 1, text));
        Ok(())
    }

    /// Adds one variable. A name in it is matched to the files' names whatever their case, since variables are
    /// written in capitals and a source may be called `EEG`.
    pub fn add_env(&mut self, name: &str, value: &str, known: &Map<String, Value>) -> Result<(), ConfigError> {
        let path = name.strip_prefix(ENV_PREFIX).unwrap_or_default();
        if path.split("__").any(str::is_empty) {
            let problem = "a setting's name is missing; write e.g. NEUROD__SERVICE__LISTEN for service.listen";
            return Err(ConfigError::at(Place::Env(name.to_owned()), problem));
        }
        let mut table = Some(known);
        let mut keys = Vec::new();
        for part in path.split("__") {
            let spelled = table
                .and_then(|t| t.get_key_value(part).or_else(|| t.iter().find(|(k, _)| k.eq_ignore_ascii_case(part))));
            keys.push(spelled.map_or_else(|| part.to_lowercase(), |(key, _)| key.clone()));
            table = spelled.and_then(|(_, value)| as_table(value));
        }
        let keys: Vec<String> = keys.into_iter().map(|k| toml::Value::String(k).to_string()).collect();
        let value = if is_literal(value) { value.to_owned() } else { toml::Value::String(value.into()).to_string() };
        let text = format!("{} = {value}\n", keys.join("."));
        self.0.push(Layer::new(Origin::Env(name.to_owned()), self.end() + 1, &text));
        Ok(())
    }

    /// Lays the layers over each other: later ones win, tables are joined, everything else is replaced whole.
    pub fn merge(&self) -> Result<Merged<'_>, ConfigError> {
        let parsed = self.0.iter().map(Layer::parse).collect::<Result<Vec<_>, _>>()?;
        let values = self.layered(&parsed)?;
        let roots: Vec<Option<&Spanned<DeTable<'_>>>> = parsed.iter().map(Some).collect();
        let mut places = BTreeMap::new();
        let root = self.rebuild(&values, &roots, "", &mut places);
        Ok(Merged { root, places })
    }

    /// What the layers so far say together, as the `config` crate sees it.
    pub fn values(&self) -> Result<Map<String, Value>, ConfigError> {
        let parsed = self.0.iter().map(Layer::parse).collect::<Result<Vec<_>, _>>()?;
        self.layered(&parsed)
    }

    fn layered(&self, parsed: &[Spanned<DeTable<'_>>]) -> Result<Map<String, Value>, ConfigError> {
        let mut builder = config::Config::builder();
        for (index, table) in parsed.iter().enumerate() {
            builder = builder.add_source(ParsedLayer(to_values(table.get_ref(), &index.to_string())));
        }
        let merged = builder.build().map_err(|error| ConfigError::at(Place::Nowhere, &error.to_string()))?;
        match merged.cache.kind {
            ValueKind::Table(values) => Ok(values),
            _ => Ok(Map::new()),
        }
    }

    /// The merged values with the offsets of the layers they come from. `tables` is this table in each layer.
    fn rebuild<'i>(
        &self,
        values: &Map<String, Value>,
        tables: &[Option<&Spanned<DeTable<'i>>>],
        path: &str,
        places: &mut BTreeMap<String, Place>,
    ) -> Spanned<DeTable<'i>> {
        let span = tables.iter().rev().flatten().next().map_or(0..0, |table| table.span());
        let mut merged = DeTable::new();
        for (name, value) in values {
            let found: Vec<_> =
                tables.iter().map(|t| t.and_then(|t| t.get_ref().get_key_value(name.as_str()))).collect();
            let Some((key, held)) = origin_of(value)
                .and_then(|layer| found.get(layer).copied().flatten())
                .or_else(|| found.iter().rev().flatten().next().copied())
            else {
                continue;
            };
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            places.insert(path.clone(), self.place(key.span().start));
            let held = match &value.kind {
                ValueKind::Table(values) => {
                    let below: Vec<Option<Spanned<DeTable<'i>>>> = found
                        .iter()
                        .map(|entry| {
                            entry.and_then(|(_, v)| v.get_ref().as_table().map(|t| Spanned::new(v.span(), t.clone())))
                        })
                        .collect();
                    let below: Vec<_> = below.iter().map(Option::as_ref).collect();
                    let table = self.rebuild(values, &below, &path, places);
                    Spanned::new(table.span(), DeValue::Table(table.into_inner()))
                }
                _ => held.clone(),
            };
            merged.insert(key.clone(), held);
        }
        Spanned::new(span, merged)
    }

    /// The layer and line of an offset.
    pub fn place(&self, offset: usize) -> Place {
        let layer = self.0.iter().rev().find(|layer| layer.base <= offset).or(self.0.first());
        layer.map_or(Place::Nowhere, |layer| layer.place(offset))
    }
}

/// The layers laid over each other.
pub(super) struct Merged<'i> {
    pub root: Spanned<DeTable<'i>>,
    /// Where each setting stands, by its dotted path.
    pub places: BTreeMap<String, Place>,
}

/// A parsed layer in the shape the `config` crate takes.
#[derive(Clone, Debug)]
struct ParsedLayer(Map<String, Value>);

impl Source for ParsedLayer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }
    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// Only the shape matters to the layering: scalars and arrays come back from the parsed layers.
fn to_values(table: &DeTable<'_>, origin: &str) -> Map<String, Value> {
    let origin_name = origin.to_owned();
    let convert = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::Table(table) => ValueKind::Table(to_values(table, origin)),
        DeValue::String(text) => ValueKind::String(text.to_string()),
        DeValue::Boolean(truth) => ValueKind::Boolean(*truth),
        _ => ValueKind::Nil,
    };
    table.iter().map(|(k, v)| (k.get_ref().to_string(), Value::new(Some(&origin_name), convert(v)))).collect()
}

fn as_table(value: &Value) -> Option<&Map<String, Value>> {
    match &value.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}

fn origin_of(value: &Value) -> Option<usize> {
    value.origin().and_then(|origin| origin.parse().ok())
}

/// Whether a variable's text is a TOML number, truth value, quoted string, array or inline table. All else is text, so
/// that `127.0.0.1:9464` and `2026-11-24` need no quotes.
fn is_literal(text: &str) -> bool {
    !text.contains('\n')
        && DeValue::parse(text).is_ok_and(|value| !matches!(value.get_ref(), DeValue::Datetime(_)))
        && !text.trim().is_empty()
}

//! What does a classical design matrix see? The columns of events.tsv, as indicators and centred numbers.
//!
//! This is the baseline beside which a network's score has to be read: what could be known without it.
//!
//! ```
//! use std::collections::BTreeMap;
//! use neurod::encoders::{ColumnsConfig, ColumnsEncoder, Encoder, Input};
//!
//! let config: ColumnsConfig = toml::from_str(
//!     r#"
//!     events = "stimulus"
//!     columns = [{ name = "temperature", not = "n/a" }, { name = "temperature", center = 45.0, scale = 2.0 }]
//!     "#,
//! )?;
//! let mut features = Vec::new();
//! let event = BTreeMap::from([(String::from("temperature"), String::from("48"))]);
//! ColumnsEncoder::new(&config).encode(&Input::Columns(&event), &mut features)?;
//! assert_eq!(features, [1.0, 1.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};

use super::manifest::hex_sha256;
use super::{EncodeError, Encoder, EncoderError, EncoderSpec, Input};

/// Features from the columns of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnsConfig {
    /// The event source, by its name under `[events]`.
    pub events: String,
    /// One feature each.
    pub columns: Vec<ColumnRule>,
}

/// One feature of an event: an indicator (`is` or `not`), or a number, centred and scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnRule {
    /// The column. A cell that is missing or empty reads `n/a`.
    pub name: String,
    /// 1 where the cell reads this, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<String>,
    /// 0 where the cell reads this, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<String>,
    /// What is taken away from a number; 0.
    #[serde(default)]
    pub center: f64,
    /// What a number is then divided by; 1.
    #[serde(default = "one")]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

impl ColumnsConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// No column, or a scale that is no divisor.
    pub fn validate(&self) -> Result<(), EncoderError> {
        if self.columns.is_empty() {
            let problem = "must name at least one column";
            return Err(EncoderError::Value { key: "columns", value: "[]".into(), problem });
        }
        match self.columns.iter().find(|rule| !(rule.scale.is_normal() && rule.center.is_finite())) {
            Some(rule) => {
                let problem = "must be a finite number other than 0";
                Err(EncoderError::Value { key: "scale", value: rule.scale.to_string(), problem })
            }
            None => Ok(()),
        }
    }
}

impl ColumnRule {
    fn feature(&self, cell: &str) -> f64 {
        match (&self.is, &self.not) {
            (Some(wanted), _) => f64::from(u8::from(cell == wanted)),
            (None, Some(unwanted)) => f64::from(u8::from(cell != unwanted)),
            // What is no number has nothing to say: 0, as an absent regressor.
            (None, None) => {
                cell.parse().ok().filter(|v: &f64| v.is_finite()).map_or(0.0, |v| (v - self.center) / self.scale)
            }
        }
    }
}

/// Reads features off an event's columns.
#[derive(Clone, Debug)]
pub struct ColumnsEncoder {
    spec: EncoderSpec,
    rules: Vec<ColumnRule>,
}

impl ColumnsEncoder {
    /// An encoder of these columns.
    pub fn new(config: &ColumnsConfig) -> Self {
        let sha256 = hex_sha256(format!("{:?}", config.columns).as_bytes());
        let spec = EncoderSpec {
            model: "columns".into(),
            dims: config.columns.len(),
            sha256: sha256.into(),
            licence: "none".into(),
        };
        Self { spec, rules: config.columns.clone() }
    }
}

impl Encoder for ColumnsEncoder {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&mut self, input: &Input<'_>, out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let Input::Columns(columns) = input else {
            return Err(EncodeError::WrongInput { model: self.spec.model.clone(), takes: "the columns of an event" });
        };
        out.clear();
        let cell = |rule: &ColumnRule| columns.get(&rule.name).map_or("n/a", String::as_str).to_owned();
        out.extend(self.rules.iter().map(|rule| rule.feature(&cell(rule)) as f32));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_of_zero_and_no_columns_are_refused() {
        let config = |text: &str| toml::from_str::<ColumnsConfig>(text).unwrap().validate().unwrap_err().to_string();
        assert!(config("events = \"e\"\ncolumns = []").contains("columns"));
        assert!(config("events = \"e\"\ncolumns = [{ name = \"x\", scale = 0.0 }]").contains("scale"));
    }

    #[test]
    fn what_is_no_number_counts_as_zero() {
        let rule: ColumnRule = toml::from_str("name = \"x\"\ncenter = 1.0").unwrap();
        assert_eq!((rule.feature("n/a"), rule.feature("inf"), rule.feature("3")), (0.0, 0.0, 2.0));
    }
}

//! How do features meet a volume that the brain answers seconds later? By delays, or through a haemodynamic response.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::RidgeError;
use super::hrf::{HRF_LENGTH, Response};
use super::timeline::FeatureTimeline;

/// `lags = [2.0, 4.0, 6.0]` (seconds), or `lags = { hrf = "spm" }` or `"glover"`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LagsConfig {
    /// Finite impulse response: one copy of the features per delay, in seconds.
    Fir(Vec<f64>),
    /// One copy of the features, convolved with a canonical response.
    Hrf(HrfConfig),
}

/// Which canonical response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HrfConfig {
    /// Its name.
    pub hrf: Response,
}

impl<'de> Deserialize<'de> for LagsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = LagsConfig;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of seconds like [2.0, 4.0], or { hrf = \"spm\" }")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<LagsConfig, A::Error> {
                let mut lags = Vec::new();
                while let Some(lag) = list.next_element()? {
                    lags.push(lag);
                }
                Ok(LagsConfig::Fir(lags))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LagsConfig, A::Error> {
                HrfConfig::deserialize(MapAccessDeserializer::new(map)).map(LagsConfig::Hrf)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl LagsConfig {
    /// The lags, checked.
    ///
    /// # Errors
    /// No lag, or one that is negative, not finite or over ten minutes.
    pub fn build(&self) -> Result<Lags, RidgeError> {
        match self {
            LagsConfig::Fir(lags) if lags.is_empty() => Err(RidgeError::NoLags),
            LagsConfig::Fir(lags) => match lags.iter().find(|lag| !(0.0..=600.0).contains(*lag)) {
                Some(lag) => Err(RidgeError::Lag(*lag)),
                None => Ok(Lags::Fir(lags.clone())),
            },
            LagsConfig::Hrf(HrfConfig { hrf }) => Ok(Lags::Hrf(*hrf)),
        }
    }
}

/// How features become the columns of one row of the ridge.
///
/// ```
/// use neurod::ridge::{FeatureTimeline, LagsConfig};
///
/// let lags = LagsConfig::Fir(vec![2.0, 4.0]).build()?;
/// let mut shown = FeatureTimeline::events(1);
/// shown.push(0.0, 2.0, &[1.0]);
/// let mut row = vec![0.0; lags.columns(1)];
/// lags.row(&shown, 4.0, 2.0, &mut row); // the volume acquired over [4, 6)
/// assert_eq!(row, [0.0, 1.0]);
/// # Ok::<(), neurod::ridge::RidgeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Lags {
    /// One copy of the features per delay, in seconds.
    Fir(Vec<f64>),
    /// The features convolved with a canonical response.
    Hrf(Response),
}

impl Lags {
    /// How many columns `features` features become.
    pub fn columns(&self, features: usize) -> usize {
        match self {
            Lags::Fir(lags) => features * lags.len(),
            Lags::Hrf(_) => features,
        }
    }

    /// How far back a row looks from the end of a volume that lasts `tr` seconds.
    pub fn horizon(&self, tr: f64) -> f64 {
        tr + match self {
            Lags::Fir(lags) => lags.iter().copied().fold(0.0, f64::max),
            Lags::Hrf(_) => HRF_LENGTH,
        }
    }

    /// The newest moment that a row for a volume starting at `t` looks at: known ahead of the volume by the least lag.
    pub fn looks_until(&self, t: f64, tr: f64) -> f64 {
        t + tr
            - match self {
                Lags::Fir(lags) => lags.iter().copied().fold(f64::INFINITY, f64::min),
                Lags::Hrf(_) => 0.0,
            }
    }

    /// The least part of the time a row looks at that has to be measured for the row to count: a mean over half of a
    /// volume still is a mean, a convolution that lacks a part of its response is something else.
    pub fn least_known(&self) -> f64 {
        match self {
            Lags::Fir(_) => 0.5,
            Lags::Hrf(_) => 0.95,
        }
    }

    /// Writes the row that meets a volume acquired over `[t, t + tr)` into `out` ([`columns`](Self::columns) values)
    /// and returns the fraction of the time looked at that features cover (the least of all lags).
    ///
    /// Per lag, in order: the mean over `[t − lag, t − lag + tr)`. With a response: the features convolved with it,
    /// averaged over the volume. `tr = 0` asks for the moment `t`. Does not allocate.
    pub fn row(&self, timeline: &FeatureTimeline, t: f64, tr: f64, out: &mut [f64]) -> f64 {
        match self {
            Lags::Fir(lags) => {
                let parts = out.chunks_exact_mut(timeline.features().max(1));
                lags.iter()
                    .zip(parts)
                    .fold(1.0, |covered: f64, (lag, part)| covered.min(timeline.mean(t - lag, t - lag + tr, part)))
            }
            Lags::Hrf(which) => {
                let (until, curve) = (t + tr, which.curve());
                timeline.weigh(until - self.horizon(tr), until, out, |start, end| curve.response(t, tr, start, end))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ridge::response_weights;

    #[derive(Deserialize)]
    struct Table {
        lags: LagsConfig,
    }

    #[test]
    fn a_list_and_a_name_are_understood_and_what_cannot_be_is_named() {
        let parse = |text: &str| toml::from_str::<Table>(text).map(|t| t.lags);
        assert_eq!(parse("lags = [2, 4.5]").unwrap().build().unwrap(), Lags::Fir(vec![2.0, 4.5]));
        assert_eq!(parse("lags = { hrf = \"spm\" }").unwrap().build().unwrap(), Lags::Hrf(Response::Spm));
        assert_eq!(parse("lags = { hrf = \"glover\" }").unwrap().build().unwrap(), Lags::Hrf(Response::Glover));
        assert!(parse("lags = { hrf = \"gamma\" }").unwrap_err().to_string().contains("gamma"));
        assert!(parse("lags = 2").unwrap_err().to_string().contains("list of seconds"));
        assert_eq!(
            parse("lags = []").unwrap().build().unwrap_err().to_string(),
            "lags is empty: give delays in seconds like [2.0, 4.0], or { hrf = \"spm\" }"
        );
        assert_eq!(
            parse("lags = [-1]").unwrap().build().unwrap_err().to_string(),
            "lags has -1 s, a delay must be between 0 and 600 s"
        );
    }

    #[test]
    fn rows_are_the_features_of_earlier_volumes_and_zero_before_the_run() {
        let lags = Lags::Fir(vec![2.0, 4.0]);
        let mut line = FeatureTimeline::events(2);
        line.new_run(100.0);
        for i in 0..5 {
            line.push(100.0 + 2.0 * i as f64, 102.0 + 2.0 * i as f64, &[i as f64 + 1.0, 0.5]);
        }
        let mut row = [f64::NAN; 4];
        assert_eq!(lags.row(&line, 102.0, 2.0, &mut row), 0.0);
        assert_eq!(row, [1.0, 0.5, 0.0, 0.0]);
        assert_eq!(lags.row(&line, 106.0, 2.0, &mut row), 1.0);
        assert_eq!(row, [3.0, 0.5, 2.0, 0.5]);
        assert_eq!(lags.row(&line, 105.0, 2.0, &mut row), 1.0);
        assert_eq!(row, [2.5, 0.5, 1.5, 0.5]);
        assert_eq!((lags.horizon(2.0), lags.looks_until(106.0, 2.0), lags.columns(2)), (6.0, 106.0, 4));
    }

    #[test]
    fn a_feature_held_for_long_comes_through_the_response_as_itself() {
        for lags in [Lags::Hrf(Response::Spm), Lags::Hrf(Response::Glover)] {
            let mut line = FeatureTimeline::samples(1, lags.horizon(2.0));
            for i in 0..200 {
                line.push(i as f64 * 0.5, (i + 1) as f64 * 0.5, &[3.0]);
            }
            let mut row = [0.0];
            let covered = lags.row(&line, 98.0, 2.0, &mut row);
            assert!((row[0] - 3.0).abs() < 1e-9 && (covered - 1.0).abs() < 1e-9, "{row:?} {covered}");
        }
    }

    #[test]
    fn live_rows_are_the_convolution_of_samples_offline() {
        let (tr, mut line) = (2.5, FeatureTimeline::events(1));
        let features: Vec<f64> = (0..40).map(|i| (f64::from(i) * 0.7).sin()).collect();
        for (i, feature) in features.iter().enumerate() {
            line.push(i as f64 * tr, (i + 1) as f64 * tr, &[*feature]);
        }
        for which in [Response::Spm, Response::Glover] {
            let weights = response_weights(which, tr);
            for i in 0..features.len() {
                let sum: f64 = weights.iter().zip(features[..=i].iter().rev()).map(|(w, x)| w * x).sum();
                let mut row = [0.0];
                Lags::Hrf(which).row(&line, i as f64 * tr, tr, &mut row);
                assert!((row[0] - sum).abs() < 1e-12, "{which:?} {i}: {} {sum}", row[0]);
            }
        }
    }
}

//! How is a model put to work? A learner that begins with it, once everything it was fitted with is found again.

use super::{FeatureSpace, FittedModel, ModelError, Target};
use crate::frame::Unit;
use crate::ridge::learner::Learner;
use crate::ridge::rls::Rls;
use crate::ridge::{HrfConfig, LagsConfig, Moments, RidgeConfig};

/// How far a TR may lie from another and still be the same, relatively: what scanners write is rounded.
const SAME_TR: f64 = 1e-3;

impl FittedModel {
    /// Its delays in seconds, or its haemodynamic response.
    ///
    /// # Errors
    /// It has delays, and does not know its TR.
    pub fn lags(&self) -> Result<LagsConfig, ModelError> {
        if let Some(hrf) = self.description.hrf {
            return Ok(LagsConfig::Hrf(HrfConfig { hrf }));
        }
        let delays = &self.description.delays;
        match self.description.tr {
            Some(tr) => Ok(LagsConfig::Fir(delays.iter().map(|delay| *delay as f64 * tr).collect())),
            None if delays.iter().all(|delay| *delay == 0) => Ok(LagsConfig::Fir(vec![0.0; delays.len()])),
            None => Err(ModelError::Lacks("does not say how many seconds its delays are (fit it with --tr)")),
        }
    }

    /// Checks what features a row is made of: in order, name, columns and SHA-256 of each.
    ///
    /// # Errors
    /// The first that is another. Where the model knows the SHA-256 of a space, that decides, else the name.
    pub fn check_features<'a>(
        &self,
        here: impl ExactSizeIterator<Item = (&'a str, usize, &'a str)>,
    ) -> Result<(), ModelError> {
        let spaces = &self.description.features;
        let mismatch = |key: String, model: String, here: String, fix| ModelError::Mismatch { key, model, here, fix };
        if spaces.len() != here.len() {
            let names = spaces.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
            let fix = "name as many encoders in `features`, in the model's order";
            return Err(mismatch("feature spaces".into(), names, here.len().to_string(), fix));
        }
        for (FeatureSpace { name, dims, sha256, .. }, (other, columns, hash)) in spaces.iter().zip(here) {
            let of = |what: &str| format!("{what} of \"{name}\"");
            if *dims != columns {
                let fix = "give it the encoder that it was fitted with";
                return Err(mismatch(of("columns"), dims.to_string(), format!("{columns} of \"{other}\""), fix));
            }
            match sha256 {
                Some(sha256) if sha256 != hash => {
                    let fix = "give it the encoder and layer that it was fitted with";
                    return Err(mismatch(of("SHA-256"), sha256.clone(), format!("{hash} of \"{other}\""), fix));
                }
                None if name != other => {
                    let fix = "it knows no SHA-256 of these features, so call the encoder by the same name";
                    return Err(mismatch("feature space".into(), name.clone(), other.into(), fix));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks what is predicted: names in order, their unit where the model knows one, and seconds between two.
    ///
    /// # Errors
    /// The first that is another, or one that nothing was learned for.
    pub fn check_targets(&self, names: &[String], unit: Unit, period: f64) -> Result<(), ModelError> {
        let mismatch = |key: &str, model: String, here: String, fix| {
            Err(ModelError::Mismatch { key: key.into(), model, here, fix })
        };
        let (targets, known) = (&self.description.targets, self.description.unit);
        if targets.len() != names.len() {
            let fix = "give it the regions that it was fitted to";
            return mismatch("targets", targets.len().to_string(), names.len().to_string(), fix);
        }
        for (v, (target, name)) in targets.iter().zip(names).enumerate() {
            if target.name != *name {
                let fix = "give it the regions that it was fitted to, in its order";
                return mismatch(&format!("target {v}"), target.name.clone(), name.clone(), fix);
            }
        }
        if known != Unit::Arbitrary && known != unit {
            let fix = "bring the responses into the model's unit, or fit it to these";
            return mismatch("unit", known.as_str().into(), unit.as_str().into(), fix);
        }
        if let Some(tr) = self.description.tr.filter(|tr| (tr - period).abs() > SAME_TR * period) {
            let fix = "fit it to responses of this rate";
            return mismatch("tr", format!("{tr} s"), format!("{period} s"), fix);
        }
        self.all_learned()
    }

    /// # Errors
    /// A target that nothing was learned for.
    pub fn all_learned(&self) -> Result<(), ModelError> {
        match self.description.targets.iter().any(|target: &Target| target.left_out) {
            true => Err(ModelError::Lacks(
                "has targets that nothing was learned for (leave voxels that are not finite out of responses.npy and fit anew)",
            )),
            false => Ok(()),
        }
    }

    /// A learner that begins with it. Its rows have, of each feature space in turn, one copy a delay: the order in which
    /// live inputs come, where the model has all spaces side by side once a delay.
    ///
    /// # Errors
    /// What is wrong with the configuration or with the shape.
    pub fn learner(&self, config: &RidgeConfig) -> Result<Learner, ModelError> {
        config.check(self.columns(), self.targets())?;
        let order = self.live_order();
        let weights = rows(&self.weights, self.targets(), &order);
        let Some(moments) = &self.moments else {
            let n = self.description.samples as f64;
            let rls = Rls::fixed(n, &self.lambdas, &weights, &self.intercepts);
            return Ok(Learner::begun(rls, None, config)?);
        };
        let by_row = rows(&moments.gram(), self.columns(), &order);
        let gram: Vec<f64> = by_row.chunks_exact(self.columns()).flat_map(|row| rows(row, 1, &order)).collect();
        let moments = Moments::from_parts(
            moments.n(),
            rows(moments.mean_x(), 1, &order),
            moments.mean_y().to_vec(),
            moments.square_y().to_vec(),
            &gram,
            &rows(&moments.cross(), self.targets(), &order),
        );
        let rls = Rls::of_weights(&moments, &self.lambdas, &weights)
            .ok_or(ModelError::Lacks("has moments that cannot be solved (fit it anew)"))?;
        Ok(Learner::begun(rls, Some(moments), config)?)
    }

    /// Which of the model's columns each live column is.
    fn live_order(&self) -> Vec<usize> {
        let (width, mut order, mut from) = (self.description.width(), Vec::new(), 0);
        for space in &self.description.features {
            for copy in 0..self.description.copies() {
                order.extend(copy * width + from..copy * width + from + space.dims);
            }
            from += space.dims;
        }
        order
    }
}

/// These rows of a row-major matrix, in this order.
fn rows(matrix: &[f64], columns: usize, order: &[usize]) -> Vec<f64> {
    order.iter().flat_map(|row| matrix.get(row * columns..(row + 1) * columns).unwrap_or_default()).copied().collect()
}

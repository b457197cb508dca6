//! How does a network learn? In epochs over shuffled batches, until validation samples say that it has learned enough.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::loss::Wanted;
use super::network::Network;
use super::parameters::{Parameters, Saved};
use super::{Algebra, Failure, Values};
use crate::draws::Draws;

/// How a network learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// Passes over the training samples, at most.
    pub epochs: usize,
    /// Samples a step.
    pub batch: usize,
    /// Adam's step size.
    pub lr: f64,
    /// What of each parameter is added to its gradient.
    pub weight_decay: f64,
    /// α of mixup (Zhang et al. 2018): each sample is mixed with another one, λ ~ Beta(α, α) a batch. 0 mixes nothing; the
    /// released BrainGB has 1.
    pub mixup: f64,
    /// Whether each class counts as much as the others, however many samples it has.
    pub class_weights: bool,
    /// Epochs without a lower validation loss after which learning stops; the best epoch's parameters stay. Without validation
    /// samples all epochs are learned, and the last one stays.
    pub patience: usize,
    /// Whether to learn as the released code does, with its defects: batch normalisation learns in the first epoch only,
    /// batches come in the samples' order, mixup mixes features but not edges, and the last epoch stays.
    pub as_released: bool,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch: 16,
            lr: 1e-3,
            weight_decay: 1e-4,
            mixup: 0.0,
            class_weights: false,
            patience: 20,
            as_released: false,
        }
    }
}

impl Training {
    /// What cannot be followed.
    ///
    /// # Errors
    /// The setting, and what it takes.
    pub fn check(&self) -> Result<(), Failure> {
        let problem = match self {
            Self { epochs: 0, .. } => "epochs must be at least 1",
            Self { batch: 0 | 1, .. } => "batch must be at least 2",
            Self { patience: 0, .. } => "patience must be at least 1",
            Self { lr, .. } if !(lr.is_finite() && *lr > 0.0) => "lr must be a positive number",
            Self { weight_decay, .. } if !(weight_decay.is_finite() && *weight_decay >= 0.0) => {
                "weight_decay must be 0 or more"
            }
            Self { mixup, .. } if !(mixup.is_finite() && *mixup >= 0.0) => "mixup must be 0 or more",
            _ => return Ok(()),
        };
        Err(Failure::Settings(problem.into()))
    }
}

/// Samples as a network takes them.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    /// S × N × N
    pub connectivity: Tensor,
    /// S × N × F
    pub features: Tensor,
}

impl Samples {
    pub(super) fn len(&self) -> usize {
        self.connectivity.dims().first().copied().unwrap_or_default()
    }

    pub(super) fn of(&self, rows: &[usize]) -> Result<Self, Failure> {
        let ids: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        let ids = Tensor::new(ids, self.connectivity.device())?;
        let connectivity = self.connectivity.index_select(&ids, 0)?;
        // The connection profile is the connectivity, once in memory.
        let features = if self.features.id() == self.connectivity.id() {
            connectivity.clone()
        } else {
            self.features.index_select(&ids, 0)?
        };
        Ok(Self { connectivity, features })
    }

    /// `share` of these and 1 − `share` of those.
    fn mix(&self, other: &Self, share: f64, edges: bool) -> Result<Self, Failure> {
        let mix = |x: &Tensor, y: &Tensor| x.affine(share, 0.0)?.add(&y.affine(1.0 - share, 0.0)?);
        let features = mix(&self.features, &other.features)?;
        let connectivity = match edges {
            true if self.features.id() == self.connectivity.id() => features.clone(),
            true => mix(&self.connectivity, &other.connectivity)?,
            false => self.connectivity.clone(),
        };
        Ok(Self { connectivity, features })
    }
}

/// What happened while learning: the mean loss of each epoch, and which epoch stayed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Mean training loss of each epoch.
    pub loss: Vec<f64>,
    /// Validation loss after each epoch; empty without validation samples.
    pub validation: Vec<f64>,
    /// Which epoch's parameters stayed, from 0.
    pub kept: usize,
}

/// A network that learns from samples, with its parameters.
pub(super) struct Lesson<'l, N> {
    pub network: &'l N,
    pub parameters: &'l Parameters,
    pub training: &'l Training,
    pub outputs: usize,
    pub seed: u64,
}

impl<N: Network> Lesson<'_, N> {
    fn outputs(&self, a: &Values<'_>, samples: &Samples) -> Result<Tensor, Failure> {
        self.network.logits(a, &samples.connectivity, &samples.features, self.outputs)
    }

    /// What the network gives for all samples.
    pub(super) fn predict(&self, samples: &Samples) -> Result<Tensor, Failure> {
        let rows: Vec<usize> = (0..samples.len()).collect();
        let part = |rows: &[usize]| self.outputs(&Values::predict(self.parameters), &samples.of(rows)?);
        let parts: Result<Vec<_>, _> = rows.chunks(self.training.batch.max(1)).map(part).collect();
        Ok(Tensor::cat(&parts?, 0)?)
    }

    /// The loss of all samples, as it is after learning.
    fn loss(&self, samples: &Samples, wanted: &Wanted) -> Result<f64, Failure> {
        let loss = wanted.loss(&Values::predict(self.parameters), &self.predict(samples)?)?;
        Ok(loss.to_dtype(candle_core::DType::F64)?.to_scalar()?)
    }

    /// Learns; `begin` are parameters to begin with instead of drawn ones.
    pub(super) fn learn(
        &self,
        train: (&Samples, &Wanted),
        validation: Option<(&Samples, &Wanted)>,
        begin: Option<&Saved>,
    ) -> Result<History, Failure> {
        // The first pass makes the parameters; what it sees is forgotten.
        self.outputs(&Values::predict(self.parameters), &train.0.of(&[0])?)?;
        if let Some(saved) = begin {
            self.parameters.restore(saved)?;
        }
        let mut adam = Adam::new(self.parameters.learned(), self.training.lr, self.training.weight_decay);
        let (mut history, mut best) = (History::default(), None::<(f64, Saved)>);
        for epoch in 0..self.training.epochs {
            history.loss.push(self.epoch(epoch, &mut adam, train)?);
            let Some((samples, wanted)) = validation else { continue };
            let loss = self.loss(samples, wanted)?;
            if !loss.is_finite() {
                return Err(Failure::Diverged { epoch });
            }
            history.validation.push(loss);
            if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, self.parameters.save()?));
                history.kept = epoch;
            }
            if !self.training.as_released && epoch - history.kept >= self.training.patience {
                break;
            }
        }
        match best {
            Some((_, saved)) if !self.training.as_released => self.parameters.restore(&saved)?,
            _ => history.kept = history.loss.len() - 1,
        }
        Ok(history)
    }

    fn epoch(&self, epoch: usize, adam: &mut Adam, (samples, wanted): (&Samples, &Wanted)) -> Result<f64, Failure> {
        let mut draws = Draws::new(self.seed ^ 0x05_0ff1_e000, epoch);
        let mut order: Vec<usize> = (0..samples.len()).collect();
        if !self.training.as_released {
            draws.shuffle(&mut order);
        }
        let batches = batches(&order, self.training.batch);
        let mut total = 0.0;
        for (step, rows) in batches.iter().enumerate() {
            let values = if self.training.as_released && epoch > 0 {
                Values::learn_frozen(self.parameters)
            } else {
                Values::learn(self.parameters, epoch * batches.len() + step)
            };
            let loss = self.batch(&values, &mut draws, samples, wanted, rows)?;
            let loss = match values.penalty() {
                Some(penalty) => loss.add(&penalty)?,
                None => loss,
            };
            let number: f64 = loss.to_dtype(candle_core::DType::F64)?.to_scalar()?;
            if !number.is_finite() {
                return Err(Failure::Diverged { epoch });
            }
            adam.step(&loss.backward()?)?;
            total += number * rows.len() as f64;
        }
        Ok(total / samples.len() as f64)
    }

    fn batch(
        &self,
        values: &Values<'_>,
        draws: &mut Draws,
        samples: &Samples,
        wanted: &Wanted,
        rows: &[usize],
    ) -> Result<Tensor, Failure> {
        let (batch, alpha) = (samples.of(rows)?, self.training.mixup);
        if alpha == 0.0 {
            wanted.of(rows).classify(values, 1.0);
            return wanted.of(rows).loss(values, &self.outputs(values, &batch)?);
        }
        let [a, b] = [draws.gamma(alpha), draws.gamma(alpha)];
        let share = a / (a + b);
        let mut others = rows.to_vec();
        draws.shuffle(&mut others);
        let mixed = batch.mix(&samples.of(&others)?, share, !self.training.as_released)?;
        wanted.of(rows).classify(values, share);
        wanted.of(&others).classify(values, 1.0 - share);
        let outputs = self.outputs(values, &mixed)?;
        let one = wanted.of(rows).loss(values, &outputs)?;
        let other = wanted.of(&others).loss(values, &outputs)?;
        values.add(&values.affine(&one, share, 0.0)?, &values.affine(&other, 1.0 - share, 0.0)?)
    }
}

/// So many rows at a time; a last one alone goes with those before it, because it has no variance to be normalised by.
pub(super) fn batches(order: &[usize], size: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = order.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
    if let Some(alone) = batches.pop_if(|last| last.len() == 1) {
        match batches.last_mut() {
            Some(before) => before.extend(alone),
            None => batches.push(alone),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sample_is_left_out_or_alone() {
        assert_eq!(batches(&[0, 1, 2, 3, 4], 2), [vec![0, 1], vec![2, 3, 4]]);
        assert_eq!(batches(&[0, 1, 2, 3], 3), [vec![0, 1, 2, 3]]);
        assert_eq!(batches(&[7], 3), [vec![7]]);
    }

    #[test]
    fn settings_that_cannot_be_followed_say_what_they_take() {
        let said = |training: Training| training.check().map_err(|error| error.to_string());
        assert_eq!(said(Training::default()), Ok(()));
        assert_eq!(said(Training { batch: 1, ..Training::default() }), Err("batch must be at least 2".into()));
        assert_eq!(said(Training { lr: f64::NAN, ..Training::default() }), Err("lr must be a positive number".into()));
        assert_eq!(said(Training { mixup: -1.0, ..Training::default() }), Err("mixup must be 0 or more".into()));
    }
}

//! How do networks of layers serve as learners? They learn in epochs, are calibrated on the validation samples, predict, and are
//! exported.

use candle_core::Tensor;
use ndarray::{Array2, Axis};

use super::loss::{Wanted, balanced};
use super::network::Network;
use super::parameters::{Parameters, Precision, Saved};
use super::training::{History, Lesson, Samples, Training};
use super::values::numbers;
use super::{Algebra, Failure, Graph, Values};
use crate::network::calibration::{self, softmax};
use crate::network::{Exported, ExportedFeatures, Fitted, Inside, Learner, NetworkError, Rows, Targets};
use crate::parallel;

/// The graph's input, batch × N × N.
pub const CONNECTIVITY: &str = "connectivity";
/// The graph's second input, batch × N × F, of networks whose features no graph computes.
pub const FEATURES: &str = "features";
/// The graph's output before calibration, batch × classes.
pub const LOGITS: &str = "logits";
/// The graph's output of classes, batch × classes.
pub const PROBABILITIES: &str = "probabilities";
/// The graph's output of a number, batch × 1.
pub const VALUE: &str = "value";
/// The graph's output of a model in a tangent space, N × N in double precision: the reference of that space.
pub const REFERENCE: &str = "reference";

/// A network of layers that learns as [`Training`] says.
#[derive(Clone, Debug)]
pub struct DeepLearner<N> {
    /// What tables call it.
    pub name: String,
    /// The network.
    pub network: N,
    /// How it learns.
    pub training: Training,
}

/// A network that has learned.
#[derive(Debug)]
pub struct Trained<N> {
    name: String,
    pub(super) network: N,
    pub(super) parameters: Parameters,
    pub(super) training: Training,
    pub(super) nodes: usize,
    pub(super) outputs: Outputs,
    /// What happened while learning.
    pub history: History,
}

/// What a network gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outputs {
    /// So many classes, and by how much their logits are divided.
    Classes(usize, f64),
    /// A number: what is learned is its distance from the mean in standard deviations.
    Number { mean: f64, deviation: f64 },
}

impl<N: Network> DeepLearner<N> {
    /// A learner that tables call as the network calls itself.
    pub fn new(network: N, training: Training) -> Self {
        Self { name: network.name(), network, training }
    }

    fn named(&self, error: &Failure) -> NetworkError {
        NetworkError::Model { model: self.name.clone(), problem: error.to_string() }
    }

    /// Learns, from drawn parameters or those of `begin`.
    ///
    /// # Errors
    /// Samples or settings that do not serve, and a loss that is not finite any more.
    pub fn learn(
        &self,
        train: Rows<'_>,
        validation: Option<Rows<'_>>,
        seed: u64,
        begin: Option<&Saved>,
    ) -> Result<Trained<N>, NetworkError> {
        self.learned(train, validation, seed, begin).map_err(|error| self.named(&error))
    }

    fn learned(
        &self,
        train: Rows<'_>,
        validation: Option<Rows<'_>>,
        seed: u64,
        begin: Option<&Saved>,
    ) -> Result<Trained<N>, Failure> {
        self.training.check()?;
        let nodes = train.networks.nodes();
        if nodes < 2 {
            return Err(Failure::Settings(format!("there is nothing between {nodes} regions (two are the least)")));
        }
        if train.rows.len() < 2 {
            return Err(Failure::Settings(format!("{} training samples are too few", train.rows.len())));
        }
        let parameters = Parameters::new(Precision::Single, seed);
        let (wanted, outputs) = self.wanted(train)?;
        let count = train.targets.outputs();
        let lesson =
            Lesson { network: &self.network, parameters: &parameters, training: &self.training, outputs: count, seed };
        let samples = samples(&self.network, &parameters, self.training.batch, train)?;
        let validation = validation.filter(|rows| !rows.rows.is_empty());
        let held = match validation {
            Some(rows) => {
                let samples = self::samples(&self.network, &parameters, self.training.batch, rows)?;
                Some((samples, as_wanted(rows, outputs, &wanted)))
            }
            None => None,
        };
        let held = held.as_ref().map(|(samples, wanted)| (samples, wanted));
        let history = lesson.learn((&samples, &wanted), held, begin)?;
        let outputs = match (outputs, held, validation.map(|rows| (rows, rows.targets))) {
            (Outputs::Classes(classes, _), Some((samples, _)), Some((rows, Targets::Classes { of, .. }))) => {
                let logits = numbers(&lesson.predict(samples)?)?;
                let of: Vec<usize> = rows.rows.iter().filter_map(|row| of.get(*row).copied()).collect();
                Outputs::Classes(classes, calibration::temperature(&logits, classes, &of))
            }
            (outputs, ..) => outputs,
        };
        let (name, network, training) = (self.name.clone(), self.network.clone(), self.training.clone());
        Ok(Trained { name, network, parameters, training, nodes, outputs, history })
    }

    /// What the training samples should give, and how it is to be read.
    fn wanted(&self, rows: Rows<'_>) -> Result<(Wanted, Outputs), Failure> {
        Ok(match rows.targets {
            Targets::Classes { names, of } => {
                let of: Vec<usize> = rows.rows.iter().filter_map(|row| of.get(*row).copied()).collect();
                if of.iter().all(|class| Some(class) == of.first()) {
                    return Err(Failure::Settings("all training samples are of one class".into()));
                }
                let weights = match self.training.class_weights {
                    true => balanced(&of, names.len()),
                    false => vec![1.0; names.len()],
                };
                (Wanted::Classes(of, weights), Outputs::Classes(names.len(), 1.0))
            }
            Targets::Values(values) => {
                let values: Vec<f64> = rows.rows.iter().filter_map(|row| values.get(*row).copied()).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
                if variance == 0.0 {
                    return Err(Failure::Settings("all training samples have the same value".into()));
                }
                let deviation = variance.sqrt();
                let values = values.iter().map(|v| (v - mean) / deviation).collect();
                (Wanted::Values(values), Outputs::Number { mean, deviation })
            }
        })
    }
}

/// What other samples should give, as the training samples have it.
fn as_wanted(rows: Rows<'_>, outputs: Outputs, like: &Wanted) -> Wanted {
    let scaled = |v: &f64| match outputs {
        Outputs::Number { mean, deviation } => (v - mean) / deviation,
        Outputs::Classes(..) => *v,
    };
    let all = match (rows.targets, like) {
        (Targets::Classes { of, .. }, Wanted::Classes(_, weights)) => Wanted::Classes(of.clone(), weights.clone()),
        (Targets::Values(values), _) => Wanted::Values(values.iter().map(scaled).collect()),
        (Targets::Classes { .. }, Wanted::Values(_)) => return like.clone(),
    };
    all.of(rows.rows)
}

/// Samples as the network takes them: their connectivity, and their node features, a few samples at a time.
pub(super) fn samples<N: Network>(
    network: &N,
    parameters: &Parameters,
    batch: usize,
    rows: Rows<'_>,
) -> Result<Samples, Failure> {
    let chosen = rows.networks.connectivity.select(Axis(0), rows.rows);
    let (count, nodes, _) = chosen.dim();
    let values: Vec<f64> = chosen.iter().copied().collect();
    let connectivity = parameters.tensor(&values, &[count, nodes, nodes])?;
    if let Some(native) = network.native() {
        let computed = parallel::map(count, |sample| native.compute(chosen.index_axis(Axis(0), sample)));
        let computed: Vec<Array2<f64>> = computed.into_iter().collect::<Result<_, _>>()?;
        let columns = computed.first().map_or(0, Array2::ncols);
        let values: Vec<f64> = computed.iter().flatten().copied().collect();
        return Ok(Samples { connectivity, features: parameters.tensor(&values, &[count, nodes, columns])? });
    }
    let a = Values::predict(parameters);
    let (mut parts, batch) = (Vec::new(), batch.max(1));
    for start in (0..count).step_by(batch) {
        let part = connectivity.narrow(0, start, batch.min(count - start))?;
        let features = network.features(&a, &part)?;
        if features.id() == part.id() {
            // The connection profile is the connectivity itself.
            return Ok(Samples { features: connectivity.clone(), connectivity });
        }
        parts.push(features);
    }
    Ok(Samples { connectivity, features: Tensor::cat(&parts, 0)? })
}

impl<N: Network> Learner for DeepLearner<N> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn stops(&self) -> bool {
        true
    }

    fn attends(&self) -> bool {
        self.network.attends()
    }

    fn fit(&self, train: Rows<'_>, validation: Option<Rows<'_>>, seed: u64) -> Result<Box<dyn Fitted>, NetworkError> {
        Ok(Box::new(self.learn(train, validation, seed, None)?))
    }
}

impl<N: Network> Trained<N> {
    /// What calibration divides logits by; 1 of what is not calibrated.
    pub fn temperature(&self) -> f64 {
        match self.outputs {
            Outputs::Classes(_, temperature) => temperature,
            Outputs::Number { .. } => 1.0,
        }
    }

    /// All that was learned.
    ///
    /// # Errors
    /// None but the machine's.
    pub fn saved(&self) -> Result<Saved, NetworkError> {
        self.parameters.save().map_err(|error| self.named(&error))
    }

    pub(super) fn named(&self, error: &Failure) -> NetworkError {
        NetworkError::Model { model: self.name.clone(), problem: error.to_string() }
    }

    /// What the network gives before calibration, rows × outputs.
    ///
    /// # Errors
    /// Networks of other regions.
    pub fn logits(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        self.raw(rows).map_err(|error| self.named(&error))
    }

    /// How many numbers the network gives of a sample.
    pub(super) fn count(&self) -> usize {
        match self.outputs {
            Outputs::Classes(classes, _) => classes,
            Outputs::Number { .. } => 1,
        }
    }

    /// # Errors
    /// Networks of other regions.
    pub(super) fn same_regions(&self, theirs: usize) -> Result<(), Failure> {
        match theirs == self.nodes {
            true => Ok(()),
            false => Err(Failure::Settings(format!("learned of {} regions, got {theirs}", self.nodes))),
        }
    }

    fn raw(&self, rows: Rows<'_>) -> Result<Array2<f64>, Failure> {
        self.same_regions(rows.networks.nodes())?;
        let count = self.count();
        if rows.rows.is_empty() {
            return Ok(Array2::zeros((0, count)));
        }
        let samples = samples(&self.network, &self.parameters, self.training.batch, rows)?;
        let (network, parameters, training) = (&self.network, &self.parameters, &self.training);
        let lesson = Lesson { network, parameters, training, outputs: count, seed: 0 };
        let values = numbers(&lesson.predict(&samples)?)?;
        let fail = |_| Failure::Settings("the network gives other outputs than were asked for".into());
        Array2::from_shape_vec((rows.rows.len(), count), values).map_err(fail)
    }

    fn graph(&self) -> Result<Exported, Failure> {
        let graph = Graph::new(&self.parameters);
        let connectivity = graph.input(CONNECTIVITY, &[self.nodes, self.nodes]);
        let mut taken = None;
        let features = match self.network.native() {
            Some(native) => {
                let dims = native.compute(Array2::eye(self.nodes).view())?.ncols();
                taken = Some(ExportedFeatures { kind: native.kind(), dims });
                graph.input(FEATURES, &[self.nodes, dims])
            }
            None => self.network.features(&graph, &connectivity)?,
        };
        match self.outputs {
            Outputs::Classes(classes, temperature) => {
                let logits = self.network.logits(&graph, &connectivity, &features, classes)?;
                graph.output(LOGITS, &logits);
                let calibrated = graph.affine(&logits, 1.0 / temperature, 0.0)?;
                graph.output(PROBABILITIES, &graph.softmax(&calibrated)?);
            }
            Outputs::Number { mean, deviation } => {
                let scaled = self.network.logits(&graph, &connectivity, &features, 1)?;
                graph.output(VALUE, &graph.affine(&scaled, deviation, mean)?);
            }
        }
        let model = graph.model(&self.name);
        Ok(Exported { model, features: taken, temperature: self.temperature(), reference: None })
    }
}

impl<N: Network> Fitted for Trained<N> {
    fn predict(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        let mut raw = self.logits(rows)?;
        match self.outputs {
            Outputs::Classes(_, temperature) => {
                raw.rows_mut().into_iter().for_each(|mut row| {
                    let probabilities = softmax(&row.to_vec(), temperature);
                    row.iter_mut().zip(probabilities).for_each(|(value, p)| *value = p);
                });
            }
            Outputs::Number { mean, deviation } => raw.mapv_inplace(|v| v * deviation + mean),
        }
        Ok(raw)
    }

    fn inside(&self) -> Inside<'_> {
        Inside::Layers(self)
    }

    fn export(&self) -> Result<Option<Exported>, NetworkError> {
        self.graph().map(Some).map_err(|error| self.named(&error))
    }
}

//! What does one fold say? A model that has learned from its training people, its score on the others, and a value an edge.

use ndarray::{Array1, Array2, Axis};

use super::pairs::{averaged, gathered};
use super::{Baseline, MaskConfig, Method, attention, gradients, pattern};
use crate::network::baselines::Edges;
use crate::network::benchmark::{Learned, Model, Outcome, Plan};
use crate::network::division::Fold;
use crate::network::{NetworkError, Targets};
use crate::parallel;

/// One model that is to be explained on every fold of a plan.
pub struct Explaining<'a> {
    /// The networks, their targets and folds.
    pub plan: &'a Plan<'a>,
    /// The model.
    pub model: &'a Model,
    /// How.
    pub method: Method,
    /// What gradients begin at, and what a masked edge becomes.
    pub baseline: Baseline,
    /// Steps of integrated gradients.
    pub steps: usize,
    /// How a mask is learned.
    pub mask: MaskConfig,
    /// The edges.
    pub edges: &'a Edges,
}

/// What came of one fold.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// What the model predicted of the held-out people, or why it could not.
    pub outcome: Outcome,
    /// Of each output a value an edge; none where the model could not be explained.
    pub values: Vec<Array1<f64>>,
    /// Of integrated gradients the mean gradient of each edge as well.
    pub gradients: Option<Vec<Array1<f64>>>,
    /// What attributions miss of the outputs' changes, as a share.
    pub gap: Option<f64>,
    /// Why there are no values.
    pub skipped: Option<String>,
}

/// Values of each output, and what belongs to gradients.
type Found = (Vec<Array1<f64>>, Option<(Vec<Array1<f64>>, f64)>);

impl Explaining<'_> {
    /// Every fold, in order; `told` hears of each when it is there.
    pub fn run(&self, told: &(dyn Fn() + Sync)) -> Vec<Explained> {
        let folds = &self.plan.folds;
        parallel::map(folds.len(), |number| {
            let explained = folds.get(number).map(|fold| self.fold(number, fold));
            told();
            explained
        })
        .into_iter()
        .flatten()
        .collect()
    }

    /// What is explained: of two classes the second one, of more each, of a number nothing that has a name; one where the method
    /// knows no classes.
    pub fn outputs(&self) -> Vec<Option<String>> {
        match (self.plan.targets, self.method) {
            (_, Method::Attention | Method::Mask) | (Targets::Values(_), _) => vec![None],
            (Targets::Classes { names, .. }, _) => {
                names.iter().skip(usize::from(names.len() == 2)).cloned().map(Some).collect()
            }
        }
    }

    fn fold(&self, number: usize, fold: &Fold) -> Explained {
        let outcome = Outcome {
            model: self.model.name.clone(),
            fold: number,
            predicted: Vec::new(),
            chosen: None,
            skipped: None,
            seconds: 0.0,
        };
        let mut all = Explained { outcome, values: Vec::new(), gradients: None, gap: None, skipped: None };
        let learned = match self.plan.learned(self.model, fold) {
            Ok(learned) => learned,
            Err(error) => {
                all.skipped = Some(error.to_string());
                all.outcome.skipped = Some(error.to_string());
                return all;
            }
        };
        all.outcome.predicted = learned.predicted.rows().into_iter().map(|row| row.to_vec()).collect();
        match self.values(&learned, fold) {
            Ok((values, more)) => {
                all.values = values;
                (all.gradients, all.gap) = more.unzip();
            }
            Err(error) => all.skipped = Some(error.to_string()),
        }
        all.outcome.chosen = learned.chosen;
        all
    }

    fn values(&self, learned: &Learned, fold: &Fold) -> Result<Found, NetworkError> {
        let (name, edges, model) = (self.model.name.as_str(), self.edges, learned.fitted.inside());
        let (train, test) = (self.plan.rows(&fold.train), self.plan.rows(&fold.test));
        let (values, more) = match self.method {
            Method::Pattern => (pattern::patterns(name, model, edges, train)?, None),
            Method::Gradients => {
                let found = gradients::carried(name, model, test, self.begin(fold).view(), self.steps)?;
                let each = |of: &ndarray::Array3<f64>| of.outer_iter().map(|of| gathered(edges, of)).collect();
                (each(&found.slope), Some((each(&found.gradient), found.gap)))
            }
            Method::Attention => (vec![averaged(edges, attention::mean(name, model, test)?.view())], None),
            Method::Mask => {
                let crate::network::Inside::Layers(layers) = model else {
                    let problem = "has no layers to mask (choose --method pattern)".into();
                    return Err(NetworkError::Model { model: name.into(), problem });
                };
                let mask = layers.mask(train, self.begin(fold).view(), &self.mask, self.plan.seed)?;
                (vec![averaged(edges, mask.view())], None)
            }
        };
        if values.len() != self.outputs().len() {
            return Err(NetworkError::Folds("the training people lack a class (take fewer folds)".into()));
        }
        if values.iter().flatten().any(|value| !value.is_finite()) {
            let problem = "has values that are no numbers (learn more slowly, or penalise more)".into();
            return Err(NetworkError::Model { model: name.into(), problem });
        }
        Ok((values, more))
    }

    fn begin(&self, fold: &Fold) -> Array2<f64> {
        let connectivity = &self.plan.networks.connectivity;
        let nodes = self.plan.networks.nodes();
        let mut begin = Array2::zeros((nodes, nodes));
        if self.baseline == Baseline::Mean {
            for row in &fold.train {
                begin.scaled_add(1.0 / fold.train.len() as f64, &connectivity.index_axis(Axis(0), *row));
            }
        }
        begin
    }
}

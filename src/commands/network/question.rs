//! What is to be learned, and from whom? Networks with labels, and folds that keep people (and groups) apart.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use super::labels::{known, targets};
use crate::cli::QuestionArgs;
use crate::datasets::participants::{Known, Participants};
use crate::datasets::{networks, sha256};
use crate::frame::TANGENT;
use crate::network::benchmark::{Model, Plan};
use crate::network::division::{Fold, Scheme, Units, divide};
use crate::network::{Networks, Targets};

/// What is asked of which networks.
pub struct Question {
    /// The networks.
    pub networks: Networks,
    /// What is learned of each; of those without a label something that is never looked at.
    pub targets: Targets,
    /// Samples that have all they need, ascending.
    pub rows: Vec<usize>,
    /// Who is never divided.
    pub units: Units,
    /// How samples are divided.
    pub scheme: Scheme,
    /// The folds.
    pub folds: Vec<Fold>,
    /// SHA-256 of the networks' file.
    pub sha256: String,
    /// What the reader must know: samples that were left out.
    pub notes: Vec<String>,
}

impl Question {
    /// Reads it.
    ///
    /// # Errors
    /// Files that cannot be read; labels that do not serve; samples that cannot be divided so.
    pub fn read(args: &QuestionArgs) -> anyhow::Result<Self> {
        if !(0.0..1.0).contains(&args.validation) {
            bail!(
                "--validation {}: give a share of the training people from 0 to below 1, such as 0.2",
                args.validation
            );
        }
        let networks = networks::read(&args.networks)?;
        if networks.kind == TANGENT {
            bail!(
                "{}: networks of kind \"tangent\" are measured from the mean of everybody, held-out people too (build with \
                 another --kind, and give logistic-tangent or svm-tangent, which measure from each fold's training people)",
                args.networks.display()
            );
        }
        let labels = known(args.labels.as_deref(), &networks)?;
        let mut notes = Vec::new();
        left_out(&mut notes, &labels, "label");
        let targets = targets(args.task, &labels, networks.len())?;
        let (groups, mut rows) = (groups(args, &networks, &mut notes)?, labels.rows);
        if let Some(groups) = &groups {
            rows.retain(|row| groups.get(*row).is_some_and(|group| !group.is_empty()));
        }
        let scheme = scheme(&args.folds, groups.is_some())?;
        let units = Units::of(&networks.participants, groups.as_deref());
        let folds = divide(&rows, &units, &targets, scheme, args.seed)?;
        let sha256 = sha256(&args.networks).with_context(|| args.networks.display().to_string())?;
        Ok(Self { networks, targets, rows, units, scheme, folds, sha256, notes })
    }

    /// These models on these folds.
    pub fn plan<'a>(&'a self, args: &QuestionArgs, models: &'a [Model]) -> Plan<'a> {
        Plan {
            networks: &self.networks,
            targets: &self.targets,
            units: &self.units,
            folds: &self.folds,
            models,
            inner: args.inner_folds,
            held_back: args.validation,
            seed: args.seed,
        }
    }

    /// What is asked, in one line.
    pub fn title(&self, args: &QuestionArgs) -> String {
        let what = match &self.targets {
            Targets::Classes { names, .. } => names.join(" or "),
            Targets::Values(_) => args.labels.clone().unwrap_or_else(|| "labels".into()),
        };
        format!("{what} from {} networks of {} people", self.rows.len(), self.people())
    }

    /// How many people have samples.
    pub fn people(&self) -> usize {
        let of = self.rows.iter().filter_map(|row| self.networks.participants.get(*row));
        of.collect::<BTreeSet<_>>().len()
    }

    /// What made the numbers, by name.
    pub fn facts(&self, args: &QuestionArgs) -> Vec<(String, String)> {
        let fact = |name: &str, value: String| (name.to_owned(), value);
        vec![
            fact("neurod", env!("CARGO_PKG_VERSION").into()),
            fact("networks", format!("{}, {} regions", self.networks.kind, self.networks.nodes())),
            fact("folds", format!("{} ({} folds over {} units)", args.folds, self.folds.len(), self.units.count())),
            fact("inner folds", args.inner_folds.to_string()),
            fact("held back to stop a training", args.validation.to_string()),
            fact("seed", args.seed.to_string()),
            fact("sha256 of the networks", self.sha256.clone()),
        ]
    }

    /// What sample `row` is: its class, or its number.
    pub fn truth(&self, row: usize) -> String {
        match &self.targets {
            Targets::Classes { names, of } => {
                of.get(row).and_then(|class| names.get(*class)).cloned().unwrap_or_default()
            }
            Targets::Values(values) => values.get(row).map_or_else(String::new, f64::to_string),
        }
    }
}

fn left_out(notes: &mut Vec<String>, known: &Known, what: &str) {
    let samples = |count: usize| if count == 1 { "1 sample".to_owned() } else { format!("{count} samples") };
    if known.missing > 0 {
        notes.push(format!("Left out for want of a {what}: {}.", samples(known.missing)));
    }
    if known.unlisted > 0 {
        notes.push(format!(
            "Left out, since their people are not in the table of the {what}: {}.",
            samples(known.unlisted)
        ));
    }
}

/// Of each sample its group, empty where it is not known.
fn groups(args: &QuestionArgs, networks: &Networks, notes: &mut Vec<String>) -> anyhow::Result<Option<Vec<String>>> {
    let Some(group) = &args.group else { return Ok(None) };
    let file = args.labels.as_deref().and_then(|labels| labels.rsplit_once(':')).map(|(file, _)| file);
    let given = match (group.contains(':'), file) {
        (true, _) => group.clone(),
        (false, Some(file)) => format!("{file}:{group}"),
        (false, None) => bail!("--group {group}: of which table? (give --group participants.tsv:{group})"),
    };
    let known = Participants::labels(&given, &networks.participants)?;
    left_out(notes, &known, "group");
    let mut groups = vec![String::new(); networks.len()];
    for (row, value) in known.rows.iter().zip(known.values) {
        groups.get_mut(*row).into_iter().for_each(|group| *group = value.clone());
    }
    Ok(Some(groups))
}

fn scheme(folds: &str, grouped: bool) -> anyhow::Result<Scheme> {
    match (folds, grouped) {
        ("leave-one-person-out", false) | ("leave-one-group-out", true) => Ok(Scheme::Each),
        ("leave-one-person-out", true) => {
            bail!(
                "--folds leave-one-person-out: others of the group would teach (leave out --group, or leave-one-group-out)"
            )
        }
        ("leave-one-group-out", false) => bail!("--folds leave-one-group-out: which groups? (give --group site)"),
        (parts, _) => match parts.parse() {
            Ok(parts) => Ok(Scheme::Parts(parts)),
            Err(_) => bail!("--folds {parts}: give a number of parts, leave-one-person-out, or leave-one-group-out"),
        },
    }
}

//! Which edges and regions does a model read? Learns it fold by fold, explains each, and says what stands in all of them.

mod write;

use std::io::{self, Write};

use anyhow::{Context, bail};
use ndarray::{Array1, Array2};

use super::models::model;
use super::question::Question;
use crate::cli::{BaselineArg, ExplainArgs, MethodArg};
use crate::commands::encode::{command_line, progress};
use crate::datasets::scans::Regions;
use crate::network::Networks;
use crate::network::baselines::Edges;
use crate::network::benchmark::{Outcome, Plan, Summed, standings};
use crate::network::explain::{
    Baseline, Explained, Explaining, MaskConfig, Method, Output, Report, saliency, stability,
};
use crate::network::scores::Metric;

/// Explains it.
///
/// # Errors
/// What cannot be read, divided, made, explained, or written.
pub fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let model = [model("--model", &args.model, args.question.max_epochs)?];
    let [only] = &model;
    let method = match args.method {
        None => Method::usual(only)?,
        Some(MethodArg::Pattern) => Method::Pattern,
        Some(MethodArg::Gradients) => Method::Gradients,
        Some(MethodArg::Attention) => Method::Attention,
        Some(MethodArg::Mask) => Method::Mask,
    };
    method.suits(only)?;
    let question = Question::read(&args.question)?;
    only.suits(&question.networks, &question.targets)?;
    let coordinates = coordinates(args, &question.networks)?;
    let plan = question.plan(&args.question, &model);
    let edges = Edges::of(None, plan.rows(&question.rows));
    let baseline = match args.baseline {
        BaselineArg::Mean => Baseline::Mean,
        BaselineArg::Zero => Baseline::Zero,
    };
    let (steps, mask) = (args.steps as usize, MaskConfig::default());
    let explaining = Explaining { plan: &plan, model: only, method, baseline, steps, mask, edges: &edges };
    let bar = progress(question.folds.len(), "folds");
    let folds = explaining.run(&|| bar.inc(1));
    bar.finish_and_clear();

    let mut notes = question.notes.clone();
    notes.extend(
        folds.iter().filter_map(|of| Some(format!("Fold {} is left out: {}.", of.outcome.fold, of.skipped.as_ref()?))),
    );
    let values: Vec<&Explained> = folds.iter().filter(|of| of.skipped.is_none()).collect();
    if values.len() < 2 {
        let why = folds.iter().find_map(|of| of.skipped.as_deref()).unwrap_or("there is only one");
        bail!("{} of {} folds could be explained, and two are the least: {why}", values.len(), folds.len());
    }
    let top = args.top as usize;
    let outputs = explaining.outputs().into_iter().enumerate();
    let outputs = outputs.map(|(at, name)| output(&edges, &values, at, name, top)).collect();
    let gaps: Vec<f64> = values.iter().filter_map(|of| of.gap).collect();
    let score = score(&plan, &question, &folds).context("the model has no score")?;
    let report = Report {
        title: format!("What {} reads of {}", only.name, question.title(&args.question)),
        notes,
        command: command_line(),
        facts: facts(&question, args, &explaining),
        model: only.name.clone(),
        method,
        score,
        edges: &edges,
        regions: &question.networks.regions,
        coordinates: coordinates.as_ref().map(|places| places.view()),
        folds: values.len(),
        top,
        gap: gaps.iter().copied().reduce(f64::max),
        outputs,
    };
    let summary = write::write(args, &question, &explaining, &folds, &report)?;
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;
        return Ok(());
    }
    let said = [report.warnings(), report.sentences(), report.notes.clone()].concat();
    said.iter().try_for_each(|words| writeln!(out, "{words}"))?;
    writeln!(out, "\n{} (explain.html, edges.tsv, nodes.tsv, summary.json, figures)", args.out.display())?;
    Ok(())
}

/// One output over the folds that have values.
fn output(edges: &Edges, folds: &[&Explained], at: usize, name: Option<String>, top: usize) -> Output {
    let values: Vec<&Array1<f64>> = folds.iter().filter_map(|of| of.values.get(at)).collect();
    let regions: Vec<Vec<f64>> = values.iter().map(|of| saliency(edges, of.iter().copied())).collect();
    let region = |region: usize| {
        let of: Vec<f64> = regions.iter().filter_map(|fold| fold.get(region).copied()).collect();
        let mean = of.iter().sum::<f64>() / of.len() as f64;
        let squares: f64 = of.iter().map(|value| (value - mean).powi(2)).sum();
        [mean, (squares / (of.len() as f64 - 1.0)).sqrt()]
    };
    let gradients: Option<Vec<&Array1<f64>>> = folds.iter().map(|of| of.gradients.as_ref()?.get(at)).collect();
    let gradient = gradients.map(|all| {
        let mut mean = Array1::zeros(all.first().map_or(0, |of| of.len()));
        all.iter().for_each(|of| mean.scaled_add(1.0 / all.len() as f64, of));
        mean.to_vec()
    });
    Output {
        name,
        stability: stability::stability(&values, top),
        regions: (0..edges.nodes()).map(region).collect(),
        gradient,
    }
}

/// How the model predicts people that it has not seen, by what models are ranked by.
fn score(plan: &Plan<'_>, question: &Question, folds: &[Explained]) -> Option<Summed> {
    let outcomes: Vec<Outcome> = folds.iter().map(|of| of.outcome.clone()).collect();
    let standing = standings(plan, question.scheme, &[outcomes]).into_iter().next()?;
    let deciding = Metric::deciding(plan.targets);
    standing.scores.into_iter().find(|summed| summed.metric == deciding)
}

/// Where the networks' regions lie, N × 3: of a table, by their names, or as the networks say.
fn coordinates(args: &ExplainArgs, networks: &Networks) -> anyhow::Result<Option<Array2<f64>>> {
    let Some(path) = &args.coordinates else { return Ok(networks.coordinates.clone()) };
    let given = format!("--coordinates {}", path.display());
    let listed = Regions::read(path).with_context(|| given.clone())?;
    let Some(places) = listed.coordinates else {
        bail!("{given}: the columns x, y and z must hold a number (mm) for every region");
    };
    let mut found = Array2::zeros((networks.nodes(), 3));
    for (region, mut into) in networks.regions.iter().zip(found.rows_mut()) {
        let Some(at) = listed.names.iter().position(|name| name == region) else {
            bail!("{given}: no row for region \"{region}\" (one for each of the {} regions)", networks.nodes());
        };
        into.assign(&places.row(at));
    }
    Ok(Some(found))
}

fn facts(question: &Question, args: &ExplainArgs, explaining: &Explaining<'_>) -> Vec<(String, String)> {
    let mut all = question.facts(&args.question);
    let mut fact = |name: &str, value: String| all.push((name.to_owned(), value));
    fact("model", explaining.model.identity.clone());
    fact("method", explaining.method.as_str().into());
    match explaining.method {
        Method::Gradients => {
            fact("baseline", explaining.baseline.as_str().into());
            fact("steps", explaining.steps.to_string());
        }
        Method::Mask => {
            fact("baseline", explaining.baseline.as_str().into());
            fact("mask", format!("{:?}", explaining.mask));
        }
        Method::Pattern | Method::Attention => {}
    }
    all
}

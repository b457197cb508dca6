//! What is written? The same numbers as tables, as a page and as JSON, none of which holds a time.

use serde_json::{Value, json};

use crate::cli::{BenchmarkArgs, Task};
use crate::commands::encode::{Staged, command_line};
use crate::commands::network::cell;
use crate::commands::network::question::Question;
use crate::network::Targets;
use crate::network::benchmark::{Outcome, Plan, Report, Standing, Summed};
use crate::network::division::Scheme;
use crate::network::scores::{Metric, most_probable};

/// What is printed.
pub struct Written {
    /// Of the table.
    pub header: Vec<&'static str>,
    /// A row a model.
    pub rows: Vec<Vec<String>>,
    /// What it comes to.
    pub words: Vec<String>,
    /// All of it.
    pub summary: Value,
}

/// Writes everything into DIR, together.
///
/// # Errors
/// What the system refused.
pub fn write(
    args: &BenchmarkArgs,
    question: &Question,
    plan: &Plan<'_>,
    outcomes: &[Vec<Outcome>],
    standings: &[Standing],
) -> anyhow::Result<Written> {
    let deciding = Metric::deciding(plan.targets);
    let mut notes = question.notes.clone();
    notes.extend(skipped(standings));
    let report = Report {
        title: question.title(&args.question),
        notes: notes.clone(),
        command: command_line(),
        facts: question.facts(&args.question),
        scheme: question.scheme,
        deciding,
        standings,
    };
    let summary = summary(args, question, plan, &report);
    let mut files = Staged::new(&args.out)?;
    files.text("results.tsv", results(plan, standings))?;
    files.text("predictions.tsv", predictions(question, plan, outcomes))?;
    files.text("leaderboard.tsv", leaderboard(deciding, standings))?;
    files.text("folds.tsv", folds(question))?;
    files.text("timing.tsv", timing(outcomes))?;
    files.text("summary.json", serde_json::to_string_pretty(&summary)? + "\n")?;
    files.text("table.html", report.html())?;
    for figure in report.figures() {
        files.text(&format!("figures/{}.svg", figure.name), figure.svg())?;
    }
    files.finish()?;
    let header: Vec<&'static str> = ["model"]
        .into_iter()
        .chain(Metric::of(plan.targets).iter().map(|metric| metric.as_str()))
        .chain(["95 %"])
        .collect();
    let rows = ranked(deciding, standings).into_iter().map(|of| printed(question.scheme, deciding, of)).collect();
    let words = [report.sentences(), notes].concat();
    Ok(Written { header, rows, words, summary })
}

fn skipped(standings: &[Standing]) -> Vec<String> {
    let of = |standing: &Standing| {
        let skipped: Vec<&String> = standing.folds.iter().filter_map(|fold| fold.skipped.as_ref()).collect();
        let why = skipped.first()?;
        Some(format!(
            "{} has no predictions in {} of {} folds: {why}.",
            standing.model,
            skipped.len(),
            standing.folds.len()
        ))
    };
    let undefined = standings.first().map_or(0, |of| {
        of.folds.iter().filter(|fold| fold.skipped.is_none() && fold.scores.iter().any(|score| score.is_nan())).count()
    });
    let one = (undefined > 0).then(|| {
        let folds = if undefined == 1 { "1 fold".to_owned() } else { format!("{undefined} folds") };
        format!(
            "In {folds} a score is undefined (one class, or numbers that do not vary): n/a there, and not in the means."
        )
    });
    standings.iter().filter_map(of).chain(one).collect()
}

fn summary(args: &BenchmarkArgs, question: &Question, plan: &Plan<'_>, report: &Report<'_>) -> Value {
    let models: Vec<Value> = report
        .standings
        .iter()
        .zip(plan.models)
        .map(|(of, model)| {
            json!({
                "model": of.model, "is": model.entry.name, "group": of.group,
                "family": format!("{:?}", of.family).to_lowercase(), "settings": model.identity, "scores": of.scores,
                "ranked": of.ranked, "best": of.best, "behind": of.behind,
                "skipped_folds": of.folds.iter().filter(|fold| fold.skipped.is_some()).count(),
            })
        })
        .collect();
    let classes = match plan.targets {
        Targets::Classes { names, .. } => json!(names),
        Targets::Values(_) => Value::Null,
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"), "command": report.command,
        "task": if args.question.task == Task::Classes { "classes" } else { "values" }, "classes": classes,
        "networks_sha256": question.sha256, "kind": question.networks.kind, "regions": question.networks.nodes(),
        "samples": question.rows.len(), "samples_left_out": question.networks.len() - question.rows.len(),
        "participants": question.people(), "units": question.units.count(), "folds": args.question.folds,
        "fold_sizes": plan.folds.iter().map(|fold| fold.test.len()).collect::<Vec<_>>(),
        "inner_folds": plan.inner, "validation": plan.held_back, "max_epochs": args.question.max_epochs, "seed": plan.seed,
        "ranked_by": report.deciding.as_str(), "conclusions": report.sentences(), "notes": report.notes, "models": models,
    })
}

fn results(plan: &Plan<'_>, standings: &[Standing]) -> String {
    let metrics: Vec<&str> = Metric::of(plan.targets).iter().map(|metric| metric.as_str()).collect();
    let mut text = format!("model\tfold\tn\t{}\tchosen\tskipped\n", metrics.join("\t"));
    for (of, fold) in standings.iter().flat_map(|of| of.folds.iter().map(move |fold| (of, fold))) {
        let scores: Vec<String> = fold.scores.iter().map(|score| cell(*score)).collect();
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "n/a".into());
        let (chosen, skipped) = (word(&fold.chosen), word(&fold.skipped));
        text += &format!("{}\t{}\t{}\t{}\t{chosen}\t{skipped}\n", of.model, fold.fold, fold.samples, scores.join("\t"));
    }
    text
}

fn predictions(question: &Question, plan: &Plan<'_>, outcomes: &[Vec<Outcome>]) -> String {
    let names: &[String] = match plan.targets {
        Targets::Classes { names, .. } => names,
        Targets::Values(_) => &[],
    };
    let mut text = String::from("sample\tparticipant\tfold\tmodel\ttruth\tpredicted");
    names.iter().for_each(|name| text += &format!("\tp_{name}"));
    text.push('\n');
    let of = |names: &'_ [String], row: usize| names.get(row).cloned().unwrap_or_default();
    for outcome in outcomes.iter().flatten() {
        let test = plan.folds.get(outcome.fold).map_or(&[][..], |fold| fold.test.as_slice());
        let classes = outcome.predictions().map_or(Vec::new(), |predicted| most_probable(predicted.view()));
        for ((row, values), class) in test.iter().zip(&outcome.predicted).zip(classes) {
            let values: Vec<String> = values.iter().map(|value| cell(*value)).collect();
            let predicted = match names.get(class) {
                Some(name) => format!("{name}\t{}", values.join("\t")),
                None => values.join("\t"),
            };
            let (sample, participant) =
                (of(&question.networks.samples, *row), of(&question.networks.participants, *row));
            let (fold, model, truth) = (outcome.fold, &outcome.model, question.truth(*row));
            text += &format!("{sample}\t{participant}\t{fold}\t{model}\t{truth}\t{predicted}\n");
        }
    }
    text
}

/// The best first.
fn ranked(deciding: Metric, standings: &[Standing]) -> Vec<&Standing> {
    let mut all: Vec<&Standing> = standings.iter().collect();
    let gain = |of: &Standing| if of.ranked.is_finite() { deciding.gain(of.ranked) } else { f64::NEG_INFINITY };
    all.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
    all
}

fn leaderboard(deciding: Metric, standings: &[Standing]) -> String {
    let mut text = String::from("rank\tmodel\tgroup\tfolds");
    let metrics = standings.first().map_or(&[][..], |of| of.scores.as_slice());
    for metric in metrics.iter().map(|summed| summed.metric.as_str()) {
        text += &format!("\t{metric}\t{metric}_sd\t{metric}_pooled\t{metric}_ci_low\t{metric}_ci_high");
    }
    text += "\tbehind\tbehind_ci_low\tbehind_ci_high\n";
    for (place, of) in ranked(deciding, standings).into_iter().enumerate() {
        let folds = of.folds.iter().filter(|fold| fold.skipped.is_none()).count();
        let mut cells = vec![(place + 1).to_string(), of.model.clone(), of.group.to_owned(), folds.to_string()];
        for summed in &of.scores {
            let [low, high] = summed.interval.map_or([f64::NAN; 2], |interval| [interval.low, interval.high]);
            cells.extend([summed.mean, summed.sd, summed.pooled, low, high].map(cell));
        }
        let [low, high] = of
            .behind
            .and_then(|behind| behind.interval)
            .map_or([f64::NAN; 2], |interval| [interval.low, interval.high]);
        cells.extend([of.behind.map_or(f64::NAN, |behind| behind.difference), low, high].map(cell));
        text += &(cells.join("\t") + "\n");
    }
    text
}

fn folds(question: &Question) -> String {
    let mut text = String::from("row\tsample\tparticipant\tfold\ttruth\n");
    let of = |names: &'_ [String], row: usize| names.get(row).cloned().unwrap_or_default();
    for row in &question.rows {
        let fold = question.folds.iter().position(|fold| fold.test.contains(row)).unwrap_or_default();
        let (sample, participant) = (of(&question.networks.samples, *row), of(&question.networks.participants, *row));
        text += &format!("{row}\t{sample}\t{participant}\t{fold}\t{}\n", question.truth(*row));
    }
    text
}

fn timing(outcomes: &[Vec<Outcome>]) -> String {
    let line = |of: &Outcome| format!("{}\t{}\t{:.3}\n", of.model, of.fold, of.seconds);
    String::from("model\tfold\tseconds\n") + &outcomes.iter().flatten().map(line).collect::<String>()
}

fn printed(scheme: Scheme, deciding: Metric, of: &Standing) -> Vec<String> {
    let score = |summed: &Summed| match scheme {
        Scheme::Each if summed.pooled.is_finite() => format!("{:.3}", summed.pooled),
        Scheme::Parts(_) if summed.mean.is_finite() => format!("{:.3} ± {:.3}", summed.mean, summed.sd),
        _ => "n/a".to_owned(),
    };
    let interval = of.scores.iter().find(|summed| summed.metric == deciding).and_then(|summed| summed.interval);
    let interval =
        interval.map_or_else(|| "–".into(), |interval| format!("{:.3} to {:.3}", interval.low, interval.high));
    let scores = of.scores.iter().map(score);
    [of.model.clone()].into_iter().chain(scores).chain([interval]).collect()
}

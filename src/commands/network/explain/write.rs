//! What is written? Edges and regions as tables, all of it as JSON and as a page, none of which holds a time.

use serde_json::{Value, json};

use crate::cli::ExplainArgs;
use crate::commands::encode::Staged;
use crate::commands::network::cell;
use crate::commands::network::question::Question;
use crate::network::explain::{Explained, Explaining, Method, Report};

/// Writes everything into DIR, together, and gives the summary.
///
/// # Errors
/// What the system refused.
pub fn write(
    args: &ExplainArgs,
    question: &Question,
    explaining: &Explaining<'_>,
    folds: &[Explained],
    report: &Report<'_>,
) -> anyhow::Result<Value> {
    let summary = summary(question, explaining, folds, report);
    let mut files = Staged::new(&args.out)?;
    files.text("edges.tsv", edges(report))?;
    files.text("nodes.tsv", nodes(report))?;
    files.text("summary.json", serde_json::to_string_pretty(&summary)? + "\n")?;
    files.text("explain.html", report.html())?;
    for (name, figure) in report.figures() {
        files.text(&format!("figures/{name}.svg"), figure.svg())?;
    }
    let numbers = || std::iter::once(String::new()).chain((1..=50).map(|number| format!("-{number}")));
    files.replaces(
        ["matrix", "chord", "brain"]
            .iter()
            .flat_map(|name| numbers().map(move |number| format!("figures/{name}{number}.svg"))),
    );
    files.finish()?;
    Ok(summary)
}

fn edges(report: &Report<'_>) -> String {
    let mut text = String::from("class\trank\tregion_a\tregion_b\tvalue\tsd\tsame_sign\tfolds_in_top\tgradient\n");
    let places = report.edges.places();
    let name = |region: usize| report.regions.get(region).map_or("", String::as_str);
    for output in &report.outputs {
        let class = output.name.as_deref().unwrap_or("n/a");
        for (at, of) in output.stability.ranked.iter().enumerate() {
            let Some((to, from)) = places.get(of.edge).copied() else { continue };
            let gradient = output.gradient.as_ref().and_then(|all| all.get(of.edge)).copied().unwrap_or(f64::NAN);
            let [mean, sd, sign, gradient] = [of.mean, of.sd, of.sign, gradient].map(cell);
            let (rank, from, to, folds) = (at + 1, name(from), name(to), of.folds);
            text += &format!("{class}\t{rank}\t{from}\t{to}\t{mean}\t{sd}\t{sign}\t{folds}\t{gradient}\n");
        }
    }
    text
}

fn nodes(report: &Report<'_>) -> String {
    let mut text = String::from("class\trank\tregion\tvalue\tsd\n");
    for output in &report.outputs {
        let class = output.name.as_deref().unwrap_or("n/a");
        for (at, region) in output.ranked_regions().into_iter().enumerate() {
            let (Some(name), Some(of)) = (report.regions.get(region), output.regions.get(region)) else { continue };
            let [mean, sd] = of.map(cell);
            text += &format!("{class}\t{}\t{name}\t{mean}\t{sd}\n", at + 1);
        }
    }
    text
}

fn summary(question: &Question, explaining: &Explaining<'_>, folds: &[Explained], report: &Report<'_>) -> Value {
    let outputs: Vec<Value> = report
        .outputs
        .iter()
        .map(|output| {
            let always = output.stability.ranked.iter().filter(|of| of.folds == report.folds).count();
            json!({ "class": output.name, "overlap": output.stability.overlap, "first_in_all_folds": always })
        })
        .collect();
    let each: Vec<Value> = folds
        .iter()
        .map(|of| json!({ "fold": of.outcome.fold, "chosen": of.outcome.chosen, "skipped": of.skipped, "gap": of.gap }))
        .collect();
    let plan = explaining.plan;
    let path = matches!(explaining.method, Method::Gradients | Method::Mask);
    json!({
        "version": env!("CARGO_PKG_VERSION"), "command": report.command, "networks_sha256": question.sha256,
        "kind": question.networks.kind, "regions": question.networks.nodes(), "edges": report.edges.places().len(),
        "directed": report.edges.directed(), "samples": question.rows.len(), "participants": question.people(),
        "model": report.model, "settings": explaining.model.identity, "method": explaining.method,
        "baseline": path.then_some(explaining.baseline),
        "steps": (explaining.method == Method::Gradients).then_some(explaining.steps),
        "mask": (explaining.method == Method::Mask).then_some(explaining.mask), "top": report.top, "seed": plan.seed,
        "inner_folds": plan.inner, "validation": plan.held_back, "score": report.score, "completeness_gap": report.gap,
        "outputs": outputs, "folds": each, "warnings": report.warnings(), "conclusions": report.sentences(),
        "notes": report.notes,
    })
}

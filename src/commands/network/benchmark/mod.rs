//! Which model reads most from these networks? Reads them and their labels, runs every model on every fold, writes what came out.

mod kept;
mod write;

use std::io::{self, Write};

use anyhow::Context;

use self::kept::Kept;
use super::models::model;
use super::question::Question;
use crate::cli::BenchmarkArgs;
use crate::commands::encode::progress;
use crate::commands::table;
use crate::network::NetworkError;
use crate::network::benchmark::{Model, all, run as run_all, standings};

/// Runs it.
///
/// # Errors
/// What cannot be read, divided, made, or written.
pub fn run(args: &BenchmarkArgs) -> anyhow::Result<()> {
    let question = Question::read(&args.question)?;
    let models = models(args, &question)?;
    let plan = question.plan(&args.question, &models);
    let kept = Kept::new(&args.out, &plan, &question)?;
    let bar = progress(models.len() * question.folds.len(), "model and fold");
    let outcomes = run_all(&plan, &kept, &|_| bar.inc(1)).with_context(|| format!("--out {}", args.out.display()))?;
    bar.finish_and_clear();
    let standings = standings(&plan, question.scheme, &outcomes);
    let written = write::write(args, &question, &plan, &outcomes, &standings)?;
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&written.summary)?)?;
        return Ok(());
    }
    write!(out, "{}", table::rows(&written.header, &written.rows))?;
    writeln!(out)?;
    written.words.iter().try_for_each(|words| writeln!(out, "{words}"))?;
    writeln!(out, "\n{} (table.html, leaderboard.tsv, results.tsv, predictions.tsv, figures)", args.out.display())?;
    Ok(())
}

/// The models that were asked for, what does not look at the networks first.
fn models(args: &BenchmarkArgs, question: &Question) -> anyhow::Result<Vec<Model>> {
    let (networks, targets) = (&question.networks, &question.targets);
    let mut models = Vec::new();
    for asked in &args.models {
        if asked == "all" {
            models.extend(all(networks, targets, args.question.max_epochs)?);
            continue;
        }
        let model = model("--models", asked, args.question.max_epochs)?;
        model.suits(networks, targets)?;
        models.push(model);
    }
    let without = Model::no_look(targets)?;
    if !models.iter().any(|model| model.entry.name == without.entry.name) {
        models.insert(0, without);
    }
    let mut names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find_map(|pair| pair.first().filter(|name| pair.last() == Some(name))) {
        let problem = "is asked for twice (give one of them another `name`)".into();
        return Err(NetworkError::Model { model: (*twice).into(), problem }.into());
    }
    Ok(models)
}

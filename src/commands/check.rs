//! What would this configuration do? Names resolved, shapes followed from stage to stage, nothing opened but files.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::table;
use crate::app::{AppError, Settings, wiring};
use crate::cli::CheckArgs;
use crate::frame::BlockSpec;
use crate::runtime::Feed;

/// Prints what the configuration resolves to.
///
/// # Errors
/// What is wrong with it.
pub fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let (settings, base) = wiring::load(&args.config.config)?;
    let plan = settings.plan()?;
    let mut sources = Vec::new();
    for (name, source) in &settings.sources {
        let failed = |error| AppError::Source { name: name.clone(), error };
        let shapes = match source.shape(&base).map_err(failed)? {
            Some(shape) => source.chain(name, &shape)?.shapes().map(|(stage, spec)| (stage, spec.clone())).collect(),
            None => Vec::new(),
        };
        sources.push((name.clone(), shapes));
    }
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", as_json(&settings, &sources))?;
        return Ok(());
    }
    writeln!(out, "{}", toml::to_string(&settings)?)?;
    for (name, shapes) in &sources {
        writeln!(out, "# source \"{name}\"")?;
        if shapes.is_empty() {
            writeln!(out, "#   known when it is connected (set channels and rate to have it checked now)")?;
            continue;
        }
        let rows: Vec<Vec<String>> = shapes.iter().map(|(stage, spec)| row(stage, spec)).collect();
        for line in table::rows(&["after", "channels", "rate", "block", "unit", "the first"], &rows).lines() {
            writeln!(out, "#   {line}")?;
        }
    }
    for predictor in &plan.predictors {
        let input = |feed: &Feed| match feed {
            Feed::Encoder(i) => plan.encoders[*i].0.clone(),
            Feed::Source(i) => plan.sources[*i].clone(),
        };
        let inputs: Vec<String> = predictor.inputs.iter().map(input).collect();
        let target = predictor.target.map_or("its checkpoint", |t| plan.sources[t].as_str());
        writeln!(out, "# predictor \"{}\": {} → {target}", predictor.name, inputs.join(" + "))?;
    }
    writeln!(out, "# the configuration is good")?;
    Ok(())
}

fn row(stage: &str, spec: &BlockSpec) -> Vec<String> {
    let channel = spec.channels.first();
    vec![
        stage.to_owned(),
        spec.channels.len().to_string(),
        if spec.rate > 0.0 { format!("{:.4} Hz", spec.rate) } else { "irregular".into() },
        spec.capacity.to_string(),
        channel.map_or("", |c| c.unit.as_str()).to_owned(),
        channel.map_or(String::new(), |c| c.name.clone()),
    ]
}

fn as_json(settings: &Settings, sources: &[(String, Vec<(&'static str, BlockSpec)>)]) -> Value {
    let shapes = |shapes: &[(&str, BlockSpec)]| -> Vec<Value> {
        let shape = |(stage, spec): &(&str, BlockSpec)| {
            let names: Vec<&str> = spec.channels.iter().map(|c| c.name.as_str()).collect();
            json!({ "after": stage, "channels": names, "rate": spec.rate, "block": spec.capacity })
        };
        shapes.iter().map(shape).collect()
    };
    let sources: serde_json::Map<String, Value> =
        sources.iter().map(|(name, s)| (name.clone(), shapes(s).into())).collect();
    json!({ "settings": settings, "sources": sources })
}

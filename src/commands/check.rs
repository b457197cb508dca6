//! What would this configuration do? Names resolved, shapes followed from stage to stage, nothing opened but files.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::table;
use crate::app::{AppError, Settings, wiring};
use crate::cli::CheckArgs;
use crate::frame::BlockSpec;
use crate::ridge::LagsConfig;
use crate::runtime::{EncoderFeed, Feed, NetworkFeed, Plan, PredictorConfig, PredictorPlan, VolumeTime};

/// What a configuration resolves to: what `--json` prints.
#[derive(Serialize)]
struct Checked<'a> {
    /// Every key, defaults included.
    settings: &'a Settings,
    /// The shape after every stage; empty where it is known only once the source is connected.
    sources: BTreeMap<&'a str, Vec<Shape>>,
    /// What each encoder listens to.
    encoders: BTreeMap<&'a str, Listens<'a>>,
    /// What each network is made from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<&'a str, &'a str>,
    /// What each predictor is made from.
    predictors: BTreeMap<&'a str, Predicts<'a>>,
}

/// A stream after one stage.
#[derive(Serialize)]
struct Shape {
    after: &'static str,
    channels: Vec<String>,
    /// Hz; 0 where samples come as they come.
    rate: f64,
    /// The most samples in a block.
    block: usize,
    /// The unit of the first channel.
    unit: &'static str,
}

/// The event source, or the source whose windows it sees.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Listens<'a> {
    Events(&'a str),
    Windows(&'a str),
}

#[derive(Serialize)]
struct Predicts<'a> {
    /// Encoders and sources, in the order of its row.
    inputs: Vec<&'a str>,
    /// The source it learns from; null where its weights come from a model or a checkpoint.
    targets: Option<&'a str>,
    lags: &'a LagsConfig,
    volume_time: VolumeTime,
    learn: bool,
}

/// Prints what the configuration resolves to.
///
/// # Errors
/// What is wrong with it.
pub fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let (settings, base) = wiring::load(&args.config.config)?;
    let plan = settings.plan()?;
    let (settings, _) = settings.with_models()?;
    let mut sources = BTreeMap::new();
    for (name, source) in &settings.sources {
        let failed = |error| AppError::Source { name: name.clone(), error };
        let shapes = match source.shape(&base).map_err(failed)? {
            Some(shape) => source.chain(name, &shape)?.shapes().map(Shape::new).collect(),
            None => Vec::new(),
        };
        sources.insert(name.as_str(), shapes);
    }
    let encoders = plan.encoders.iter().map(|(name, feed)| (name.as_str(), Listens::new(&plan, *feed))).collect();
    let predictors = plan.predictors.iter().zip(settings.predictors.values());
    let predictors = predictors.map(|(p, config)| (p.name.as_str(), Predicts::new(&plan, p, config))).collect();
    let of = |feed: NetworkFeed| match feed {
        NetworkFeed::Source(i) => plan.sources[i].as_str(),
        NetworkFeed::Predictor(i) => plan.predictors[i].name.as_str(),
    };
    let networks = plan.networks.iter().map(|(name, feed)| (name.as_str(), of(*feed))).collect();
    let checked = Checked { settings: &settings, sources, encoders, networks, predictors };
    match args.json {
        true => writeln!(io::stdout(), "{}", serde_json::to_string(&checked)?)?,
        false => checked.print(&mut io::stdout())?,
    }
    Ok(())
}

impl Shape {
    fn new((after, spec): (&'static str, &BlockSpec)) -> Self {
        Self {
            after,
            channels: spec.channels.iter().map(|c| c.name.clone()).collect(),
            rate: spec.rate,
            block: spec.capacity,
            unit: spec.channels.first().map_or("", |c| c.unit.as_str()),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.after.to_owned(),
            self.channels.len().to_string(),
            if self.rate > 0.0 { format!("{:.4} Hz", self.rate) } else { "irregular".into() },
            self.block.to_string(),
            self.unit.to_owned(),
            self.channels.first().cloned().unwrap_or_default(),
        ]
    }
}

impl<'a> Listens<'a> {
    fn new(plan: &'a Plan, feed: EncoderFeed) -> Self {
        match feed {
            EncoderFeed::Events(i) => Listens::Events(&plan.events[i]),
            EncoderFeed::Windows(i) => Listens::Windows(&plan.sources[i]),
        }
    }
}

impl<'a> Predicts<'a> {
    fn new(plan: &'a Plan, predictor: &PredictorPlan, config: &'a PredictorConfig) -> Self {
        let input = |feed: &Feed| match feed {
            Feed::Encoder(i) => plan.encoders[*i].0.as_str(),
            Feed::Source(i) => plan.sources[*i].as_str(),
        };
        Self {
            inputs: predictor.inputs.iter().map(input).collect(),
            targets: predictor.target.map(|i| plan.sources[i].as_str()),
            lags: &config.lags,
            volume_time: config.volume_time,
            learn: config.learn,
        }
    }
}

impl Checked<'_> {
    /// For people: the settings as TOML, the rest as comments below.
    fn print(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(out, "{}", toml::to_string(self.settings)?)?;
        for (name, shapes) in &self.sources {
            writeln!(out, "# source \"{name}\"")?;
            if shapes.is_empty() {
                writeln!(out, "#   known when it is connected (set channels and rate to have it checked now)")?;
                continue;
            }
            let rows: Vec<Vec<String>> = shapes.iter().map(Shape::row).collect();
            for line in table::rows(&["after", "channels", "rate", "block", "unit", "the first"], &rows).lines() {
                writeln!(out, "#   {line}")?;
            }
        }
        for (name, listens) in &self.encoders {
            match listens {
                Listens::Events(events) => writeln!(out, "# encoder \"{name}\": events \"{events}\"")?,
                Listens::Windows(source) => writeln!(out, "# encoder \"{name}\": windows of source \"{source}\"")?,
            }
        }
        for (name, Predicts { inputs, targets, .. }) in &self.predictors {
            let targets = targets.unwrap_or("the regions of its model or checkpoint");
            writeln!(out, "# predictor \"{name}\": {} → {targets}", inputs.join(" + "))?;
        }
        for (name, nodes) in &self.networks {
            let Some(config) = self.settings.networks.get(*name) else { continue };
            let answers = config.model.as_ref().map(|folder| format!(" → {}", folder.display())).unwrap_or_default();
            let z = if config.fisher_z { "Fisher's z of " } else { "" };
            let (edges, of) = (config.kind.as_str(), if config.source.is_some() { "source" } else { "predictor" });
            writeln!(out, "# network \"{name}\": {z}{edges} over {} s of {of} \"{nodes}\"{answers}", config.window)?;
        }
        writeln!(out, "# the configuration is good")?;
        Ok(())
    }
}

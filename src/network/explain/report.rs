//! What came out? One page: whether the model knows anything first, then what it reads, the figures, and how it was made.

use ndarray::ArrayView2;

use super::shades::Shown;
use super::{Method, Stability, brain, chord, matrix};
use crate::drawing::Figure;
use crate::drawing::page::{drawn, escape, number, page};
use crate::network::baselines::Edges;
use crate::network::benchmark::Summed;
use crate::network::scores::Metric;

/// Edges and regions that the page's tables show at the most; the files have all.
const ROWS: usize = 20;
/// The share of the outputs' changes that attributions may miss without a word.
const GAP: f64 = 0.05;

/// What is explained of a model: a class, or all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The class; none where there are no classes.
    pub name: Option<String>,
    /// What stands in all folds.
    pub stability: Stability,
    /// Of each region the mean and the standard deviation over folds of its edges' sizes together.
    pub regions: Vec<[f64; 2]>,
    /// Of integrated gradients the mean gradient of each edge.
    pub gradient: Option<Vec<f64>>,
}

impl Output {
    /// What it is called.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or("the model")
    }

    /// Regions, the largest first.
    pub fn ranked_regions(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.regions.len()).collect();
        let mean = |region: usize| self.regions.get(region).map_or(0.0, |of| of[0]);
        order.sort_by(|a, b| mean(*b).total_cmp(&mean(*a)));
        order
    }
}

/// What a page shows.
pub struct Report<'a> {
    /// What was asked, in one line.
    pub title: String,
    /// What the reader must know of samples and folds.
    pub notes: Vec<String>,
    /// The command line.
    pub command: String,
    /// Everything else that made the numbers, by name.
    pub facts: Vec<(String, String)>,
    /// The model's name.
    pub model: String,
    /// How it is explained.
    pub method: Method,
    /// How it predicts people that it has not seen.
    pub score: Summed,
    /// The edges.
    pub edges: &'a Edges,
    /// The regions' names.
    pub regions: &'a [String],
    /// Where they lie, N × 3 in mm RAS.
    pub coordinates: Option<ArrayView2<'a, f64>>,
    /// Folds that have values.
    pub folds: usize,
    /// How many edges are first.
    pub top: usize,
    /// What attributions miss of the outputs' changes, as a share.
    pub gap: Option<f64>,
    /// What is explained.
    pub outputs: Vec<Output>,
}

impl Report<'_> {
    /// The page, self-contained.
    pub fn html(&self) -> String {
        let said = |words: &[String]| words.iter().map(|words| format!("<p>{}</p>", escape(words))).collect::<String>();
        let notes = [self.warnings(), self.notes.clone()].concat();
        let notes = match notes.is_empty() {
            true => String::new(),
            false => format!("<section><h2>Before you read on</h2>{}</section>\n", said(&notes)),
        };
        let mut parts = vec![
            String::new(),
            notes,
            format!("<section><h2>What came out</h2>{}</section>\n", said(&self.sentences())),
        ];
        for (output, figures) in self.outputs.iter().zip(self.pictures()) {
            let figures: String = figures.iter().map(drawn).collect();
            parts.push(format!(
                "<section><h2>{}</h2><div class=\"wide\">{figures}</div>{}</section>\n",
                escape(output.title()),
                self.tables(output)
            ));
        }
        parts.push(self.made());
        page(&self.title, &parts)
    }

    /// Every figure with its file's name: `matrix`, `chord` and perhaps `brain`; of several outputs with their number, from 1.
    pub fn figures(&self) -> Vec<(String, Figure)> {
        let several = self.outputs.len() > 1;
        let named = |(at, figures): (usize, Vec<Figure>)| {
            let name = move |figure: Figure| match several {
                true => (format!("{}-{}", figure.name, at + 1), figure),
                false => (figure.name.to_owned(), figure),
            };
            figures.into_iter().map(name)
        };
        self.pictures().into_iter().enumerate().flat_map(named).collect()
    }

    fn pictures(&self) -> Vec<Vec<Figure>> {
        self.outputs.iter().map(|output| self.picture(output)).collect()
    }

    fn picture(&self, output: &Output) -> Vec<Figure> {
        let mut signed = vec![0.0; output.stability.ranked.len()];
        for ranked in &output.stability.ranked {
            // What gradients carry has no side of its own: that is whether more or less of the edge speaks for the class. What
            // misleads the model is not drawn.
            let side = output.gradient.as_ref().and_then(|of| of.get(ranked.edge)).copied();
            let value = side.map_or(ranked.mean, |side| ranked.mean.max(0.0).copysign(side));
            signed.get_mut(ranked.edge).into_iter().for_each(|of| *of = value);
        }
        let shown = Shown {
            edges: self.edges,
            regions: self.regions,
            ranked: &output.stability.ranked,
            signed,
            top: self.top,
            folds: self.folds,
            of: format!("{}, {}", output.title(), self.method.as_str()),
        };
        let mut all = vec![matrix::picture(&shown), chord::picture(&shown)];
        all.extend(self.coordinates.and_then(|coordinates| brain::picture(&shown, coordinates)));
        all
    }

    /// What makes the explanation worth less.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        let (metric, chance) = (self.score.metric.title(), if self.score.metric == Metric::Auc { 0.5 } else { 0.0 });
        if self.score.interval.is_none_or(|interval| interval.low <= chance) {
            all.push(format!(
                "WARNING: {} is not better than chance on people it has not seen ({metric} {}). What is explained here is noise that \
                 it has learned.",
                self.model,
                self.scored()
            ));
        }
        if let Some(gap) = self.gap.filter(|gap| *gap > GAP) {
            all.push(format!(
                "Attributions miss {:.0} % of the changes that they should sum to: the output jumps along the way, --steps are too \
                 few, or the model reads node features that do not follow edges (compare --baseline mean).",
                100.0 * gap
            ));
        }
        all
    }

    /// The score of all held-out predictions together, with its interval.
    pub fn scored(&self) -> String {
        let range = self.score.interval.map(|i| format!(", 95 % of draws {} to {}", number(i.low), number(i.high)));
        number(self.score.pooled) + &range.unwrap_or_default()
    }

    /// How good the model is, what values are, and how far folds agree.
    pub fn sentences(&self) -> Vec<String> {
        let metric = self.score.metric.title();
        let mut all = vec![format!(
            "{} has {metric} {} on people it has not seen ({} ± {} over folds).",
            self.model,
            self.scored(),
            number(self.score.mean),
            number(self.score.sd)
        )];
        all.push(format!("An edge's value: {}", self.method.says()));
        for output in &self.outputs {
            let Some(overlap) = output.stability.overlap else { continue };
            let always = output.stability.ranked.iter().filter(|of| of.folds == self.folds).count();
            all.push(format!(
                "{}: of the first {} edges of a fold two folds share {} (Jaccard; {} by chance of folds that know nothing of each \
                 other; Kuncheva's index {}), and {always} are first in all {} folds. Folds share training people, so some agreement \
                 is there in noise as well.",
                output.title(),
                overlap.top,
                number(overlap.jaccard),
                number(overlap.jaccard_chance),
                number(overlap.kuncheva),
                self.folds
            ));
        }
        if let Some(gap) = self.gap {
            all.push(format!("Attributions sum to the outputs' changes but for {:.2} % of them.", 100.0 * gap));
        }
        all
    }

    fn tables(&self, output: &Output) -> String {
        let places = self.edges.places();
        let name = |region: usize| escape(self.regions.get(region).map_or("", String::as_str));
        let directed = self.edges.directed();
        let edges: String = output
            .stability
            .ranked
            .iter()
            .take(self.top.min(ROWS))
            .enumerate()
            .filter_map(|(at, of)| {
                let (to, from) = *places.get(of.edge)?;
                Some(format!(
                    "<tr><td>{}</td><td class=\"name\">{}</td><td class=\"name\">{}</td><td>{}</td><td>{}</td><td>{:.0} %</td>\
                     <td>{}/{}</td></tr>",
                    at + 1,
                    name(from),
                    name(to),
                    number(of.mean),
                    number(of.sd),
                    100.0 * of.sign,
                    of.folds,
                    self.folds
                ))
            })
            .collect();
        let regions: String = output
            .ranked_regions()
            .into_iter()
            .take(ROWS)
            .filter_map(|region| {
                let [mean, sd] = output.regions.get(region)?;
                Some(format!(
                    "<tr><td class=\"name\">{}</td><td>{}</td><td>{}</td></tr>",
                    name(region),
                    number(*mean),
                    number(*sd)
                ))
            })
            .collect();
        let [from, to] = if directed { ["from", "to"] } else { ["region", "region"] };
        format!(
            "<details open><summary>First edges</summary><div class=\"scroll\"><table><thead><tr><th>rank</th>\
             <th class=\"name\">{from}</th><th class=\"name\">{to}</th><th>value</th><th>sd over folds</th><th>same sign</th>\
             <th>among the first {}</th></tr></thead><tbody>{edges}</tbody></table></div></details><details><summary>First \
             regions</summary><div class=\"scroll\"><table><thead><tr><th class=\"name\">region</th><th>its edges together</th>\
             <th>sd over folds</th></tr></thead><tbody>{regions}</tbody></table></div></details>",
            self.top
        )
    }

    fn made(&self) -> String {
        let fact = |(name, value): &(String, String)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        let facts: String = self.facts.iter().map(fact).collect();
        format!("<section><h2>How this was made</h2><pre>{}</pre><dl>{facts}</dl></section>\n", escape(&self.command))
    }
}

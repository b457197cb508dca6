//! What came out? One page: a plain sentence first, then the table as the paper lays it out, the figures, and how it was made.

use super::picture::picture;
use super::{DRAWS, Family, Standing, Summed};
use crate::drawing::Figure;
use crate::drawing::page::{drawn, escape, number, page};
use crate::network::division::Scheme;
use crate::network::scores::Metric;

/// What a page shows.
pub struct Report<'a> {
    /// What was asked, in one line.
    pub title: String,
    /// What the reader must know: samples left out, folds skipped.
    pub notes: Vec<String>,
    /// The command line.
    pub command: String,
    /// Everything else that made the numbers, by name.
    pub facts: Vec<(String, String)>,
    /// How samples were divided.
    pub scheme: Scheme,
    /// What models are ranked by.
    pub deciding: Metric,
    /// How the models stand, in the order of the table.
    pub standings: &'a [Standing],
}

impl Report<'_> {
    /// The page, self-contained.
    pub fn html(&self) -> String {
        let notes: String = self.notes.iter().map(|note| format!("<p>{}</p>", escape(note))).collect();
        let notes = match notes.is_empty() {
            true => notes,
            false => format!("<section><h2>Before you read on</h2>{notes}</section>\n"),
        };
        let figures: String = self.figures().iter().map(drawn).collect();
        let said: String = self.sentences().iter().map(|words| format!("<p>{}</p>", escape(words))).collect();
        let parts = [
            String::new(),
            notes,
            format!("<section><h2>What came out</h2>{said}{}</section>\n", self.table()),
            format!("<section><h2>Figures</h2><div class=\"wide\">{figures}</div></section>\n"),
            self.made(),
        ];
        page(&self.title, &parts)
    }

    /// Every figure, each once.
    pub fn figures(&self) -> Vec<Figure> {
        let without = |metric| {
            let of = self.standings.iter().find(|of| of.family == Family::Constant)?;
            of.scores.iter().find(|summed| summed.metric == metric).map(|summed| summed.pooled)
        };
        let metrics: Vec<Metric> =
            self.standings.first().map_or(Vec::new(), |of| of.scores.iter().map(|summed| summed.metric).collect());
        let shown = metrics.into_iter().filter(|metric| *metric != Metric::F1Micro);
        shown.map(|metric| picture(metric.as_str(), metric, self.standings, without(metric))).collect()
    }

    /// Who is first, how surely, and whether weights of single edges do as well.
    pub fn sentences(&self) -> Vec<String> {
        let Some(best) = self.standings.iter().find(|of| of.best) else {
            return vec!["No model has a score: see why in results.tsv.".into()];
        };
        let metric = self.deciding.title();
        let held: Vec<&Standing> = self.standings.iter().filter(|of| of.behind.is_some()).collect();
        let sure = held.iter().filter(|of| of.behind.is_some_and(|behind| behind.surely())).count();
        let mut all = vec![format!(
            "{} ranks first by {metric}: {}. Of {} others it is surely ahead of {sure}; from {} it is not told apart \
             (paired bootstrap over participants, {DRAWS} draws). First place was given by these very predictions, so its \
             score is a little too good.",
            best.model,
            number(best.ranked),
            held.len(),
            held.len() - sure,
        )];
        all.extend(self.linear(best));
        all
    }

    fn linear(&self, best: &Standing) -> Option<String> {
        let metric = self.deciding;
        let first = |wanted: &dyn Fn(Family) -> bool| {
            let those = self.standings.iter().filter(|of| wanted(of.family) && of.ranked.is_finite());
            those.max_by(|a, b| metric.gain(a.ranked).total_cmp(&metric.gain(b.ranked)))
        };
        let linear = first(&|family| family == Family::Linear)?;
        let other = first(&|family| matches!(family, Family::Shallow | Family::Deep))?;
        let (ahead, back) =
            if metric.gain(linear.ranked) >= metric.gain(other.ranked) { (linear, other) } else { (other, linear) };
        let beside = format!("{} {} against {} {}", ahead.model, number(ahead.ranked), back.model, number(back.ranked));
        let surely = ahead.model == best.model && back.behind.is_some_and(|behind| behind.surely());
        Some(match (surely, ahead.family == Family::Linear) {
            (true, true) => format!("Linear wins: {beside}, by more than the draws leave open."),
            (true, false) => format!("Linear loses: {beside}, by more than the draws leave open."),
            (false, _) => format!("Linear ties: {beside}, which the draws do not tell apart."),
        })
    }

    fn table(&self) -> String {
        let metrics: Vec<Metric> =
            self.standings.first().map_or(Vec::new(), |of| of.scores.iter().map(|summed| summed.metric).collect());
        let best = |metric: Metric| {
            let values = self.standings.iter().filter_map(|of| self.value(of, metric)).filter(|v| v.is_finite());
            values.max_by(|a, b| metric.gain(*a).total_cmp(&metric.gain(*b)))
        };
        let best: Vec<Option<f64>> = metrics.iter().map(|metric| best(*metric)).collect();
        let row = |of: &Standing| {
            let cells: String = of
                .scores
                .iter()
                .zip(&best)
                .map(|(summed, best)| {
                    let words = self.words(summed);
                    match self.value(of, summed.metric) == *best && best.is_some() {
                        true => format!("<td><b>{words}</b></td>"),
                        false => format!("<td>{words}</td>"),
                    }
                })
                .collect();
            let together = of.scores.iter().find(|summed| summed.metric == self.deciding);
            let together = together.map_or_else(String::new, interval);
            let behind = match (&of.behind, of.best) {
                (_, true) => "first".into(),
                (None, _) => "–".into(),
                (Some(behind), _) => {
                    let range = behind.interval.map(|i| format!(" [{}, {}]", number(i.low), number(i.high)));
                    let sign = if behind.surely() { "" } else { " ≈" };
                    format!("{}{}{sign}", number(behind.difference), range.unwrap_or_default())
                }
            };
            format!("<tr><td class=\"name\">{}</td>{cells}<td>{together}</td><td>{behind}</td></tr>", escape(&of.model))
        };
        let mut rows = String::new();
        let mut group = "";
        for of in self.standings {
            if of.group != group {
                group = of.group;
                let columns = metrics.len() + 3;
                rows += &format!("<tr><th class=\"name\" colspan=\"{columns}\">{}</th></tr>", escape(group));
            }
            rows += &row(of);
        }
        let heads: String = metrics.iter().map(|metric| format!("<th>{}</th>", metric.title())).collect();
        let what = match self.scheme {
            Scheme::Each => {
                "Scores of all predictions together, each made without any sample of its participant (or group)"
            }
            Scheme::Parts(_) => "Mean ± standard deviation over folds",
        };
        let metric = self.deciding.title();
        format!(
            "<p class=\"soft\">{what}; the best of a column in bold. Beside them {metric} of all predictions together with 95 % of \
             {DRAWS} draws of the participants, and by how much the first is ahead over the same draws: ≈ where that is not surely \
             more than nothing.</p><div class=\"scroll\"><table><thead><tr><th class=\"name\">model</th>{heads}<th>{metric}, all \
             together</th><th>behind the first</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )
    }

    fn value(&self, of: &Standing, metric: Metric) -> Option<f64> {
        let summed = of.scores.iter().find(|summed| summed.metric == metric)?;
        Some(if self.scheme == Scheme::Each { summed.pooled } else { summed.mean })
    }

    fn words(&self, summed: &Summed) -> String {
        match (self.scheme, summed.sd.is_finite()) {
            (Scheme::Each, _) => number(summed.pooled),
            (_, true) => format!("{} ± {}", number(summed.mean), number(summed.sd)),
            (_, false) => number(summed.mean),
        }
    }

    fn made(&self) -> String {
        let fact = |(name, value): &(String, String)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        let facts: String = self.facts.iter().map(fact).collect();
        format!("<section><h2>How this was made</h2><pre>{}</pre><dl>{facts}</dl></section>\n", escape(&self.command))
    }
}

fn interval(summed: &Summed) -> String {
    let range = summed.interval.map(|i| format!(" [{}, {}]", number(i.low), number(i.high)));
    number(summed.pooled) + &range.unwrap_or_default()
}

//! What does the page say? First what came out, then the figures, then every number and how it was made.

use super::figures::{MOST_REGIONS, MOST_SPACES, of_one, shown};
use super::metric::{DEFINITIONS, MAE, METRICS, PEARSON, R2, TWO_V_TWO, number};
use super::{FeatureSpace, RegionScores, Report, Score};
use crate::drawing::page::{drawn, escape, page};

/// Rows of the table of all numbers at the most; scores.tsv has all.
const MOST_ROWS: usize = 400;

impl Report {
    /// The page. Values that are not finite are shown as a dash.
    pub fn html(&self) -> String {
        let body = match self.spaces.as_slice() {
            [] => String::new(),
            [space] => self.one(space),
            _ => self.several(),
        };
        let parts = [self.subjects(), self.warnings(), body, self.table(), definitions(), self.provenance()];
        page(&self.title, &parts)
    }

    fn subjects(&self) -> String {
        if self.subjects.is_empty() {
            return String::new();
        }
        let names: Vec<String> = self.subjects.iter().map(|name| escape(name)).collect();
        format!("<p class=\"soft\">Means over {} subjects: {}.</p>", names.len(), names.join(", "))
    }

    fn warnings(&self) -> String {
        if self.notes.is_empty() {
            return String::new();
        }
        let notes: String = self.notes.iter().map(|note| format!("<p>{}</p>", escape(note))).collect();
        format!("<section><h2>Before you read on</h2>{notes}</section>\n")
    }

    /// What error bars are.
    fn spread(&self) -> String {
        match self.subjects.len() {
            0 => format!("Intervals: {}.", escape(&self.intervals)),
            _ => "Error bars: one standard deviation over subjects to either side; a dot a subject.".into(),
        }
    }

    fn one(&self, space: &FeatureSpace) -> String {
        format!("<section><h2>{}</h2>{}</section>\n", escape(&space.name), self.inside(space))
    }

    /// Of one feature space: the numbers of the whole, and its figures.
    fn inside(&self, space: &FeatureSpace) -> String {
        let cards: String = [TWO_V_TWO, PEARSON, METRICS[2], MAE, R2]
            .iter()
            .filter_map(|m| {
                let score = (m.of)(&space.overall)?;
                Some(card(m.name, m.colour, score))
            })
            .collect();
        let features = if space.features == 1 { "1 feature".into() } else { format!("{} features", space.features) };
        let (voxels, samples) = (space.overall.voxels, space.overall.samples);
        let left = cut(space.regions.len(), shown(space).len());
        let figures: String = of_one(space).iter().map(drawn).collect();
        format!(
            "<p class=\"soft\">{features}; all regions together, {voxels} voxels, {samples} samples. {}{left}</p>\
             <div class=\"cards\">{cards}</div><div class=\"charts\">{figures}</div>",
            self.spread(),
        )
    }

    fn several(&self) -> String {
        let models = self.models();
        let figures: String = self.figures().iter().map(drawn).collect();
        let left = models.first().map_or(String::new(), |first| cut(first.regions.len(), shown(first).len()));
        let mut said = self.spread();
        if !self.layered().is_empty() {
            said += " A model of several layers is shown by its best, by Pearson per voxel of all regions together: \
                     chosen by these very scores, so a little too good.";
        }
        let each: String = match models.len() <= MOST_SPACES {
            true => models
                .iter()
                .map(|s| format!("<details><summary>{}</summary>{}</details>\n", escape(&s.name), self.inside(s)))
                .collect(),
            false => String::new(),
        };
        format!(
            "<section><h2>What came out</h2>{}{}</section>\n<section><h2>Figures</h2><p class=\"soft\">{said}{left}</p>\
             <div class=\"wide\">{figures}</div></section>\n{}<section><h2>Each model</h2>{each}</section>\n",
            self.headline(),
            self.ranking(),
            self.by_region(),
        )
    }

    /// Which is best, and how surely.
    fn headline(&self) -> String {
        let r = |space: &&FeatureSpace| space.overall.pearson_per_voxel.value;
        let Some(best) = self.spaces.iter().max_by(|a, b| r(a).total_cmp(&r(b))) else { return String::new() };
        let mut words = format!(
            "<p class=\"lead\"><b>{}</b> predicts best: {}.",
            escape(&best.name),
            escape(&best.overall.pearson_per_voxel.words("mean r over all voxels"))
        );
        let ahead: Vec<_> = self.differences.iter().filter(|d| d.region == "all").collect();
        let sure = ahead.iter().filter(|d| d.pearson_per_voxel.interval.is_some_and(|i| i.low > 0.0)).count();
        if !ahead.is_empty() {
            words += &format!(
                " It is ahead of {sure} of the {} others by more than its interval of paired differences leaves open.",
                ahead.len()
            );
        }
        words + "</p>"
    }

    /// Every feature space and its scores, the best of each in bold.
    fn ranking(&self) -> String {
        let metrics = [TWO_V_TWO, PEARSON, METRICS[2], MAE, R2];
        let value = |space: &FeatureSpace, i: usize| {
            metrics.get(i).and_then(|m| (m.of)(&space.overall)).map_or(f64::NAN, |score| score.value)
        };
        let best = |i: usize| {
            let sign = if i == 3 { -1.0 } else { 1.0 };
            let all = self.spaces.iter().map(|space| value(space, i)).filter(|v| v.is_finite());
            all.max_by(|a, b| (sign * a).total_cmp(&(sign * b)))
        };
        let best: Vec<Option<f64>> = (0..metrics.len()).map(best).collect();
        let row = |space: &FeatureSpace| {
            let cells: String = (0..metrics.len())
                .map(|i| match Some(value(space, i)) == best.get(i).copied().flatten() {
                    true => format!("<td><b>{}</b></td>", number(value(space, i))),
                    false => format!("<td>{}</td>", number(value(space, i))),
                })
                .collect();
            format!("<tr><td class=\"name\">{}</td><td>{}</td>{cells}</tr>", escape(&space.name), space.features)
        };
        let rows: String = self.spaces.iter().take(MOST_ROWS).map(row).collect();
        let heads: String = metrics.iter().map(|m| format!("<th>{}</th>", m.name)).collect();
        format!(
            "<div class=\"scroll\"><table><thead><tr><th class=\"name\">feature space</th><th>features</th>{heads}</tr>\
             </thead><tbody>{rows}</tbody></table></div>"
        )
    }

    /// Which model is best in which region.
    fn by_region(&self) -> String {
        let models = self.models();
        let Some(first) = models.first() else { return String::new() };
        let rows: String = shown(first)
            .into_iter()
            .map(|region| {
                let mut scores: Vec<(&str, f64)> = models
                    .iter()
                    .filter_map(|space| {
                        let all = [&space.overall].into_iter().chain(&space.regions);
                        let found =
                            all.into_iter().find(|of| of.region == region.region && of.level == region.level)?;
                        Some((space.name.as_str(), found.pearson_per_voxel.value))
                    })
                    .collect();
                scores.sort_by(|a, b| b.1.total_cmp(&a.1));
                let cell = |place: usize| match scores.get(place) {
                    Some((name, r)) => format!("<td class=\"name\">{}</td><td>{}</td>", escape(name), number(*r)),
                    None => "<td></td><td></td>".into(),
                };
                format!("<tr><td class=\"name\">{}</td>{}{}</tr>", escape(&region.region), cell(0), cell(1))
            })
            .collect();
        format!(
            "<section><h2>Best by region</h2><div class=\"scroll\"><table><thead><tr><th class=\"name\">region</th>\
             <th class=\"name\">best</th><th>r</th><th class=\"name\">next</th><th>r</th></tr></thead><tbody>{rows}</tbody>\
             </table></div></section>\n"
        )
    }

    fn table(&self) -> String {
        let heads: String = METRICS
            .iter()
            .map(|m| format!("<th>{}</th><th>low</th><th>high</th><th>mean pattern</th>", m.name))
            .collect();
        let row = |space: &FeatureSpace, region: &RegionScores| {
            let scores: String = METRICS
                .iter()
                .filter_map(|m| (m.of)(region))
                .map(|s| {
                    let (low, high) = s.interval.map_or((f64::NAN, f64::NAN), |i| (i.low, i.high));
                    [s.value, low, high, s.baseline.unwrap_or(f64::NAN)].iter().map(cells).collect::<String>()
                })
                .collect();
            let beside = region.normalised.as_ref();
            let over_ceiling = beside.map_or(f64::NAN, |of| of.pearson_per_voxel.value);
            format!(
                "<tr><td class=\"name\">{}</td><td class=\"name\">{}</td><td>{}</td><td>{}</td><td>{}</td>{scores}\
                 <td>{}</td>{}{}</tr>",
                escape(&space.name),
                escape(&region.region),
                region.voxels,
                region.samples,
                region.undefined,
                region.significant.map_or("–".into(), |n| n.to_string()),
                cells(&region.noise_ceiling.unwrap_or(f64::NAN)),
                cells(&over_ceiling),
            )
        };
        let all = || self.spaces.iter().flat_map(|s| [&s.overall].into_iter().chain(&s.regions).map(move |r| (s, r)));
        let rows: String = all().take(MOST_ROWS).map(|(space, region)| row(space, region)).collect();
        let count = all().count();
        let left = match count > MOST_ROWS {
            true => format!("<p class=\"soft\">The first {MOST_ROWS} of {count} rows; scores.tsv has all.</p>"),
            false => String::new(),
        };
        format!(
            "<section><h2>All numbers</h2>{left}<div class=\"scroll\"><table><thead><tr><th class=\"name\">features</th>\
             <th class=\"name\">region</th><th>voxels</th><th>samples</th><th>undefined</th>{heads}<th>q &lt; 0.05</th>\
             <th>noise ceiling R²</th><th>r / √ceiling</th></tr></thead><tbody>{rows}</tbody></table></div></section>\n"
        )
    }

    fn provenance(&self) -> String {
        let p = &self.provenance;
        let fact = |name: &str, value: &str| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        let settings: String = p.settings.iter().map(|s| fact(&s.name, &s.value)).collect();
        let inputs: String = p.inputs.iter().map(|i| fact(&i.name, &format!("sha256 {}", i.sha256))).collect();
        format!(
            "<section><h2>How this was made</h2><pre>{}</pre><dl>{}{}{settings}{inputs}</dl></section>\n",
            escape(&p.command),
            fact("neurod", &p.version),
            fact("seed", &p.seed.to_string()),
        )
    }
}

fn definitions() -> String {
    let all: String = DEFINITIONS.iter().map(|(name, what)| format!("<dt>{name}</dt><dd>{what}</dd>")).collect();
    format!("<section><h2>What the scores are</h2><dl>{all}</dl></section>\n")
}

fn card(name: &str, colour: &str, score: &Score) -> String {
    let interval = score.interval.map(|i| format!("{} to {}", number(i.low), number(i.high)));
    let baseline = score.baseline.map(|b| format!("mean pattern {}", number(b)));
    let lines: Vec<String> = [interval, baseline].into_iter().flatten().collect();
    let (value, lines) = (number(score.value), lines.join("<br>"));
    format!("<div class=\"card {colour}\">{name}<b>{value}</b><span class=\"soft\">{lines}</span></div>")
}

/// Said where a figure does not show every region.
fn cut(regions: usize, shown: usize) -> String {
    match regions > shown && shown >= MOST_REGIONS {
        true => {
            format!(" Of the regions the {MOST_REGIONS} that are predicted best are drawn; the table has the others.")
        }
        false => String::new(),
    }
}

fn cells(value: &f64) -> String {
    format!("<td>{}</td>", number(*value))
}

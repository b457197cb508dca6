//! What does the page say?

use super::*;

impl Score {
    pub(super) fn words(&self, name: &str) -> String {
        let interval = self.interval.map(|i| format!(" [{}, {}]", number(i.low), number(i.high)));
        let baseline = self.baseline.map(|b| format!("; mean pattern {}", number(b)));
        format!("{name} {}{}{}", number(self.value), interval.unwrap_or_default(), baseline.unwrap_or_default())
    }
}

/// A score that every region has.
pub(super) struct Metric {
    pub name: &'static str,
    pub class: &'static str,
    pub of: fn(&RegionScores) -> &Score,
}

/// Those that share an axis first.
pub(super) const METRICS: &[Metric] = &[
    Metric { name: "2V2", class: "two-v-two", of: |r| &r.two_v_two },
    Metric { name: "Pearson per voxel", class: "voxel", of: |r| &r.pearson_per_voxel },
    Metric { name: "Pearson per sample", class: "sample", of: |r| &r.pearson_per_sample },
    Metric { name: "MAE", class: "error", of: |r| &r.mae },
    Metric { name: "R² per voxel", class: "voxel", of: |r| &r.r2_per_voxel },
];

/// What every report says about its scores.
const DEFINITIONS: &[(&str, &str)] = &[
    (
        "2V2",
        "of all pairs of samples, how many have predictions that lie closer (cosine distance) to their own than to \
         each other's response. Chance is 0.5; ties lose, so a prediction that never changes has 0.",
    ),
    ("Pearson per voxel", "correlation over samples, mean over voxels. Blind to each voxel's mean."),
    (
        "Pearson per sample",
        "correlation over voxels, mean over samples. The mean pattern alone can make it high: read it beside the tick.",
    ),
    ("MAE", "mean absolute error over samples and voxels, in the unit of the responses. Lower is better."),
    ("R² per voxel", "1 − SSE/SST about the voxel's own mean, mean over voxels. Below 0: worse than that mean."),
    ("mean pattern", "the same score of a prediction that is each fold's training mean, whatever was shown."),
];

impl Report {
    /// The page. Values that are not finite are shown as a dash.
    pub(super) fn page(&self) -> String {
        let title = escape(&self.title);
        let style = include_str!("style.css");
        let spaces: String = self.spaces.iter().enumerate().map(|(i, space)| self.space(i, space)).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>\n{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{}{}{spaces}{}{}{}</body>\n</html>\n",
            self.warnings(),
            self.layers(),
            self.table(),
            self.definitions(),
            self.provenance(),
        )
    }

    fn warnings(&self) -> String {
        if self.notes.is_empty() {
            return String::new();
        }
        let notes: String = self.notes.iter().map(|note| format!("<p>{}</p>", escape(note))).collect();
        format!("<section><h2>Before you read on</h2>{notes}</section>\n")
    }

    fn layers(&self) -> String {
        if self.spaces.len() < 2 {
            return String::new();
        }
        let rows: String = self
            .spaces
            .iter()
            .enumerate()
            .map(|(i, s)| {
                let scores: String = METRICS.iter().map(|m| cells(&(m.of)(&s.overall).value)).collect();
                format!("<tr><td>{}</td><td class=\"name\">{}</td>{scores}</tr>", i + 1, escape(&s.name))
            })
            .collect();
        let heads: String = METRICS.iter().map(|m| format!("<th>{}</th>", m.name)).collect();
        format!(
            "<section><h2>Feature spaces</h2>{}{}<div class=\"scroll\"><table><thead><tr><th>#</th>\
             <th class=\"name\">features</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>\n",
            key(METRICS.get(..3).unwrap_or_default(), false),
            charts::curve(&self.spaces, "Scores of every feature space, all regions together"),
        )
    }

    fn space(&self, index: usize, space: &FeatureSpace) -> String {
        let cards: String = METRICS
            .iter()
            .take(4)
            .map(|m| {
                let score = (m.of)(&space.overall);
                let interval = score.interval.map(|i| format!("{} to {}", number(i.low), number(i.high)));
                let baseline = score.baseline.map(|b| format!("mean pattern {}", number(b)));
                let lines: Vec<String> = [interval, baseline].into_iter().flatten().collect();
                format!(
                    "<div class=\"card {}\">{}<b>{}</b><span class=\"soft\">{}</span></div>",
                    m.class,
                    m.name,
                    number(score.value),
                    lines.join("<br>")
                )
            })
            .collect();
        let (shared, error) = (METRICS.get(..3).unwrap_or_default(), METRICS.get(3..4).unwrap_or_default());
        let features = if space.features == 1 { "1 feature".into() } else { format!("{} features", space.features) };
        let inside = format!(
            "<p class=\"soft\">{features}; all regions together, {} voxels, {} samples. Intervals: {}.</p>\
             <div class=\"cards\">{cards}</div><div class=\"charts\"><div><h3>Every region</h3>{}{}</div>\
             <div><h3>Mean absolute error</h3>{}{}<h3>Pearson per voxel: how many voxels</h3>{}</div></div>",
            space.overall.voxels,
            space.overall.samples,
            escape(&self.intervals),
            key(shared, true),
            charts::bars(&space.regions, shared, "2V2 and Pearson's r of every region"),
            key(error, true),
            charts::bars(&space.regions, error, "Mean absolute error of every region"),
            charts::histogram(&space.overall.r_histogram, "voxel", "Histogram of Pearson's r per voxel"),
        );
        let name = escape(&space.name);
        match (self.spaces.len(), index) {
            (1, _) => format!("<section><h2>{name}</h2>{inside}</section>\n"),
            (_, 0) => format!("<details open><summary>{name}</summary>{inside}</details>\n"),
            _ => format!("<details><summary>{name}</summary>{inside}</details>\n"),
        }
    }

    fn table(&self) -> String {
        let heads: String = METRICS
            .iter()
            .map(|m| format!("<th>{}</th><th>low</th><th>high</th><th>mean pattern</th>", m.name))
            .collect();
        let row = |space: &FeatureSpace, region: &RegionScores| {
            let scores: String = METRICS
                .iter()
                .map(|m| (m.of)(region))
                .map(|s| {
                    let (low, high) = s.interval.map_or((f64::NAN, f64::NAN), |i| (i.low, i.high));
                    [s.value, low, high, s.baseline.unwrap_or(f64::NAN)].iter().map(cells).collect::<String>()
                })
                .collect();
            format!(
                "<tr><td class=\"name\">{}</td><td class=\"name\">{}</td><td>{}</td><td>{}</td><td>{}</td>{scores}\
                 <td>{}</td>{}</tr>",
                escape(&space.name),
                escape(&region.region),
                region.voxels,
                region.samples,
                region.undefined,
                region.significant.map_or("–".into(), |n| n.to_string()),
                cells(&region.noise_ceiling.unwrap_or(f64::NAN)),
            )
        };
        let rows: String = self
            .spaces
            .iter()
            .flat_map(|s| [&s.overall].into_iter().chain(&s.regions).map(move |r| row(s, r)))
            .collect();
        format!(
            "<section><h2>All numbers</h2><div class=\"scroll\"><table><thead><tr><th class=\"name\">features</th>\
             <th class=\"name\">region</th><th>voxels</th><th>samples</th><th>undefined</th>{heads}<th>q &lt; 0.05</th>\
             <th>noise ceiling R²</th></tr></thead><tbody>{rows}</tbody></table></div></section>\n"
        )
    }

    fn definitions(&self) -> String {
        let all: String = DEFINITIONS.iter().map(|(name, what)| format!("<dt>{name}</dt><dd>{what}</dd>")).collect();
        format!("<section><h2>What the scores are</h2><dl>{all}</dl></section>\n")
    }

    fn provenance(&self) -> String {
        let p = &self.provenance;
        let fact = |name: &str, value: &str| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        let settings: String = p.settings.iter().map(|s| fact(&s.name, &s.value)).collect();
        let inputs: String = p.inputs.iter().map(|i| fact(&i.name, &format!("sha256 {}", i.sha256))).collect();
        format!(
            "<section><h2>How this was made</h2><dl>{}{}{}{settings}{inputs}</dl></section>\n",
            fact("command", &p.command),
            fact("neurod", &p.version),
            fact("seed", &p.seed.to_string()),
        )
    }
}

fn cells(value: &f64) -> String {
    format!("<td>{}</td>", number(*value))
}

pub(super) fn key(metrics: &[Metric], baseline: bool) -> String {
    let all: String = metrics.iter().map(|m| format!("<span><i class=\"{}\"></i>{}</span>", m.class, m.name)).collect();
    let tick = if baseline { "<span><i class=\"tick\"></i>mean pattern</span>" } else { "" };
    format!("<div class=\"key\">{all}{tick}</div>")
}

/// To three decimals, or fewer for large numbers, or three digits for tiny ones; a dash for what is not finite.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "–".into(),
        0.0 => "0.000".into(),
        5e-4..10.0 => format!("{value:.3}"),
        10.0..1000.0 => format!("{value:.1}"),
        1000.0..1e6 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}

/// For text and attributes.
pub(super) fn escape(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

//! What is a figure made of? A few kinds of marks, drawn into the page, into an SVG file, or as pixels.
//!
//! In the page colours and letters are the page's own, so that it may be dark; a file has them inside.

use super::page::escape;
use super::palette::on_light;

/// A letter's width in 11-unit letters, at the most: what labels are fitted by.
pub(crate) const LETTER: f64 = 6.6;

/// The narrower letters of ticks, of 10 units.
pub(crate) const TICK_LETTER: f64 = 6.0;

/// Units around a figure that is a file of its own.
pub(crate) const MARGIN: f64 = 12.0;

/// One mark. Lengths are in units, from the left and the top.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mark {
    /// From here to there; a kind of line.
    Line(Stroke, [f64; 4]),
    /// A colour, left, top, width, height, and what it says when pointed at.
    Rect(&'static str, [f64; 4], String),
    /// A colour, its middle and radius, and what it says when pointed at.
    Circle(&'static str, [f64; 3], String),
    /// A colour and points.
    Curve(&'static str, Vec<[f64; 2]>),
    /// A colour, the edge, and the upper left corners of squares.
    Squares(&'static str, f64, Vec<[f64; 2]>),
    /// Words in some size, beginning, in the middle, or ending at a point.
    Text(Size, Anchor, [f64; 2], String),
}

/// A kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stroke {
    /// Behind everything, at a tick.
    Grid,
    /// Where nothing is.
    Axis,
    /// An interval.
    Whisker,
    /// The mean pattern.
    Baseline,
}

/// Of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// A name.
    Label,
    /// A number beside an axis.
    Tick,
    /// Above a part of a figure.
    Title,
}

/// Where words stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// They begin there.
    Start,
    /// In the middle.
    Middle,
    /// They end there.
    End,
}

impl Stroke {
    /// Its class, colour and width.
    pub fn style(self) -> (&'static str, &'static str, f64) {
        match self {
            Stroke::Grid => ("grid", "line", 1.0),
            Stroke::Axis => ("axis", "soft", 1.0),
            Stroke::Whisker => ("whisker", "ink", 1.2),
            Stroke::Baseline => ("baseline", "ink", 2.4),
        }
    }
}

impl Size {
    /// Its class, colour and height.
    pub fn style(self) -> (&'static str, &'static str, f64) {
        match self {
            Size::Label => ("", "ink", 11.0),
            Size::Tick => ("tick", "soft", 10.0),
            Size::Title => ("title", "ink", 12.0),
        }
    }
}

impl Anchor {
    fn as_str(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// Marks on a sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is called as a file.
    pub name: &'static str,
    /// What it shows, in words.
    pub what: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) marks: Vec<Mark>,
    /// Colours and what they stand for.
    pub(crate) key: Vec<(&'static str, String)>,
}

impl Figure {
    /// Inside the page.
    pub(crate) fn inline(&self) -> String {
        let parts: String = self.marks.iter().map(|mark| svg(mark, false)).collect();
        let (width, height, what) = (self.width, self.height, escape(&self.what));
        format!(r#"<svg viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{what}">{parts}</svg>"#)
    }

    /// As a file of its own, on light ground, with its key.
    pub fn svg(&self) -> String {
        let sheet = self.sheet();
        let parts: String = sheet.marks.iter().map(|mark| svg(mark, true)).collect();
        let (width, height, what) = (sheet.width, sheet.height, escape(&sheet.what));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} \
             {height:.0}\" font-family=\"Inter, system-ui, sans-serif\"><title>{what}</title><rect width=\"{width:.0}\" \
             height=\"{height:.0}\" fill=\"#ffffff\"/>{parts}</svg>\n"
        )
    }

    /// With a margin, what it shows as a heading, and its key.
    pub(crate) fn sheet(&self) -> Figure {
        let mut marks = Vec::new();
        let width = self.width + 2.0 * MARGIN;
        let room = (self.width / (LETTER * 12.0 / 11.0)) as usize;
        let heading: String = match self.what.chars().count() <= room {
            true => self.what.clone(),
            false => self.what.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
        };
        marks.push(Mark::Text(Size::Title, Anchor::Start, [MARGIN, MARGIN + 10.0], heading));
        let (mut x, mut y) = (MARGIN, MARGIN + 24.0);
        for (colour, words) in &self.key {
            let needs = 22.0 + words.chars().count() as f64 * LETTER;
            if x > MARGIN && x + needs > width - MARGIN {
                (x, y) = (MARGIN, y + 16.0);
            }
            marks.push(Mark::Rect(colour, [x, y - 1.0, 9.0, 9.0], String::new()));
            marks.push(Mark::Text(Size::Label, Anchor::Start, [x + 13.0, y + 7.5], words.clone()));
            x += needs;
        }
        let top = if self.key.is_empty() { y - 4.0 } else { y + 20.0 };
        marks.extend(self.marks.iter().map(|mark| moved(mark, MARGIN, top)));
        let (name, what) = (self.name, self.what.clone());
        Figure { name, what, width, height: top + self.height + MARGIN, marks, key: Vec::new() }
    }
}

fn moved(mark: &Mark, right: f64, down: f64) -> Mark {
    let by = |points: &[[f64; 2]]| points.iter().map(|[x, y]| [x + right, y + down]).collect::<Vec<_>>();
    match mark.clone() {
        Mark::Line(of, [a, b, c, d]) => Mark::Line(of, [a + right, b + down, c + right, d + down]),
        Mark::Rect(of, [x, y, w, h], words) => Mark::Rect(of, [x + right, y + down, w, h], words),
        Mark::Circle(of, [x, y, r], words) => Mark::Circle(of, [x + right, y + down, r], words),
        Mark::Curve(of, points) => Mark::Curve(of, by(&points)),
        Mark::Squares(of, edge, points) => Mark::Squares(of, edge, by(&points)),
        Mark::Text(size, anchor, [x, y], words) => Mark::Text(size, anchor, [x + right, y + down], words),
    }
}

/// A mark by the page's classes, or with its colours inside, for a file.
fn svg(mark: &Mark, file: bool) -> String {
    let title =
        |words: &str| if words.is_empty() { String::new() } else { format!("<title>{}</title>", escape(words)) };
    let filled = |colour: &str| match file {
        false => format!("class=\"{colour}\""),
        true => format!("fill=\"{}\"", on_light(colour)),
    };
    match mark {
        Mark::Line(stroke, [x1, y1, x2, y2]) => {
            let (class, colour, width) = stroke.style();
            let style = match file {
                false => format!("class=\"{class}\""),
                true => format!("stroke=\"{}\" stroke-width=\"{width}\"", on_light(colour)),
            };
            format!(r#"<line {style} x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#)
        }
        Mark::Rect(colour, [x, y, w, h], words) => {
            let (style, title) = (filled(colour), title(words));
            format!(r#"<rect {style} x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}">{title}</rect>"#)
        }
        Mark::Circle(colour, [x, y, r], words) => {
            let (style, title) = (filled(colour), title(words));
            format!(r#"<circle {style} cx="{x:.1}" cy="{y:.1}" r="{r}">{title}</circle>"#)
        }
        Mark::Curve(colour, points) => {
            let style = match file {
                false => format!("class=\"{colour}\""),
                true => format!("fill=\"none\" stroke=\"{}\" stroke-width=\"2\"", on_light(colour)),
            };
            let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
            format!(r#"<polyline {style} points="{}"/>"#, points.join(" "))
        }
        Mark::Squares(colour, edge, corners) => {
            let squares: String =
                corners.iter().map(|[x, y]| format!("M{x:.1} {y:.1}h{edge:.2}v{edge:.2}h-{edge:.2}z")).collect();
            format!(r#"<path {} d="{squares}"/>"#, filled(colour))
        }
        Mark::Text(size, anchor, [x, y], words) => {
            let (class, colour, height) = size.style();
            let style = match file {
                false => format!("class=\"{class}\""),
                true => format!("fill=\"{}\" font-size=\"{height}\"", on_light(colour)),
            };
            let (anchor, words) = (anchor.as_str(), escape(words));
            format!(r#"<text {style} text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{words}</text>"#)
        }
    }
}

/// `words`, or as many of their letters as fit.
pub(crate) fn fitted(words: &str, width: f64, letter: f64) -> String {
    let most = (width / letter) as usize;
    if words.chars().count() <= most {
        return words.to_owned();
    }
    words.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

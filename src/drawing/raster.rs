//! How does a figure become pixels? Its marks as filled paths, letters as the outlines of a font that is inside the program.
//!
//! The font is Inter (SIL Open Font License, `inter-OFL.txt`), the letters of Latin-1 and those that figures need besides:
//! 26 kB, and the same picture on every machine, whatever fonts it has.

use tiny_skia::{FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Stroke as Pen, Transform};
use ttf_parser::{Face, OutlineBuilder};

use super::figure::{Anchor, Figure, Mark, Stroke};
use super::palette::rgb;

const FONT: &[u8] = include_bytes!("inter.otf");

/// Pixels per unit: sharp on a screen of many pixels, and 200 dots an inch where a figure is printed as wide as a page.
const SCALE: f32 = 2.0;

/// The most pixels of a side.
const MOST: f64 = 16_000.0;

impl Figure {
    /// As a PNG file, on white; nothing where it is too large for one.
    pub fn png(&self) -> Option<Vec<u8>> {
        let sheet = self.sheet();
        let side = |units: f64| (units * f64::from(SCALE)).ceil().clamp(1.0, MOST) as u32;
        let mut pixels = Pixmap::new(side(sheet.width), side(sheet.height))?;
        pixels.fill(tiny_skia::Color::WHITE);
        let face = Face::parse(FONT, 0).ok();
        sheet.marks.iter().for_each(|mark| draw(&mut pixels, mark, face.as_ref()));
        let (width, height) = (pixels.width(), pixels.height());
        // Everything is opaque: three bytes a pixel are enough.
        let colours: Vec<u8> = pixels.data().chunks_exact(4).flat_map(|pixel| pixel.iter().take(3).copied()).collect();
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().and_then(|mut writer| writer.write_image_data(&colours)).ok()?;
        Some(file)
    }
}

fn paint(colour: &str) -> Paint<'static> {
    let [red, green, blue] = rgb(colour);
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, 255);
    paint
}

fn draw(onto: &mut Pixmap, mark: &Mark, face: Option<&Face<'_>>) {
    let scale = Transform::from_scale(SCALE, SCALE);
    let rect = |[x, y, w, h]: [f64; 4]| Rect::from_xywh(x as f32, y as f32, w as f32, h as f32);
    let mut fill = |path: Option<Path>, colour: &str, at: Transform| {
        if let Some(path) = path {
            onto.fill_path(&path, &paint(colour), FillRule::Winding, at, None);
        }
    };
    match mark {
        Mark::Rect(colour, of, _) => fill(rect(*of).map(PathBuilder::from_rect), colour, scale),
        Mark::Circle(colour, [x, y, r], _) => {
            fill(PathBuilder::from_circle(*x as f32, *y as f32, *r as f32), colour, scale);
        }
        Mark::Squares(colour, edge, corners) => {
            let mut path = PathBuilder::new();
            corners.iter().filter_map(|[x, y]| rect([*x, *y, *edge, *edge])).for_each(|square| path.push_rect(square));
            fill(path.finish(), colour, scale);
        }
        Mark::Text(size, anchor, [x, y], words) => {
            let (_, colour, height) = size.style();
            let Some((face, unit)) = face.map(|face| (face, height as f32 / f32::from(face.units_per_em()))) else {
                return;
            };
            let (path, width) = outline(face, words);
            let shift = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::End => width,
            };
            let at = scale.pre_translate(*x as f32 - shift * unit, *y as f32).pre_scale(unit, -unit);
            fill(path, colour, at);
        }
        Mark::Line(stroke, [x1, y1, x2, y2]) => {
            let mut path = PathBuilder::new();
            path.move_to(*x1 as f32, *y1 as f32);
            path.line_to(*x2 as f32, *y2 as f32);
            let (_, colour, width) = Stroke::style(*stroke);
            trace(onto, path.finish(), colour, width);
        }
        Mark::Curve(colour, points) => {
            let mut path = PathBuilder::new();
            for (i, [x, y]) in points.iter().enumerate() {
                if i == 0 { path.move_to(*x as f32, *y as f32) } else { path.line_to(*x as f32, *y as f32) }
            }
            trace(onto, path.finish(), colour, 2.0);
        }
    }
}

fn trace(onto: &mut Pixmap, path: Option<Path>, colour: &str, width: f64) {
    let pen = Pen { width: width as f32, ..Pen::default() };
    if let Some(path) = path {
        onto.stroke_path(&path, &paint(colour), &pen, Transform::from_scale(SCALE, SCALE), None);
    }
}

/// Letters beside each other in the font's units, and how wide they are. A letter that is missing is its box.
fn outline(face: &Face<'_>, words: &str) -> (Option<Path>, f32) {
    let mut pen = Letters { path: PathBuilder::new(), x: 0.0 };
    for letter in words.chars() {
        let glyph = face.glyph_index(letter).unwrap_or(ttf_parser::GlyphId(0));
        face.outline_glyph(glyph, &mut pen);
        pen.x += f32::from(face.glyph_hor_advance(glyph).unwrap_or(0));
    }
    (pen.path.finish(), pen.x)
}

struct Letters {
    path: PathBuilder,
    x: f32,
}

impl OutlineBuilder for Letters {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.x + x, y);
    }
    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.x + x, y);
    }
    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.path.quad_to(self.x + x1, y1, self.x + x, y);
    }
    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.path.cubic_to(self.x + x1, y1, self.x + x2, y2, self.x + x, y);
    }
    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::Size;
    use super::*;

    #[test]
    fn the_font_has_every_letter_that_is_written_and_none_is_wider_than_labels_are_fitted_by() {
        let face = Face::parse(FONT, 0).unwrap();
        for letter in (' '..='~').chain("äöüßéø–—…→λ√²≥≤µ−".chars()) {
            assert!(face.glyph_index(letter).is_some(), "{letter}");
        }
        let (_, width) = outline(&face, "RHEarlyVis 0.123 LHPPA");
        let estimate = 22.0 * super::super::figure::LETTER;
        assert!(f64::from(width) / f64::from(face.units_per_em()) * 11.0 < estimate);
    }

    #[test]
    fn pixels_are_where_the_marks_are() {
        let marks = vec![
            Mark::Rect("s0", [0.0, 0.0, 20.0, 10.0], String::new()),
            Mark::Squares("h9", 4.0, vec![[30.0, 2.0]]),
            Mark::Text(Size::Label, Anchor::End, [60.0, 12.0], "l".into()),
        ];
        let figure = Figure { name: "test", what: "W".into(), width: 60.0, height: 20.0, marks, key: vec![] };
        let file = figure.png().unwrap();
        assert_eq!(file, figure.png().unwrap());
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let at = |x: f64, y: f64| {
            let (x, y) = ((x * 2.0) as usize, (y * 2.0) as usize);
            let from = (y * info.width as usize + x) * 3;
            [pixels[from], pixels[from + 1], pixels[from + 2]]
        };
        // Below the heading, inside the margin.
        let top = figure.sheet().height - 20.0 - super::super::figure::MARGIN;
        assert_eq!((at(22.0, top + 5.0), at(44.0, top + 4.0)), (rgb("s0"), rgb("h9")));
        assert_eq!(at(40.0, top + 5.0), [255; 3]);
        // Pixel by pixel: a stem is hardly more than one unit wide.
        let mut places = (130..144).flat_map(|x| (10..24).map(move |y| (f64::from(x) / 2.0, f64::from(y) / 2.0)));
        let dark = places.any(|(x, y)| at(x, top + y)[0] < 100);
        assert!(dark, "a letter leaves ink");
    }
}

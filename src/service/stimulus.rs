//! What is shown? `POST /api/v1/stimulus`: words, the name of a picture or regions of one as JSON, or an image file as the body.
//!
//! An image file's own `Content-Type` says what the body is; what else there is to say then stands in the query:
//! `curl --data-binary @cat.png -H "Content-Type: image/png" ".../api/v1/stimulus?duration=2&label=cat"`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::api::{Command, LARGEST_BODY, LONGEST_TEXT, Stimulus, carry_out, read, whole};
use super::refusal::Refusal;
use super::rows::JsonRows;
use super::state::App;
use crate::frame::{Picture, PictureRegions};

/// The largest body, in bytes: an image file, or JSON with regions of a picture.
pub(super) const LARGEST: usize = 16 << 20;
/// The most columns.
const MOST_COLUMNS: usize = 256;

const FIX: &str = r#"{"text": "…"} or {"image": "FILE"} or {"label": "…"}, with "duration", "onset", "columns", "events" where wanted, and "regions" and "boxes" as rows of numbers where an encoder takes them; or an image file as the body, with Content-Type: image/png, image/jpeg or image/bmp"#;

/// The kinds of image files, and how each begins.
const IMAGES: [(&str, &[u8]); 3] =
    [("image/png", b"\x89PNG\r\n\x1a\n"), ("image/jpeg", b"\xff\xd8\xff"), ("image/bmp", b"BM")];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Said {
    events: Option<String>,
    onset: Option<f64>,
    duration: f64,
    label: Option<String>,
    text: Option<String>,
    image: Option<String>,
    regions: Option<JsonRows>,
    boxes: Option<JsonRows>,
    columns: BTreeMap<String, Cell>,
}

/// Text, or a number as text. Read without a tree of values in between, which would be many times as large as a body.
#[derive(Debug)]
struct Cell(String);

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Cell;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a number in a column")
            }
            fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
                Ok(Cell(text.into()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
                Ok(Cell(number.to_string()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
                Ok(Cell(number.to_string()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
                Ok(Cell(Value::from(number).to_string()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What may stand beside an image file, in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Beside {
    events: Option<String>,
    onset: Option<f64>,
    duration: f64,
    label: Option<String>,
    text: Option<String>,
}

/// `POST /api/v1/stimulus`
pub(super) async fn show(
    State(app): State<Arc<App>>,
    query: Result<Query<Beside>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    app.guard.origin(&headers)?;
    let body = whole(body, "send at most 16 MiB")?;
    let Query(beside) = query.map_err(|error| bad(error.body_text()))?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    // Megabytes of numbers take their time.
    let understood = tokio::task::spawn_blocking(move || understand(&kind, beside, &body)).await;
    let stimulus = understood.map_err(|error| bad(error.to_string()))??;
    carry_out(&app, "stimulus", Command::Stimulus(stimulus)).await
}

fn bad(what: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, what.into(), &format!("send {FIX}"))
}

fn understand(kind: &str, beside: Beside, body: &[u8]) -> Result<Stimulus, Refusal> {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let stimulus = match IMAGES.iter().find(|(name, _)| *name == kind) {
        Some((_, beginning)) if !body.starts_with(beginning) => return Err(bad(format!("the body is no {kind}"))),
        Some(_) => {
            let Beside { events, onset, duration, label, text } = beside;
            let picture = Some(Picture(body.into()));
            Stimulus { events, onset, duration, label, text, picture, ..Stimulus::default() }
        }
        None if kind.starts_with("image/") => return Err(bad(format!("{kind} is not read"))),
        None => {
            let Said { events, onset, duration, label, text, image, regions, boxes, columns } = read(body, FIX)?;
            if regions.is_none() && body.len() > LARGEST_BODY {
                let (what, fix) = ("the body is too large".into(), "send at most 64 KiB of JSON beside regions");
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, what, fix));
            }
            let regions = match (regions, boxes) {
                (None, Some(_)) => return Err(bad("boxes come without regions")),
                (regions, boxes) => {
                    let boxes = boxes.map(|boxes| boxes.0);
                    regions.map(|features| PictureRegions { features: features.0, boxes })
                }
            };
            let columns = columns.into_iter().map(|(name, Cell(text))| (name, text)).collect();
            Stimulus { events, onset, duration, label, text, image, picture: None, regions, columns }
        }
    };
    check(&stimulus)?;
    Ok(stimulus)
}

fn check(stimulus: &Stimulus) -> Result<(), Refusal> {
    let Stimulus { onset, duration, label, text, image, picture, regions, columns, .. } = stimulus;
    let silent = [label, text, image].iter().all(|said| said.is_none()) && columns.is_empty();
    if silent && picture.is_none() && regions.is_none() {
        return Err(bad("the stimulus says nothing"));
    }
    if !duration.is_finite() || *duration < 0.0 {
        return Err(bad("its duration is no length of time"));
    }
    if onset.is_some_and(|onset| !onset.is_finite()) {
        return Err(bad("its onset is no time"));
    }
    let texts = [label, text, image].into_iter().flatten().chain(columns.keys()).chain(columns.values());
    if texts.into_iter().any(|text| text.chars().count() > LONGEST_TEXT) || columns.len() > MOST_COLUMNS {
        return Err(bad("it has a text of more than 4096 characters, or more than 256 columns"));
    }
    let outside = |name: &String| {
        name.is_empty() || !Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
    };
    if image.as_ref().is_some_and(outside) {
        return Err(bad("its image leads out of the stimuli folder"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(body: &str) -> Result<Stimulus, Refusal> {
        understand("application/json", Beside::default(), body.as_bytes())
    }

    #[test]
    fn words_pictures_and_columns_are_understood() {
        let said = json(r#"{"text":"a cat","duration":2,"onset":3.5,"label":"cat","columns":{"heat":48.5}}"#).unwrap();
        assert_eq!((said.text.as_deref(), said.duration, said.onset), (Some("a cat"), 2.0, Some(3.5)));
        assert_eq!(said.columns["heat"], "48.5");
        assert_eq!(json(r#"{"image":"set/cat.png"}"#).unwrap().image.as_deref(), Some("set/cat.png"));
        let found = json(r#"{"text":"a","regions":[[1, 2], [3, 4]],"boxes":[[0,0,1,1],[0,0,0.5,1]]}"#).unwrap().regions;
        let found = found.unwrap();
        assert_eq!((found.features.count(), found.features.width(), found.boxes.unwrap().count()), (2, 2, 2));
        let beside = Beside { duration: 1.5, ..Beside::default() };
        let shown = understand("image/PNG; q=1", beside, b"\x89PNG\r\n\x1a\nrest").unwrap();
        assert_eq!((shown.picture.unwrap().0.len(), shown.duration), (12, 1.5));
    }

    #[test]
    fn what_cannot_be_shown_is_refused_with_the_fix() {
        for (body, says) in [
            ("{}", "says nothing"),
            (r#"{"image":"../secret.png"}"#, "leads out"),
            (r#"{"image":"/etc/passwd"}"#, "leads out"),
            (r#"{"text":"a","duration":-1}"#, "duration"),
            (r#"{"text":"a","txt":"b"}"#, "unknown field `txt`"),
            (r#"{"columns":{"a":[1]}}"#, "expected text or a number in a column"),
            (r#"{"text":"a","boxes":[[0,0,1,1]]}"#, "boxes come without regions"),
            (r#"{"text":"a","regions":[[1],[1,2]]}"#, "row 1 has 2 numbers, row 0 has 1"),
            (r#"{"text":"a","regions":"a.npz"}"#, "expected rows of numbers"),
        ] {
            let refusal = json(body).unwrap_err().to_string();
            assert!(refusal.contains(says) && refusal.contains("Content-Type"), "{body}: {refusal}");
        }
        let as_kind = |kind: &str, body: &[u8]| understand(kind, Beside::default(), body).unwrap_err().to_string();
        assert!(as_kind("image/png", b"GIF89a").contains("no image/png"));
        assert!(as_kind("image/webp", b"RIFF").contains("is not read"));
        assert!(as_kind("application/json", &[b' '; LARGEST_BODY + 1]).contains("64 KiB"));
    }
}

//! What can be commanded? Learn, freeze, a new run, a marker, a checkpoint; and status can be asked for.
//!
//! `POST /api/v1/NAME` with a small JSON object, or nothing; unknown keys are refused. Answers are JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::refusal::{Refusal, answer};
use super::state::App;
use crate::frame::{Picture, PictureRegions};

/// The largest body of a command, in bytes.
pub(super) const LARGEST_BODY: usize = 64 * 1024;
/// The longest text of a marker, in characters.
pub(super) const LONGEST_TEXT: usize = 4096;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);

const NAMES: &str = "learn, freeze, run, marker, checkpoint, stimulus";

/// What a client commands. Where no predictor is named, all are meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Learn from now on.
    Learn {
        /// Which predictor.
        predictor: Option<String>,
    },
    /// Predict, but learn no more.
    Freeze {
        /// Which predictor.
        predictor: Option<String>,
    },
    /// Begin a new run.
    Run,
    /// Something happened now.
    Marker {
        /// Which event source it belongs to; may be left out where there is one.
        events: Option<String>,
        /// A sentence for a text encoder.
        text: Option<String>,
        /// A trial type, or a run marker.
        label: Option<String>,
        /// Seconds; 0 or more.
        duration: Option<f64>,
    },
    /// Something is shown.
    Stimulus(Stimulus),
    /// Write a checkpoint now.
    Checkpoint {
        /// Which predictor.
        predictor: Option<String>,
    },
}

/// What is shown: words, a picture, regions of one, or what a design matrix knows of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stimulus {
    /// Which event source it belongs to; may be left out where there is one.
    pub events: Option<String>,
    /// When it begins, in seconds on the session's clock; now.
    pub onset: Option<f64>,
    /// Seconds; 0 or more.
    pub duration: f64,
    /// A trial type: the column `trial_type`.
    pub label: Option<String>,
    /// A sentence for a text encoder.
    pub text: Option<String>,
    /// An image file, from an image encoder's stimuli folder on.
    pub image: Option<String>,
    /// An image file's contents.
    pub picture: Option<Picture>,
    /// What a detector found in its picture.
    pub regions: Option<PictureRegions>,
    /// Cells by column, for encoders of columns.
    pub columns: BTreeMap<String, String>,
}

/// Carries out commands. Called on a thread that may block.
pub trait Control: Send + Sync {
    /// What came of it, as a JSON object.
    ///
    /// # Errors
    /// Why it was not done, naming the fix: a predictor of another name, no event source, a full disk.
    fn command(&self, command: Command) -> Result<Value, String>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    predictor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    events: Option<String>,
    text: Option<String>,
    label: Option<String>,
    duration: Option<f64>,
}

fn parse(name: &str, body: &[u8]) -> Result<Command, Refusal> {
    Ok(match name {
        "learn" => Command::Learn { predictor: read::<Of>(body, r#"{"predictor": "NAME"}, or nothing"#)?.predictor },
        "freeze" => Command::Freeze { predictor: read::<Of>(body, r#"{"predictor": "NAME"}, or nothing"#)?.predictor },
        "checkpoint" => {
            Command::Checkpoint { predictor: read::<Of>(body, r#"{"predictor": "NAME"}, or nothing"#)?.predictor }
        }
        "run" => {
            read::<Nothing>(body, "no body")?;
            Command::Run
        }
        "marker" => {
            let fix = r#"{"text": "…", "label": "…", "duration": SECONDS, "events": "NAME"}, with text or label"#;
            let Marker { events, text, label, duration } = read(body, fix)?;
            let bad = |what: &str| Refusal::new(StatusCode::BAD_REQUEST, what.into(), &format!("send {fix}"));
            if text.is_none() && label.is_none() {
                return Err(bad("the marker says nothing"));
            }
            if duration.is_some_and(|seconds| !seconds.is_finite() || seconds < 0.0) {
                return Err(bad("the marker's duration is no length of time"));
            }
            if [&text, &label].into_iter().flatten().any(|text| text.chars().count() > LONGEST_TEXT) {
                return Err(bad("the marker has more than 4096 characters"));
            }
            Command::Marker { events, text, label, duration }
        }
        _ => {
            let what = format!("there is no command {name:?}");
            return Err(Refusal::new(StatusCode::NOT_FOUND, what, &format!("use one of {NAMES}")));
        }
    })
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8], expected: &str) -> Result<T, Refusal> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        let what = format!("the body is not what this command takes: {error}");
        Refusal::new(StatusCode::BAD_REQUEST, what, &format!("send {expected}"))
    })
}

/// `POST /api/v1/{name}`
pub(super) async fn command(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    app.guard.origin(&headers)?;
    let body = whole(body, "send at most 64 KiB")?;
    carry_out(&app, &name, parse(&name, &body)?).await
}

/// The body, unless it is too large, for which `fix` says how large it may be, or broke off.
pub(super) fn whole(body: Result<Bytes, BytesRejection>, fix: &str) -> Result<Bytes, Refusal> {
    body.map_err(|error| match error.status() {
        status @ StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(status, "the body is too large".into(), fix),
        status => Refusal::new(status, error.body_text(), "send the whole body"),
    })
}

/// Hands a command to the daemon and waits for what came of it.
pub(super) async fn carry_out(app: &App, name: &str, command: Command) -> Result<Response, Refusal> {
    tracing::info!(?command, "commanded");
    let control = Arc::clone(&app.control);
    let done = tokio::task::spawn_blocking(move || control.command(command));
    match tokio::time::timeout(PATIENCE, done).await {
        Ok(Ok(Ok(value))) => Ok(answer(StatusCode::OK, &value)),
        Ok(Ok(Err(why))) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why, "see GET /api/v1/status")),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{name} failed"),
            "this is a defect: please report it with the daemon's log",
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("{name} is not done after {} s", PATIENCE.as_secs()),
            "it may still be carried out: see GET /api/v1/status",
        )),
    }
}

/// `GET /api/v1/status`
pub(super) async fn status(State(app): State<Arc<App>>) -> Response {
    let reasons = app.not_ready();
    let sinks: serde_json::Map<_, _> = ["bus", "websocket", "jsonl"]
        .map(|sink| (sink.to_owned(), app.metrics.sink(sink).get().into()))
        .into_iter()
        .collect();
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": reasons.is_empty(),
        "alive": app.is_alive(),
        "waiting_for": reasons.iter().map(|(part, reason)| json!({"part": part, "reason": reason})).collect::<Vec<_>>(),
        "clients": app.clients(),
        "max_clients": app.max_clients,
        "dropped": sinks,
        "daemon": app.health.summary(),
    });
    answer(StatusCode::OK, &status)
}

/// `GET /api/v1/regions`
pub(super) async fn regions(State(app): State<Arc<App>>) -> Response {
    match serde_json::to_value(app.bus.regions().iter().map(AsRef::as_ref).collect::<Vec<_>>()) {
        Ok(regions) => answer(StatusCode::OK, &regions),
        Err(error) => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), "this is a defect").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_nothing_is_an_empty_object() {
        assert_eq!(parse("learn", b"").unwrap(), Command::Learn { predictor: None });
        assert_eq!(
            parse("freeze", br#"{"predictor":"regions"}"#).unwrap(),
            Command::Freeze { predictor: Some("regions".into()) }
        );
        assert_eq!(parse("run", b" \n").unwrap(), Command::Run);
        let marker = parse("marker", br#"{"text":"painful heat","duration":2}"#).unwrap();
        let Command::Marker { text, duration, .. } = marker else { panic!("{marker:?}") };
        assert_eq!((text.as_deref(), duration), (Some("painful heat"), Some(2.0)));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_fix() {
        for (name, body, says) in [
            ("learn", r#"{"predictr":"x"}"#, "unknown field `predictr`"),
            ("run", r#"{"run":1}"#, "unknown field `run`"),
            ("freeze", "[", "EOF"),
            ("marker", "{}", "says nothing"),
            ("marker", r#"{"label":"a","duration":-1}"#, "duration"),
            ("teach", "", "no command \"teach\""),
        ] {
            let refusal = parse(name, body.as_bytes()).unwrap_err();
            assert!(refusal.to_string().contains(says), "{name} {body}: {refusal}");
        }
        let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(LONGEST_TEXT + 1));
        assert!(parse("marker", long.as_bytes()).unwrap_err().to_string().contains("4096"));
    }
}

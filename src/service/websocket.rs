//! What does a WebSocket client get? The names of all regions, then the frames it asked for, as they are made.
//!
//! `/ws?predictor=a,b&kind=encoded,measured&format=json|binary&edges=true`; what is left out means everything, as JSON,
//! networks without their edges. Clients
//! may send one thing, a new choice: `{"subscribe": {"predictor": ["a"], "kind": ["encoded"]}}`. Close codes are those
//! of RFC 6455, section 7.4: 1001 when neurod ends, 1002 for broken frames, 1003 for binary messages, 1007 for text
//! that is no JSON, 1008 for JSON that says nothing known, 1009 for more than 4 KiB.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Error as ProtocolError;

use super::bridge::{Filter, Subscriber};
use super::refusal::Refusal;
use super::state::App;
use crate::frame::{Clock, FrameKind, MonotonicClock};

/// The largest message of a client, in bytes; it has little to say.
const LARGEST: usize = 4096;
/// What is read of a message that is too large, so that its sender hears why before it is cut off.
const LARGEST_READ: usize = 64 * 1024;
/// How long a client that was told to go may take to do so.
const FAREWELL: Duration = Duration::from_secs(1);
/// The WebSocket protocol that a page names beside its token.
const PROTOCOL: &str = "neurod.v1";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Choice {
    predictor: Option<String>,
    kind: Option<String>,
    format: Format,
    edges: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Binary,
}

impl Choice {
    fn filter(&self) -> Result<Filter, String> {
        let list = |text: &Option<String>| -> Vec<String> {
            let items = text.iter().flat_map(|t| t.split(',')).map(|item| item.trim().to_owned());
            items.filter(|item| !item.is_empty()).collect()
        };
        let filter = filter(list(&self.predictor), &list(&self.kind), self.format)?;
        Ok(Filter { edges: self.edges, ..filter })
    }
}

fn filter(predictors: Vec<String>, kinds: &[String], format: Format) -> Result<Filter, String> {
    let mut filter = Filter { predictors, json: format == Format::Json, ..Filter::default() };
    for name in kinds {
        match name.as_str() {
            "measured" => filter.kinds.push(FrameKind::Measured),
            "encoded" => filter.kinds.push(FrameKind::Encoded),
            "decoded" => filter.kinds.push(FrameKind::Decoded),
            "residual" => filter.kinds.push(FrameKind::Residual),
            "contrast" => filter.kinds.push(FrameKind::Contrast),
            "identification" => filter.identification = true,
            "network" => filter.networks = true,
            "outcome" => filter.outcomes = true,
            "quality" => filter.quality = true,
            _ => {
                return Err(format!(
                    "there is no kind {name:?}: use measured, encoded, decoded, residual, contrast, identification, network, outcome or quality"
                ));
            }
        }
    }
    Ok(filter)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    subscribe: Subscribe,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    #[serde(default)]
    predictor: Vec<String>,
    #[serde(default)]
    kind: Vec<String>,
}

/// `GET /ws`
pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    choice: Result<Query<Choice>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    app.guard.origin(&headers)?;
    let bad = |what: String| {
        let fix = "connect to /ws?predictor=NAME,…&kind=measured,encoded,decoded,residual,contrast,identification,network,outcome,quality&format=json|binary&edges=true";
        Refusal::new(StatusCode::BAD_REQUEST, what, fix)
    };
    let Query(choice) = choice.map_err(|error| bad(error.body_text()))?;
    let filter = choice.filter().map_err(bad)?;
    let upgrade = upgrade.map_err(|error| {
        Refusal::new(error.status(), error.body_text(), "connect with a WebSocket client, as `websocat` is")
    })?;
    let Ok(place) = Arc::clone(&app.places).try_acquire_owned() else {
        let what = format!("all {} places for WebSocket clients are taken", app.max_clients);
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, what, "close one, or raise service.max_clients");
        let mut response = refusal.into_response();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        return Ok(response);
    };
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(LARGEST_READ).max_frame_size(LARGEST_READ);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let frames = app.bus.subscribe(filter, app.client_queue, app.dropped.clone());
        let session = Session { socket, frames, format: choice.format, edges: choice.edges, ping: app.ping };
        // The frames' runtime carries it from here on; this one goes back to answering.
        app.service.spawn(async move {
            session.run().await;
            drop(place);
        });
    }))
}

struct Session {
    socket: WebSocket,
    frames: Subscriber,
    format: Format,
    edges: bool,
    ping: Duration,
}

impl Session {
    async fn run(mut self) {
        let patience = self.ping * 3;
        let mut pings = interval(self.ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.tick().await;
        let mut heard = MonotonicClock.now();
        loop {
            let message = tokio::select! {
                biased;
                received = self.socket.recv() => {
                    heard = MonotonicClock.now();
                    match self.hear(received) {
                        Heard::Nothing => continue,
                        Heard::Gone => return,
                        Heard::Wrong(code, why) => return self.farewell(code, why).await,
                    }
                }
                _ = pings.tick() => {
                    if MonotonicClock.now() - heard > patience.as_secs_f64() {
                        tracing::info!("a WebSocket client is silent and is dropped");
                        return;
                    }
                    Message::Ping(Default::default())
                }
                next = self.frames.next() => match next {
                    None => return self.farewell(1001, "neurod ends".into()).await,
                    Some(next) => {
                        let binary = if self.format == Format::Binary { next.binary() } else { None };
                        let text = || if self.edges { next.json_with_edges() } else { next.json() };
                        match binary.map(Message::Binary).or_else(|| text().map(Message::Text)) {
                            Some(message) => message,
                            None => continue,
                        }
                    }
                }
            };
            // A client that does not read fills its socket, then its queue, and in the end is gone.
            match timeout(patience, self.socket.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    tracing::info!("a WebSocket client does not read and is dropped");
                    return;
                }
            }
        }
    }

    fn hear(&mut self, received: Option<Result<Message, axum::Error>>) -> Heard {
        match received {
            None | Some(Ok(Message::Close(_))) => Heard::Gone,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Heard::Nothing,
            Some(Ok(Message::Binary(bytes))) if bytes.len() > LARGEST => too_large(),
            Some(Ok(Message::Binary(_))) => Heard::Wrong(1003, "send JSON as text".into()),
            Some(Ok(Message::Text(text))) if text.len() > LARGEST => too_large(),
            Some(Ok(Message::Text(text))) => match understand(&text, self.format) {
                Ok(filter) => {
                    self.frames.set_filter(filter);
                    Heard::Nothing
                }
                Err((code, why)) => Heard::Wrong(code, why),
            },
            Some(Err(error)) => match error.into_inner().downcast_ref::<ProtocolError>() {
                Some(ProtocolError::Capacity(_)) => too_large(),
                Some(ProtocolError::Utf8(_)) => Heard::Wrong(1007, "text must be UTF-8".into()),
                Some(ProtocolError::Protocol(what)) => Heard::Wrong(1002, what.to_string()),
                _ => Heard::Gone,
            },
        }
    }

    /// Says why, and waits for the client to have heard it: a socket closed with bytes unread resets the connection.
    async fn farewell(mut self, code: u16, why: String) {
        let why = why.chars().take(60).collect::<String>();
        let close = Message::Close(Some(CloseFrame { code, reason: why.into() }));
        let _ = timeout(FAREWELL, async {
            if self.socket.send(close).await.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        })
        .await;
    }
}

enum Heard {
    Nothing,
    Gone,
    Wrong(u16, String),
}

fn too_large() -> Heard {
    Heard::Wrong(1009, "a message may have at most 4096 bytes".into())
}

fn understand(text: &str, format: Format) -> Result<Filter, (u16, String)> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|_| (1007, "send JSON".to_owned()))?;
    let Said { subscribe } = serde_json::from_value(value)
        .map_err(|_| (1008, r#"send {"subscribe": {"predictor": [], "kind": []}}"#.to_owned()))?;
    filter(subscribe.predictor, &subscribe.kind, format).map_err(|why| (1008, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_list_and_nothing_means_everything() {
        let choice = Choice {
            predictor: Some("a, b".into()),
            kind: Some("encoded".into()),
            format: Format::Binary,
            edges: false,
        };
        let filter = choice.filter().unwrap();
        assert_eq!((filter.predictors.len(), filter.kinds, filter.json), (2, vec![FrameKind::Encoded], false));
        assert_eq!(Choice::default().filter().unwrap(), Filter { json: true, ..Filter::default() });
        let ranks = Choice { kind: Some("identification".into()), ..Choice::default() }.filter().unwrap();
        assert!(ranks.identification && ranks.kinds.is_empty());
        let wrong = Choice { kind: Some("encoded,imagined".into()), ..Choice::default() };
        assert!(wrong.filter().unwrap_err().contains("\"imagined\""));
    }

    #[test]
    fn only_one_thing_can_be_said() {
        let said = understand(r#"{"subscribe":{"kind":["measured"]}}"#, Format::Json).unwrap();
        assert_eq!(said.kinds, [FrameKind::Measured]);
        for (text, code) in [
            ("hello", 1007),
            (r#"{"subscribe":"#, 1007),
            (r#"{"hello":1}"#, 1008),
            (r#"{"subscribe":{"kind":["imagined"]}}"#, 1008),
            (r#"{"subscribe":{},"more":1}"#, 1008),
        ] {
            assert_eq!(understand(text, Format::Json).unwrap_err().0, code, "{text}");
        }
    }
}

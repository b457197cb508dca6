//! Does every WebSocket client get its frames, whatever the others do? With tungstenite on the other side.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "common/service.rs"]
mod service;

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use neurod::frame::FrameKind;
use neurod::publish::{FramePort, Outgoing, wire};
use serde_json::Value;
use service::*;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE * 2, test).await.expect("the test hangs") })
}

/// Connected, and known to be served: the daemon's answer to a client is its first message.
async fn connect(running: &Running, query: &str) -> Socket {
    connect_async(format!("ws://{}/ws{query}", running.address())).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Message {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("nothing comes").expect("it is open").unwrap()
        {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

async fn next_json(socket: &mut Socket) -> Value {
    serde_json::from_str(next(socket).await.to_text().unwrap()).unwrap()
}

async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        if let Message::Close(frame) = next(socket).await {
            return frame.unwrap().code.into();
        }
    }
}

fn with_regions(config: &str, values: usize) -> Running {
    let running = start(config);
    running.bus.send(Outgoing::Regions(Arc::new(regions(values))));
    running
}

#[test]
fn names_come_first_then_the_frames_that_were_asked_for() {
    run(async {
        let running = with_regions("", 3);
        let mut all = connect(&running, "").await;
        let mut some = connect(&running, "?predictor=regions,other&kind=measured,residual").await;
        let mut bytes = connect(&running, "?format=binary").await;
        for socket in [&mut all, &mut some, &mut bytes] {
            let first = next_json(socket).await;
            assert_eq!((&first["schema"], &first["names"][0]), (&"neurod.regions.v1".into(), &"region 1".into()));
        }
        running.publish_as("regions", FrameKind::Encoded, 0, 3);
        running.publish_as("eeg", FrameKind::Measured, 0, 3);
        running.publish_as("regions", FrameKind::Measured, 5, 3);
        for (predictor, kind) in [("regions", "encoded"), ("eeg", "measured"), ("regions", "measured")] {
            let frame = next_json(&mut all).await;
            assert_eq!((&frame["predictor"], &frame["kind"]), (&predictor.into(), &kind.into()));
            let Message::Binary(frame) = next(&mut bytes).await else { panic!("not binary") };
            let frame = wire::decode(&frame).unwrap();
            assert_eq!((&*frame.predictor, frame.kind.as_str(), frame.values[2]), (predictor, kind, -0.75));
        }
        assert_eq!(next_json(&mut some).await["seq"], 5, "the only one of that predictor and kind");

        // Another choice, and names that change meanwhile.
        some.send(Message::text(r#"{"subscribe":{"kind":["decoded"]}}"#)).await.unwrap();
        some.send(Message::Ping("heard".into())).await.unwrap();
        while !matches!(some.next().await.unwrap().unwrap(), Message::Pong(_)) {}
        running.publish_as("regions", FrameKind::Measured, 6, 3);
        running.bus.send(Outgoing::Regions(Arc::new(regions(4))));
        running.publish_as("eeg", FrameKind::Decoded, 7, 4);
        assert_eq!(next_json(&mut some).await["names"][3], "region 4");
        assert_eq!(next_json(&mut some).await["seq"], 7);
    });
}

#[test]
fn a_client_that_does_not_read_loses_its_own_oldest_frames_and_nobody_elses() {
    run(async {
        let running = with_regions("client_queue = 8\nping = 3600.0", 8000);
        let mut slow = connect(&running, "?format=binary").await;
        let mut fast = connect(&running, "?format=binary").await;
        next(&mut slow).await;
        next(&mut fast).await;
        let dropped = running.metrics.sink("websocket");
        let mut last = 0;
        // In step with the fast client, until the slow one's socket and queue are full.
        for seq in 0..5000 {
            running.publish(seq, 8000);
            let Message::Binary(bytes) = next(&mut fast).await else { panic!("not binary") };
            let frame = wire::decode(&bytes).unwrap();
            assert_eq!((frame.seq, frame.quality.names().count()), (seq, 0));
            last = seq;
            if dropped.get() >= 20 {
                break;
            }
        }
        let lost = dropped.get();
        assert!(lost >= 20, "{lost} dropped after {last} frames");
        assert_eq!(running.metrics.sink("bus").get(), 0);
        // It reads again: a hole, flagged where it ends, and no other.
        let (mut expected, mut missed) = (0, 0);
        while expected <= last {
            let Message::Binary(bytes) = next(&mut slow).await else { panic!("not binary") };
            let frame = wire::decode(&bytes).unwrap();
            let flagged: Vec<_> = frame.quality.names().collect();
            if frame.seq == expected {
                assert!(flagged.is_empty(), "{} {flagged:?}", frame.seq);
            } else {
                assert_eq!(flagged, ["DROPPED_BEFORE"]);
            }
            missed += frame.seq - expected;
            expected = frame.seq + 1;
        }
        assert_eq!(missed, lost);
    });
}

#[test]
fn what_clients_must_not_send_closes_their_connection_with_a_code_and_nobody_elses() {
    run(async {
        let running = with_regions("", 3);
        let mut quiet = connect(&running, "").await;
        next(&mut quiet).await;
        let large = "x".repeat(5000);
        let larger = "x".repeat(1 << 20);
        for (message, code) in [
            (Message::text("hello"), 1007),
            (Message::text(r#"{"hello":1}"#), 1008),
            (Message::text(r#"{"subscribe":{"kind":["imagined"]}}"#), 1008),
            (Message::binary(vec![1, 2, 3]), 1003),
            (Message::text(large), 1009),
            (Message::text(larger), 1009),
        ] {
            let mut socket = connect(&running, "").await;
            next(&mut socket).await;
            // What is too large may be refused before it has been sent whole.
            let _ = tokio::time::timeout(Duration::from_millis(500), socket.send(message)).await;
            assert_eq!(close_code(&mut socket).await, code);
        }
        running.publish(1, 3);
        assert_eq!(next_json(&mut quiet).await["seq"], 1);
    });
}

/// A WebSocket of bare bytes, after the handshake.
fn bare(running: &Running) -> TcpStream {
    let mut socket = TcpStream::connect(running.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        running.address()
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    socket
}

#[test]
fn broken_frames_and_broken_text_are_told_apart() {
    let running = start("");
    // A masked frame with reserved bits set; masked text that is not UTF-8; a frame that says it has 2^40 bytes.
    for (bytes, code) in [
        (&[0xf1, 0x80, 0, 0, 0, 0][..], 1002u16),
        (&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe], 1007),
        (&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
    ] {
        let mut socket = bare(&running);
        socket.write_all(bytes).unwrap();
        let mut head = [0; 4];
        socket.read_exact(&mut head).unwrap();
        assert_eq!((head[0], u16::from_be_bytes([head[2], head[3]])), (0x88, code));
    }
    assert_eq!(running.get("/readyz").0, 200);
}

#[test]
fn a_client_that_answers_no_ping_is_dropped() {
    let running = start("ping = 0.05");
    let mut socket = bare(&running);
    let mut received = Vec::new();
    socket.read_to_end(&mut received).expect("an end within the time");
    assert!(received.starts_with(&[0x89, 0]), "a ping came before: {received:?}");
    running.until("/api/v1/status", |_, body| body.contains("\"clients\":0"));
}

#[test]
fn a_wrong_query_and_one_client_too_many_are_told_so() {
    run(async {
        let running = start("max_clients = 1");
        let refused = |query: &'static str| {
            let url = format!("ws://{}/ws{query}", running.address());
            async move {
                match connect_async(url).await {
                    Err(Error::Http(response)) => {
                        let body: Value = serde_json::from_slice(response.body().as_deref().unwrap()).unwrap();
                        assert!(body["fix"].is_string(), "{body}");
                        (response.status().as_u16(), body["error"].to_string())
                    }
                    other => panic!("{query}: {other:?}"),
                }
            }
        };
        for (query, says) in [("?kind=imagined", "imagined"), ("?format=xml", "xml"), ("?predictr=a", "predictr")] {
            let (status, error) = refused(query).await;
            assert!(status == 400 && error.contains(says), "{query}: {status} {error}");
        }
        let first = connect(&running, "").await;
        assert_eq!(refused("").await.0, 503);
        drop(first);
        running.until("/api/v1/status", |_, body| body.contains("\"clients\":0"));
        connect(&running, "").await;
        let (status, body) = running.get("/ws");
        assert!(status == 400 && body.contains("websocat"), "{status} {body}");
    });
}

#[test]
fn a_page_shows_the_token_as_a_protocol() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        let running = with_regions(&format!("token_file = {path:?}"), 3);
        let request = |protocol: &str| {
            let mut request = format!("ws://{}/ws", running.address()).into_client_request().unwrap();
            request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().unwrap());
            connect_async(request)
        };
        let (mut socket, response) = request("neurod.v1, bearer.0123456789abcdef").await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "neurod.v1");
        assert_eq!(next_json(&mut socket).await["schema"], "neurod.regions.v1");
        assert!(
            matches!(request("neurod.v1, bearer.0123456789abcdeg").await, Err(Error::Http(r)) if r.status() == 401)
        );
    });
}

#[test]
fn the_end_flushes_every_client_and_the_lines_and_says_good_bye() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames.jsonl");
        let running = start_with("", Some(path.clone()));
        running.bus.send(Outgoing::Regions(Arc::new(regions(3))));
        let mut socket = connect(&running, "").await;
        next(&mut socket).await;
        (0..100).for_each(|seq| running.publish(seq, 3));
        let client = tokio::spawn(async move {
            for seq in 0..100 {
                assert_eq!(next_json(&mut socket).await["seq"], seq);
            }
            close_code(&mut socket).await
        });
        let stopped = tokio::task::spawn_blocking(move || running.service.stop(PATIENCE));
        assert_eq!(client.await.unwrap(), 1001);
        assert!(stopped.await.unwrap(), "nothing is left behind");
        let lines: Vec<Value> =
            std::fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[0]["schema"]), (101, &"neurod.regions.v1".into()));
        assert!((0..100).all(|i| lines[i + 1]["seq"] == i));
    });
}

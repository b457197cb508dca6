//! Which address answers what? The router, and what is cheap enough to answer at any time.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::refusal::{Refusal, answer};
use super::state::App;
use super::{api, stimulus, websocket};
use crate::frame::{Clock, MonotonicClock};

/// How often it is looked whether they do.
const LOOK: Duration = Duration::from_millis(250);

const PAGE: &str = include_str!("page.html");

/// Serves until told to stop, or until nobody can tell any more.
pub(super) async fn serve(listener: TcpListener, app: Arc<App>, stop: oneshot::Receiver<()>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|socket| {
        // A frame is small and wanted now.
        let _ = socket.set_nodelay(true);
    });
    let served = axum::serve(listener, router(Arc::clone(&app)));
    tokio::select! {
        ended = async move { served.await } => ended,
        () = watch(&app) => Ok(()),
        _ = stop => Ok(()),
    }
}

/// Feels the lanes' pulse.
async fn watch(app: &App) {
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        app.pulse.look(app.health.beats(), MonotonicClock.now());
    }
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/ws", get(websocket::upgrade))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/regions", get(api::regions))
        .route("/api/v1/stimulus", post(stimulus::show).layer(DefaultBodyLimit::max(stimulus::LARGEST)))
        .route("/api/v1/{command}", post(api::command))
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(api::LARGEST_BODY))
        .layer(from_fn_with_state(Arc::clone(&app), check))
        .with_state(app)
}

/// Every request comes through here first.
async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let open = matches!(request.uri().path(), "/healthz" | "/readyz" | "/");
    let headers = request.headers();
    let allowed = app.guard.host(headers).and_then(|()| if open { Ok(()) } else { app.guard.token(headers) });
    let mut response = match allowed {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    response
}

/// The live view holds no data: it asks for them, with the token where there is one.
async fn page() -> Response {
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                  img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (HeaderName::from_static("content-security-policy"), policy),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ];
    (headers, PAGE).into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    app.metrics.set_ready(app.not_ready().is_empty());
    app.metrics.set_clients(app.clients());
    match app.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), "this is a defect").into_response()
        }
    }
}

async fn healthz(State(app): State<Arc<App>>) -> Response {
    if app.is_alive() {
        return answer(StatusCode::OK, &json!({"alive": true}));
    }
    let still = app.pulse.still(MonotonicClock.now());
    let what = format!("the real-time lanes have stood still for {still:.1} s");
    answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"alive": false, "error": what, "fix": "restart neurod"}))
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    let reasons = app.not_ready();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let waiting: Vec<Value> = reasons.iter().map(|(part, reason)| json!({"part": part, "reason": reason})).collect();
    answer(status, &json!({"ready": reasons.is_empty(), "waiting_for": waiting}))
}

async fn nowhere(request: Request) -> Refusal {
    let what = format!("there is nothing at {:?}", request.uri().path());
    let fix = "see /, /metrics, /healthz, /readyz, /ws, /api/v1/status, /api/v1/regions";
    Refusal::new(StatusCode::NOT_FOUND, what, fix)
}

async fn wrong_method(method: Method, request: Request) -> Refusal {
    let what = format!("{:?} does not take {method}", request.uri().path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, what, "ask with GET; command with POST")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_brings_everything_with_it() {
        for outside in ["src=\"http", "href=\"http", "@import", "url(http", "innerHTML"] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
    }
}

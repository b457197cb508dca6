//! Who may ask? Programs of this machine, and people who know the token; never a web page from elsewhere.
//!
//! A browser lets any page send requests to loopback. Three checks keep such pages out: the `Host` header must name
//! loopback or a configured host (DNS rebinding), an `Origin` must be our own page (cross-site requests and
//! WebSockets), and, where a token is configured, it must be shown.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::refusal::Refusal;

/// The fewest characters of a token.
const SHORTEST_TOKEN: usize = 16;
/// The most bytes of a token file.
const LARGEST_TOKEN: usize = 4096;

/// Why a token file cannot be used.
#[derive(Debug, Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("service.token_file {path:?} cannot be read: {source} (let the daemon's user read it)")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error(
        "service.token_file {path:?} holds no usable token: {problem} (make one with `openssl rand -hex 32 > FILE`)"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// The secret that clients show. Never printed.
pub(super) struct Token(String);

impl Token {
    /// The token in this file, without white space around it.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let unusable = |problem: String| TokenError::Unusable { path: path.into(), problem };
        let bytes = std::fs::read(path).map_err(|source| TokenError::Read { path: path.into(), source })?;
        if bytes.len() > LARGEST_TOKEN {
            return Err(unusable(format!("it has {} bytes, at most {LARGEST_TOKEN} are read", bytes.len())));
        }
        let text = String::from_utf8(bytes).map_err(|_| unusable("it is not text".into()))?;
        let token = text.trim();
        // What a browser may send as the name of a WebSocket protocol, which is the only way a page can show a token.
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+".contains(c);
        if let Some(other) = token.chars().find(|c| !allowed(*c)) {
            return Err(unusable(format!("{other:?} is not among letters, digits and -._~+")));
        }
        if token.len() < SHORTEST_TOKEN {
            let len = token.len();
            return Err(unusable(format!("it has {len} characters, at least {SHORTEST_TOKEN} are needed")));
        }
        Ok(Self(token.into()))
    }

    fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

/// Checks requests before anything else sees them.
pub(super) struct Guard {
    pub token: Option<Token>,
    /// Names beside loopback's, of a proxy that passes its own on.
    pub hosts: Vec<String>,
}

impl Guard {
    /// Whether the request was meant for us.
    pub fn host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let refuse = |what: String| {
            Refusal::new(
                StatusCode::FORBIDDEN,
                what,
                "ask for 127.0.0.1 or localhost; a proxy's own name goes into service.hosts",
            )
        };
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(refuse("the request needs exactly one Host header".into()));
        };
        match host.to_str().ok().and_then(authority) {
            Some(authority) if self.knows(authority.host()) => Ok(()),
            _ => Err(refuse(format!("the Host header {host:?} does not name this service"))),
        }
    }

    /// Whether the request comes from our own page, or from no page at all. Browsers send `Origin` with every POST and
    /// WebSocket; the port must be that of the `Host`, so that another page served from loopback stays out too.
    pub fn origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let host = headers.get(HOST).and_then(|h| h.to_str().ok()).and_then(authority);
        let own = match (origin.to_str().ok().and_then(|o| o.parse::<Uri>().ok()), host, origins.next()) {
            (Some(uri), Some(host), None) => {
                let default = match uri.scheme_str() {
                    Some("http") => Some(80),
                    Some("https") => Some(443),
                    _ => None,
                };
                let from = uri.authority().map(Authority::as_str).and_then(authority);
                from.is_some_and(|from| {
                    let name = from.host().eq_ignore_ascii_case(host.host())
                        || (is_loopback(from.host()) && is_loopback(host.host()));
                    default.is_some() && name && from.port_u16().or(default) == host.port_u16().or(default)
                })
            }
            _ => false,
        };
        if own {
            return Ok(());
        }
        let what = format!("a page of {origin:?} may not command this service");
        Err(Refusal::new(StatusCode::FORBIDDEN, what, "use the page that this service serves at /"))
    }

    /// Whether the token was shown, where there is one.
    pub fn token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else { return Ok(()) };
        let bearer = headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok()).and_then(|value| {
            let (scheme, shown) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| shown.trim())
        });
        let mut protocols = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|h| h.to_str().ok());
        let protocol = || protocols.find_map(|list| list.split(',').find_map(|p| p.trim().strip_prefix("bearer.")));
        match bearer.or_else(protocol) {
            Some(shown) if token.is(shown) => Ok(()),
            shown => {
                let what = if shown.is_some() { "that is not the token" } else { "this service asks for its token" };
                let fix = "send the header `Authorization: Bearer TOKEN` with what service.token_file holds";
                Err(Refusal::new(StatusCode::UNAUTHORIZED, what.into(), fix))
            }
        }
    }

    fn knows(&self, name: &str) -> bool {
        is_loopback(name) || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// A host and port, without the user that a URL might smuggle in before them.
fn authority(text: &str) -> Option<Authority> {
    let authority = text.parse::<Authority>().ok()?;
    let exact = authority.as_str() == authority.host() || authority.port_u16().is_some();
    (exact && !authority.as_str().contains('@')).then_some(authority)
}

fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(axum::http::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn guard() -> Guard {
        Guard { token: None, hosts: vec!["brain.example.org".into()] }
    }

    #[test]
    fn only_loopback_and_configured_hosts_are_served() {
        for host in ["127.0.0.1:9464", "localhost", "LOCALHOST:80", "[::1]:9464", "127.9.9.9", "Brain.example.org"] {
            assert!(guard().host(&headers(&[(HOST, host)])).is_ok(), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1:9464", "evil@127.0.0.1", "", "127.0.0.1:x"] {
            assert!(guard().host(&headers(&[(HOST, host)])).is_err(), "{host}");
        }
        assert!(guard().host(&HeaderMap::new()).is_err());
    }

    #[test]
    fn only_our_own_page_may_command() {
        let ok = |origin: &str, host: &str| guard().origin(&headers(&[(ORIGIN, origin), (HOST, host)])).is_ok();
        assert!(guard().origin(&HeaderMap::new()).is_ok());
        assert!(ok("http://127.0.0.1:9464", "127.0.0.1:9464") && ok("http://localhost:9464", "127.0.0.1:9464"));
        assert!(ok("http://localhost", "localhost") && ok("https://brain.example.org", "brain.example.org"));
        assert!(!ok("http://localhost:3000", "localhost:9464"), "another page of this machine");
        assert!(!ok("https://evil.example:9464", "127.0.0.1:9464"));
        assert!(!ok("null", "127.0.0.1:9464") && !ok("file://", "127.0.0.1:9464"));
        assert!(!ok("http://127.0.0.1:9464@evil.example:9464", "127.0.0.1:9464"));
    }

    #[test]
    fn the_token_is_shown_as_a_header_or_as_a_websocket_protocol() {
        let guard = Guard { token: Some(Token("0123456789abcdef".into())), hosts: Vec::new() };
        let ok = |name, value: &str| guard.token(&headers(&[(name, value)])).is_ok();
        assert!(ok(AUTHORIZATION, "Bearer 0123456789abcdef") && ok(AUTHORIZATION, "bearer  0123456789abcdef"));
        assert!(ok(SEC_WEBSOCKET_PROTOCOL, "neurod.v1, bearer.0123456789abcdef"));
        assert!(!ok(AUTHORIZATION, "Bearer 0123456789abcdeF") && !ok(AUTHORIZATION, "Basic 0123456789abcdef"));
        assert!(!ok(AUTHORIZATION, "Bearer 0123456789abcde") && !ok(SEC_WEBSOCKET_PROTOCOL, "bearer."));
        assert_eq!(guard.token(&HeaderMap::new()).unwrap_err().status(), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_token_file_is_trimmed_and_a_poor_one_refused_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Token::read(&path)
        };
        assert!(read("  0123456789abcdef\n").unwrap().is("0123456789abcdef"));
        for (text, problem) in
            [("short\n", "it has 5 characters"), ("0123456789 abcdef", "' ' is not among"), ("", "it has 0 characters")]
        {
            let error = read(text).err().unwrap().to_string();
            assert!(error.contains(problem) && error.contains("openssl rand -hex 32"), "{error}");
        }
        let error = Token::read(&folder.path().join("none")).err().unwrap().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}

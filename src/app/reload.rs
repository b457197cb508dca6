//! SIGHUP: what may change while everything runs, and what has to wait for a restart.

use std::path::PathBuf;

use serde_json::Value;

use super::live::Live;
use super::settings::Settings;
use super::wiring;
use crate::runtime::lane_learn::LearnCommand;

/// Reads the configuration again. `predictors.NAME.learn` takes effect; every other change is named in the log and
/// waits for a restart. A configuration that cannot be read changes nothing.
pub fn reload(settings: &mut Settings, files: &[PathBuf], live: &Live) {
    let new = match wiring::load(files).and_then(|(new, _)| new.plan().map(|_| new)) {
        Ok(new) => new,
        Err(error) => {
            tracing::error!(%error, "reload: the configuration is wrong; the old one stays");
            return;
        }
    };
    for (name, predictor) in &new.predictors {
        let Some(old) = settings.predictors.get_mut(name) else { continue };
        if old.learn == predictor.learn {
            continue;
        }
        let command = if predictor.learn { LearnCommand::Learn } else { LearnCommand::Freeze };
        match live.controls.learn_lane().ask(command, Some(name)) {
            Ok(_) => {
                old.learn = predictor.learn;
                tracing::info!(predictor = name, learn = predictor.learn, "reload: changed");
            }
            Err(error) => tracing::error!(predictor = name, error, "reload: could not be changed"),
        }
    }
    let mut waiting = Vec::new();
    differences("", &as_value(settings), &as_value(&new), &mut waiting);
    for key in &waiting {
        tracing::warn!(key, "reload: this key takes effect after a restart; the old value stays");
    }
    tracing::info!(waiting = waiting.len(), "reload: done");
}

fn as_value(settings: &Settings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

/// The dotted keys whose values differ.
fn differences(at: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                differences(&path, old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null), found);
            }
        }
        _ if old != new => found.push(at.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let parse = |text: &str| as_value(&toml::from_str::<Settings>(text).unwrap());
        let old = parse("session.run_gap = 30.0\nservice.listen = \"127.0.0.1:1\"");
        let new = parse("session.run_gap = 20.0\nservice.listen = \"127.0.0.1:2\"");
        let mut found = Vec::new();
        differences("", &old, &new, &mut found);
        assert_eq!(found, ["service.listen", "session.run_gap"]);
    }
}

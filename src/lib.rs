//! neurod: live EEG and fMRI in, learned brain-region activity out.
//!
//! The modules stand in the order in which data flow; who reads them from top to bottom has seen the system.
//!
//! ```text
//! acquisition ─▶ signal / fmri ─▶ encoders ─▶ ridge ─▶ publish ─▶ clients
//!  (devices,      (a chain of      (ONNX)     (learns    (LSL, WebSocket, JSONL)
//!   recordings)    stages)                     while it runs)
//! ```
//!
//! A volume is a block of one sample whose channels are regions, so EEG and fMRI share everything up to the ridge.
//! [`runtime`] drives the same steps live, on lanes, and offline, in virtual time: the same recording gives the same
//! numbers. `ARCHITECTURE.md` holds the map and the invariants.

// What travels?
pub mod frame;

// Where do samples come from, and how are they cleaned and reduced?
pub mod acquisition;
pub mod fmri;
pub mod signal;

// What if there is no scanner?
pub mod scanner;

// What does a network see, and what do regions do next?
pub mod encoders;
pub mod ridge;

// How well do features predict the brain, offline?
pub mod datasets;
pub mod encoding;

// How do regions interact, and what does that say of a person?
pub mod network;

// Which thread does what, and how do they talk?
pub mod ring;
pub mod runtime;

// Who hears about it, and how is it operated?
pub mod publish;
pub mod service;

// How does it all come together?
pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
mod drawing;
mod draws;
pub mod exit;
pub mod interval;
mod linalg;
pub mod native;
mod parallel;

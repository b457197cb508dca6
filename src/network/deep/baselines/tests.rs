//! Are they what they say?

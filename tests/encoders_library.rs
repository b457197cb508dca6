//! ONNX Runtime that is missing, unfit or too old is an error that names the fix. One test, as a process loads it once.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod encoders_support;

use std::path::Path;
use std::process::Command;

use encoders_support::fetched;
use neurod::encoders::Runtime;

const FIX: &str = "(run `make assets`, or set [libraries] onnxruntime to a libonnxruntime.so)";

/// A library that says it is a certain version of ONNX Runtime, and one that is something else.
fn compile(folder: &Path, name: &str, source: &str) -> Option<std::path::PathBuf> {
    let (input, output) = (folder.join(format!("{name}.c")), folder.join(format!("lib{name}.so")));
    std::fs::write(&input, source).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&output).arg(&input).status();
    if compiled.is_ok_and(|status| status.success()) {
        return Some(output);
    }
    eprintln!("SKIPPED: no C compiler to make an unfit library with");
    None
}

#[test]
fn an_unfit_library_is_an_error_and_a_fit_one_loads_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &Path| Runtime::load(Some(path)).unwrap_err().to_string();
    let missing = folder.path().join("libonnxruntime.so");
    assert_eq!(load(&missing), format!("ONNX Runtime at {}: there is no such file {FIX}", missing.display()));
    std::fs::write(&missing, "no library").unwrap();
    let message = load(&missing);
    assert!(message.contains("libonnxruntime.so: file too short") && message.ends_with(FIX), "{message}");

    if let Some(path) = compile(folder.path(), "other", "int other(void) { return 0; }") {
        assert_eq!(load(&path), format!("ONNX Runtime at {}: it is not ONNX Runtime {FIX}", path.display()));
    }
    let old = "static const char *version(void) { return \"1.9.0\"; }
        static struct { void *api; const char *(*version)(void); } base = { 0, version };
        void *OrtGetApiBase(void) { return &base; }";
    if let Some(path) = compile(folder.path(), "old", old) {
        let problem = "it is version 1.9.0; 1.24 or newer is needed";
        assert_eq!(load(&path), format!("ONNX Runtime at {}: {problem} {FIX}", path.display()));
    }

    let Some(library) = fetched("lib/libonnxruntime.so") else { return };
    let runtime = Runtime::load(Some(&library)).unwrap();
    assert_eq!(runtime.library(), library);
    assert!(runtime.build_info().contains("ORT Build Info"), "{}", runtime.build_info());
    // Once a process: a later call with any path has the one that is open.
    assert_eq!(Runtime::load(Some(&missing)).unwrap().library(), library);
}

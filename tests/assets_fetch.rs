//! tools/fetch_assets.py: a complete cache needs no network, an altered file is named, a failed download says what to do
//! and leaves nothing half done. Weights are read, never run.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod encoders_support;

use std::path::Path;
use std::process::Command;

use encoders_support::{fetched, repository};

/// Runs the script without a network (pip sees no index); its exit code and what it said.
fn fetch(cache: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("python3");
    command.arg(repository("tools/fetch_assets.py")).arg("--cache").arg(cache).args(arguments);
    command.env("PIP_NO_INDEX", "1").env_remove("PIP_FIND_LINKS");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), said)
}

/// A copy of the fetched model folders and of the libraries, as links.
fn copy(cache: &Path) -> Option<()> {
    for part in ["lib", "models/minilm", "models/efficientnet-lite0"] {
        let from = fetched(part)?;
        std::fs::create_dir_all(cache.join(part)).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let (path, to) = (entry.as_ref().unwrap().path(), cache.join(part).join(entry.unwrap().file_name()));
            match std::fs::read_link(&path) {
                Ok(target) => std::os::unix::fs::symlink(target, to).unwrap(),
                Err(_) => std::os::unix::fs::symlink(std::fs::canonicalize(path).unwrap(), to).unwrap(),
            }
        }
    }
    Some(())
}

#[test]
fn a_complete_cache_needs_no_network_and_an_altered_file_is_named() {
    let cache = tempfile::tempdir().unwrap();
    if copy(cache.path()).is_none() {
        return;
    }
    let arguments = ["--only", "models"];
    let there = "fetch: text model all-MiniLM-L6-v2: there\nfetch: image model EfficientNet-Lite0: there\n";
    assert_eq!(fetch(cache.path(), &arguments), (Some(0), there.into()));
    let check = ["--check", "--only", "models"];
    assert_eq!(fetch(cache.path(), &check), (Some(0), "fetch: everything is there\n".into()));

    let tokenizer = cache.path().join("models/minilm/tokenizer.json");
    std::fs::remove_file(&tokenizer).unwrap();
    std::fs::write(&tokenizer, "{}").unwrap();
    let (code, said) = fetch(cache.path(), &check);
    let named = format!("fetch: {} is not what tools/assets.lock pins\n", tokenizer.display());
    assert_eq!((code, said), (Some(1), named + "fetch: run tools/fetch_assets.py to mend it\n"));
}

#[test]
fn without_a_network_it_says_what_to_do_and_keeps_nothing_half_done() {
    let cache = tempfile::tempdir().unwrap();
    std::fs::create_dir(cache.path().join("part-of-a-killed-run")).unwrap();
    let (code, said) = fetch(cache.path(), &["--only", "libs"]);
    assert_eq!(code, Some(1), "{said}");
    let problem =
        "fetch: onnxruntime 1.32.0: the download failed; check network and proxy, then run this again to go on:";
    assert!(said.contains(problem), "{said}");
    let left: Vec<_> = std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["fetch.lock"]);
}

/// `setup.py` is the package's own program, which pip would run to learn the name of what it has downloaded.
#[test]
fn a_source_package_is_unpacked_and_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let (ran, package) = (folder.path().join("ran"), folder.path().join("index/pack-1.0"));
    std::fs::create_dir_all(package.join("data")).unwrap();
    std::fs::create_dir(folder.path().join("work")).unwrap();
    std::fs::write(package.join("setup.py"), format!("open({:?}, 'w')", ran.display().to_string())).unwrap();
    std::fs::write(package.join("PKG-INFO"), "Metadata-Version: 1.0\nName: pack\nVersion: 1.0\n").unwrap();
    std::fs::write(package.join("data/values"), "1 2 3").unwrap();
    let script = r#"
import hashlib, os, sys, tarfile
sys.path.insert(0, "tools")
import fetch_assets as fetch
archive = "index/pack-1.0.tar.gz"
os.chdir(sys.argv[1])
with tarfile.open(archive, "w:gz") as file:
    file.add("index/pack-1.0", "pack-1.0")
package = {"kind": "sdist", "package": "pack", "version": "1.0", "megabytes": 1, "sha256": sys.argv[2] or fetch.sha256(archive)}
with fetch.Sdist(fetch.download(package, "work")) as sdist:
    print(sdist.open("data/values").read().decode())
"#;
    let run = |sha256: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", script]).arg(folder.path()).arg(sha256).current_dir(repository(""));
        python.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", folder.path().join("index")).env("PIP_NO_CACHE_DIR", "1");
        let output = python.output().unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
    };
    let said = run("");
    assert!(said.ends_with("1 2 3\n") && !ran.exists(), "{said}");
    std::fs::remove_dir_all(folder.path().join("work")).unwrap();
    std::fs::create_dir(folder.path().join("work")).unwrap();
    let said = run(&"0".repeat(64));
    assert!(said.contains("not what is pinned by hash") && !ran.exists(), "{said}");
}

#[test]
fn weights_that_would_run_code_are_refused_and_run_none() {
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    // As `pickle` writes os.mkdir(ran), and as PyTorch would name a class that is no tensor.
    let call = format!("cposix\nmkdir\n(V{}\ntR.", ran.display());
    for (pickle, problem) in [
        (call.as_str(), "it names posix.mkdir, which is no tensor"),
        ("ctorch\nload\n.", "it names torch.load, which is no tensor"),
        ("I1\n.", "it is no state dict of PyTorch before 1.6"),
        ("", "Ran out of input"),
    ] {
        std::fs::write(folder.path().join("efficientnet-lite0.pth"), pickle).unwrap();
        let mut convert = Command::new("python3");
        convert.arg(repository("tools/effnet_lite_to_onnx.py")).args([folder.path(), &folder.path().join("out")]);
        let output = convert.args(["--name", "x", "--licence", "x", "--source", "x"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(problem), "{said}");
    }
    assert!(!ran.exists() && !folder.path().join("out").exists());
}

//! Where are the native libraries? liblsl and libonnxruntime, found when they are first needed.
//!
//! Neither is linked: a machine without them runs everything that does not need them. The search goes from what the
//! user said (a path in the configuration, an environment variable), over where the packages and `make install` put
//! them, to the cache of `make assets` and the system's library folders.
//!
//! **Invariant.** A path that the user gave is used or refused, never replaced by another that happens to be there.
//!
//! ```
//! use neurod::native::{self, Library};
//! match native::find(Library::Lsl, None) {
//!     Ok(path) => println!("liblsl: {}", path.display()),
//!     Err(error) => println!("{error}"),
//! }
//! ```

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A library that is loaded at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// liblsl: the Lab Streaming Layer.
    Lsl,
    /// libonnxruntime: runs ONNX models.
    OnnxRuntime,
}

impl Library {
    /// The file name without what follows `.so`.
    pub const fn file_name(self) -> &'static str {
        match self {
            Library::Lsl => "liblsl.so",
            Library::OnnxRuntime => "libonnxruntime.so",
        }
    }

    /// The environment variable that names the file.
    pub const fn variable(self) -> &'static str {
        match self {
            Library::Lsl => "NEUROD_LIBLSL",
            Library::OnnxRuntime => "ORT_DYLIB_PATH",
        }
    }

    /// The key in the configuration's `[libraries]` table.
    pub const fn key(self) -> &'static str {
        match self {
            Library::Lsl => "lsl",
            Library::OnnxRuntime => "onnxruntime",
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Library::Lsl => "liblsl",
            Library::OnnxRuntime => "libonnxruntime",
        })
    }
}

/// Why a native library cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NativeError {
    /// It is in none of the usual places.
    #[error(
        "{library} not found; looked in {}: run `make assets`, install {library}, or name the file in {} or as \
         `libraries.{}` in the configuration", list(looked), library.variable(), library.key()
    )]
    NotFound {
        /// The library.
        library: Library,
        /// Every folder that was looked into, in order.
        looked: Vec<PathBuf>,
    },
    /// A path that the user gave leads nowhere.
    #[error(
        "{library}: no file {} (from {from}): correct the path, or remove it to search the usual places", path.display()
    )]
    Missing {
        /// The library.
        library: Library,
        /// The path.
        path: PathBuf,
        /// Who gave it.
        from: &'static str,
    },
    /// There is a file, but it cannot be loaded.
    #[error("{library}: {reason}: install a build for this machine, or name another file in {}", library.variable())]
    Load {
        /// The library.
        library: Library,
        /// What the loader said, path and all.
        reason: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Finds a library: the explicit path, its environment variable, `../lib/neurod` beside the program, `/usr/lib/neurod`,
/// `/usr/local/lib/neurod`, `$NEUROD_CACHE/lib`, `.cache/lib`, the user's cache, then the system's library folders.
///
/// # Errors
/// [`NativeError::Missing`] for a given path without a file, else [`NativeError::NotFound`] with every place looked.
pub fn find(library: Library, explicit: Option<&Path>) -> Result<PathBuf, NativeError> {
    if let Some(path) = explicit {
        return given(library, path, "the configuration");
    }
    if let Some(path) = env::var_os(library.variable()).filter(|v| !v.is_empty()) {
        return given(library, Path::new(&path), library.variable());
    }
    search(library, places(&|name| env::var_os(name), env::current_exe().ok()))
}

/// Finds and loads liblsl, once for the process; from then on the `lsl` crate may be called.
///
/// # Errors
/// As [`find`], and [`NativeError::Load`] for a file that is not liblsl.
pub fn load_lsl(explicit: Option<&Path>) -> Result<lsl_sys::Info, NativeError> {
    if let Some(info) = lsl_sys::loaded() {
        return Ok(info.clone());
    }
    let path = find(Library::Lsl, explicit)?;
    lsl_sys::load(&path)
        .map_err(|error| NativeError::Load { library: Library::Lsl, reason: error.to_string() })
        .inspect(|info| tracing::debug!(path = %info.path.display(), version = info.version, "liblsl loaded"))
}

fn given(library: Library, path: &Path, from: &'static str) -> Result<PathBuf, NativeError> {
    let found = if path.is_dir() { newest_in(library, path) } else { path.is_file().then(|| path.to_owned()) };
    found.ok_or_else(|| NativeError::Missing { library, path: path.to_owned(), from })
}

fn search(library: Library, places: Vec<PathBuf>) -> Result<PathBuf, NativeError> {
    match places.iter().find_map(|folder| newest_in(library, folder)) {
        Some(path) => Ok(path),
        None => Err(NativeError::NotFound { library, looked: places }),
    }
}

/// `libx.so` in `folder`, or else the highest `libx.so.N…`: wheels carry only the versioned name.
fn newest_in(library: Library, folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(library.file_name());
    if plain.is_file() {
        return Some(plain);
    }
    let versioned = format!("{}.", library.file_name());
    let matching = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        (path.file_name()?.to_str()?.starts_with(&versioned) && path.is_file()).then_some(path)
    };
    std::fs::read_dir(folder).ok()?.filter_map(matching).max()
}

fn places(variable: &dyn Fn(&str) -> Option<OsString>, program: Option<PathBuf>) -> Vec<PathBuf> {
    let set = |name: &str| variable(name).filter(|v| !v.is_empty());
    let mut places = Vec::new();
    if let Some(folder) = program.as_deref().and_then(Path::parent).and_then(Path::parent) {
        places.push(folder.join("lib/neurod"));
    }
    places.extend(["/usr/lib/neurod", "/usr/local/lib/neurod"].map(PathBuf::from));
    if let Some(cache) = set("NEUROD_CACHE") {
        places.push(Path::new(&cache).join("lib"));
    }
    places.push(PathBuf::from(".cache/lib"));
    let user_cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    if let Some(cache) = user_cache.or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache"))) {
        places.push(cache.join("neurod/lib"));
    }
    if let Some(list) = set("LD_LIBRARY_PATH") {
        places.extend(env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()));
    }
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    places.extend(["/usr/local/lib", multiarch.as_str(), "/usr/lib64", "/usr/lib"].map(PathBuf::from));
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_path_is_used_or_refused_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("liblsl.so.1.18.0");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(find(Library::Lsl, Some(&file)).unwrap(), file);
        assert_eq!(find(Library::Lsl, Some(folder.path())).unwrap(), file);
        let absent = folder.path().join("absent.so");
        let error = find(Library::Lsl, Some(&absent)).unwrap_err().to_string();
        assert!(error.contains("absent.so (from the configuration): correct the path"), "{error}");
    }

    #[test]
    fn the_nearest_place_wins_and_the_error_lists_them_all() {
        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("cache");
        let env = |name: &str| match name {
            "NEUROD_CACHE" => Some(cache.clone().into_os_string()),
            "HOME" => Some("/home/someone".into()),
            _ => None,
        };
        let places = places(&env, Some(root.path().join("bin/neurod")));
        assert_eq!(places.first(), Some(&root.path().join("lib/neurod")));
        for expected in ["/usr/lib/neurod", "/usr/local/lib/neurod", ".cache/lib", "/home/someone/.cache/neurod/lib"] {
            assert!(places.contains(&PathBuf::from(expected)), "{expected}");
        }

        let none = search(Library::OnnxRuntime, vec![root.path().join("a"), root.path().join("b")]).unwrap_err();
        let text = none.to_string();
        assert!(text.contains("/a, ") && text.contains("/b: run `make assets`"), "{text}");
        assert!(text.contains("ORT_DYLIB_PATH") && text.contains("libraries.onnxruntime"), "{text}");

        std::fs::create_dir_all(cache.join("lib")).unwrap();
        std::fs::write(cache.join("lib/liblsl.so.2"), b"").unwrap();
        std::fs::write(cache.join("lib/liblslx.so"), b"").unwrap();
        assert_eq!(
            search(Library::Lsl, vec![root.path().to_owned(), cache.join("lib")]).unwrap(),
            cache.join("lib/liblsl.so.2")
        );
    }

    #[test]
    fn what_is_no_library_is_refused_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("liblsl.so");
        std::fs::write(&file, b"not a library").unwrap();
        let error = load_lsl(Some(&file)).unwrap_err().to_string();
        assert!(error.starts_with("liblsl: cannot load ") && error.contains("NEUROD_LIBLSL"), "{error}");
    }
}

//! How is liblsl called when it may not be there? Through functions that are looked up at run time.
//!
//! The published `lsl-sys` 0.1.1 compiles a copy of liblsl 1.13 that modern C libraries refuse (glibc ≥ 2.34). This
//! crate has the same name, types and functions, as far as the `lsl` crate uses them, and takes its place through
//! Cargo's patch table. It links nothing: [`load`] opens a shared library of your choice, once, and each function
//! forwards to the symbol found there. The forwarders are `extern "C"`, since `lsl` passes some of them on as C function
//! pointers.
//!
//! **Invariant.** No function may be called before [`load`] has succeeded. One that is called earlier writes a message
//! and aborts the process: there is no library to call, and no result that would be true.
//!
//! ```no_run
//! let info = lsl_sys::load(std::path::Path::new("liblsl.so"))?;
//! println!("liblsl {}.{}", info.version / 100, info.version % 100);
//! # Ok::<(), lsl_sys::LoadError>(())
//! ```

// The names are those of the C header.
#![allow(non_camel_case_types, non_upper_case_globals)]

use std::ffi::{CStr, c_char, c_long, c_uint};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

mod types;

pub use types::*;

/// What was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The file, or the name that the system's loader resolved.
    pub path: PathBuf,
    /// 100 × major + minor: 118 is liblsl 1.18.
    pub version: i32,
    /// What liblsl says about its build.
    pub build: String,
}

/// Why liblsl could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is no such library, or it is no library for this machine.
    Open {
        /// What was to be opened.
        path: PathBuf,
        /// What the system's loader said.
        reason: String,
    },
    /// It is a library, but not liblsl, or one too old.
    Symbol {
        /// What was opened.
        path: PathBuf,
        /// The function that it lacks.
        symbol: &'static str,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Open { path, reason } => write!(f, "cannot load {}: {reason}", path.display()),
            LoadError::Symbol { path, symbol } => {
                write!(f, "{} is not liblsl 1.13 or newer: it has no function {symbol}", path.display())
            }
        }
    }
}

impl std::error::Error for LoadError {}

struct Loaded {
    functions: Functions,
    info: Info,
}

static LOADED: OnceLock<Loaded> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Loads liblsl from `path`, a file or a name for the system's loader to find. Only the first success counts: later
/// calls change nothing and return what is loaded. It stays loaded until the process ends.
///
/// # Errors
/// [`LoadError`]; another path may then be tried.
pub fn load(path: &Path) -> Result<Info, LoadError> {
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = LOADED.get() {
        return Ok(loaded.info.clone());
    }
    // SAFETY: opening a library runs its initialisers; whoever names the path vouches for them, as with a linked one.
    let library = unsafe { libloading::Library::new(path) }
        .map_err(|error| LoadError::Open { path: path.to_owned(), reason: error.to_string() })?;
    let functions = Functions::look_up(&library, path)?;
    // SAFETY: both take no argument; the second returns a static C string or null.
    let (version, build) = unsafe { ((functions.lsl_library_version)(), (functions.lsl_library_info)()) };
    let build = if build.is_null() {
        String::new()
    } else {
        // SAFETY: it is not null, and liblsl keeps it, NUL-terminated, for the life of the process.
        unsafe { CStr::from_ptr(build) }.to_string_lossy().into_owned()
    };
    // liblsl runs threads of its own: it must never be unmapped.
    std::mem::forget(library);
    let info = Info { path: path.to_owned(), version, build };
    Ok(LOADED.get_or_init(|| Loaded { functions, info }).info.clone())
}

/// What is loaded, if anything is.
pub fn loaded() -> Option<&'static Info> {
    LOADED.get().map(|loaded| &loaded.info)
}

fn functions() -> &'static Functions {
    match LOADED.get() {
        Some(loaded) => &loaded.functions,
        None => not_loaded(),
    }
}

#[cold]
fn not_loaded() -> ! {
    eprintln!("lsl-sys: a function of liblsl was called before lsl_sys::load succeeded");
    std::process::abort()
}

/// Declares the table of function pointers, its look-up, and one forwarder for each function.
macro_rules! forward {
    ($(fn $name:ident($($arg:ident: $of:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($of),*) $(-> $result)?,)*
        }

        impl Functions {
            fn look_up(library: &libloading::Library, path: &Path) -> Result<Self, LoadError> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is that of the C declaration in lsl_c.h, unchanged since liblsl 1.13.
                        let symbol = unsafe {
                            library.get::<unsafe extern "C" fn($($of),*) $(-> $result)?>(stringify!($name))
                        };
                        *symbol.map_err(|_| LoadError::Symbol { path: path.to_owned(), symbol: stringify!($name) })?
                    },)*
                })
            }
        }

        $(
            /// The function of this name in liblsl's C interface (`lsl_c.h`).
            ///
            /// # Safety
            /// As documented there: handles must be live, pointers valid for what is read or written through them.
            /// Aborts the process when liblsl is not loaded.
            pub unsafe extern "C" fn $name($($arg: $of),*) $(-> $result)? {
                // SAFETY: the caller keeps the contract of the C function, which this passes on unchanged.
                unsafe { (functions().$name)($($arg),*) }
            }
        )*
    };
}

forward! {
    fn lsl_append_child(e: lsl_xml_ptr, name: *const c_char) -> lsl_xml_ptr;
    fn lsl_append_child_value(e: lsl_xml_ptr, name: *const c_char, value: *const c_char) -> lsl_xml_ptr;
    fn lsl_append_copy(e: lsl_xml_ptr, e2: lsl_xml_ptr) -> lsl_xml_ptr;
    fn lsl_child(e: lsl_xml_ptr, name: *const c_char) -> lsl_xml_ptr;
    fn lsl_child_value(e: lsl_xml_ptr) -> *const c_char;
    fn lsl_child_value_n(e: lsl_xml_ptr, name: *const c_char) -> *const c_char;
    fn lsl_close_stream(in_: lsl_inlet);
    fn lsl_copy_streaminfo(info: lsl_streaminfo) -> lsl_streaminfo;
    fn lsl_create_continuous_resolver(forget_after: f64) -> lsl_continuous_resolver;
    fn lsl_create_continuous_resolver_bypred(pred: *const c_char, forget_after: f64) -> lsl_continuous_resolver;
    fn lsl_create_continuous_resolver_byprop(prop: *const c_char, value: *const c_char, forget_after: f64) -> lsl_continuous_resolver;
    fn lsl_create_inlet(info: lsl_streaminfo, max_buflen: i32, max_chunklen: i32, recover: i32) -> lsl_inlet;
    fn lsl_create_outlet(info: lsl_streaminfo, chunk_size: i32, max_buffered: i32) -> lsl_outlet;
    fn lsl_create_streaminfo(name: *const c_char, type_: *const c_char, channel_count: i32, nominal_srate: f64, channel_format: lsl_channel_format_t, source_id: *const c_char) -> lsl_streaminfo;
    fn lsl_destroy_continuous_resolver(res: lsl_continuous_resolver);
    fn lsl_destroy_inlet(in_: lsl_inlet);
    fn lsl_destroy_outlet(out: lsl_outlet);
    fn lsl_destroy_streaminfo(info: lsl_streaminfo);
    fn lsl_destroy_string(s: *mut c_char);
    fn lsl_empty(e: lsl_xml_ptr) -> i32;
    fn lsl_first_child(e: lsl_xml_ptr) -> lsl_xml_ptr;
    fn lsl_get_channel_bytes(info: lsl_streaminfo) -> i32;
    fn lsl_get_channel_count(info: lsl_streaminfo) -> i32;
    fn lsl_get_channel_format(info: lsl_streaminfo) -> lsl_channel_format_t;
    fn lsl_get_created_at(info: lsl_streaminfo) -> f64;
    fn lsl_get_desc(info: lsl_streaminfo) -> lsl_xml_ptr;
    fn lsl_get_fullinfo(in_: lsl_inlet, timeout: f64, ec: *mut i32) -> lsl_streaminfo;
    fn lsl_get_hostname(info: lsl_streaminfo) -> *const c_char;
    fn lsl_get_info(out: lsl_outlet) -> lsl_streaminfo;
    fn lsl_get_name(info: lsl_streaminfo) -> *const c_char;
    fn lsl_get_nominal_srate(info: lsl_streaminfo) -> f64;
    fn lsl_get_sample_bytes(info: lsl_streaminfo) -> i32;
    fn lsl_get_session_id(info: lsl_streaminfo) -> *const c_char;
    fn lsl_get_source_id(info: lsl_streaminfo) -> *const c_char;
    fn lsl_get_type(info: lsl_streaminfo) -> *const c_char;
    fn lsl_get_uid(info: lsl_streaminfo) -> *const c_char;
    fn lsl_get_version(info: lsl_streaminfo) -> i32;
    fn lsl_get_xml(info: lsl_streaminfo) -> *mut c_char;
    fn lsl_have_consumers(out: lsl_outlet) -> i32;
    fn lsl_is_text(e: lsl_xml_ptr) -> i32;
    fn lsl_last_child(e: lsl_xml_ptr) -> lsl_xml_ptr;
    fn lsl_library_info() -> *const c_char;
    fn lsl_library_version() -> i32;
    fn lsl_local_clock() -> f64;
    fn lsl_name(e: lsl_xml_ptr) -> *const c_char;
    fn lsl_next_sibling(e: lsl_xml_ptr) -> lsl_xml_ptr;
    fn lsl_next_sibling_n(e: lsl_xml_ptr, name: *const c_char) -> lsl_xml_ptr;
    fn lsl_open_stream(in_: lsl_inlet, timeout: f64, ec: *mut i32);
    fn lsl_parent(e: lsl_xml_ptr) -> lsl_xml_ptr;
    fn lsl_prepend_child(e: lsl_xml_ptr, name: *const c_char) -> lsl_xml_ptr;
    fn lsl_prepend_child_value(e: lsl_xml_ptr, name: *const c_char, value: *const c_char) -> lsl_xml_ptr;
    fn lsl_prepend_copy(e: lsl_xml_ptr, e2: lsl_xml_ptr) -> lsl_xml_ptr;
    fn lsl_previous_sibling(e: lsl_xml_ptr) -> lsl_xml_ptr;
    fn lsl_previous_sibling_n(e: lsl_xml_ptr, name: *const c_char) -> lsl_xml_ptr;
    fn lsl_protocol_version() -> i32;
    fn lsl_pull_sample_buf(in_: lsl_inlet, buffer: *mut *mut c_char, buffer_lengths: *mut u32, buffer_elements: i32, timeout: f64, ec: *mut i32) -> f64;
    fn lsl_pull_sample_c(in_: lsl_inlet, buffer: *mut c_char, buffer_elements: i32, timeout: f64, ec: *mut i32) -> f64;
    fn lsl_pull_sample_d(in_: lsl_inlet, buffer: *mut f64, buffer_elements: i32, timeout: f64, ec: *mut i32) -> f64;
    fn lsl_pull_sample_f(in_: lsl_inlet, buffer: *mut f32, buffer_elements: i32, timeout: f64, ec: *mut i32) -> f64;
    fn lsl_pull_sample_i(in_: lsl_inlet, buffer: *mut i32, buffer_elements: i32, timeout: f64, ec: *mut i32) -> f64;
    fn lsl_pull_sample_l(in_: lsl_inlet, buffer: *mut c_long, buffer_elements: i32, timeout: f64, ec: *mut i32) -> f64;
    fn lsl_pull_sample_s(in_: lsl_inlet, buffer: *mut i16, buffer_elements: i32, timeout: f64, ec: *mut i32) -> f64;
    fn lsl_push_sample_buftp(out: lsl_outlet, data: *mut *const c_char, lengths: *const u32, timestamp: f64, pushthrough: i32) -> i32;
    fn lsl_push_sample_ctp(out: lsl_outlet, data: *const c_char, timestamp: f64, pushthrough: i32) -> i32;
    fn lsl_push_sample_dtp(out: lsl_outlet, data: *const f64, timestamp: f64, pushthrough: i32) -> i32;
    fn lsl_push_sample_ftp(out: lsl_outlet, data: *const f32, timestamp: f64, pushthrough: i32) -> i32;
    fn lsl_push_sample_itp(out: lsl_outlet, data: *const i32, timestamp: f64, pushthrough: i32) -> i32;
    fn lsl_push_sample_ltp(out: lsl_outlet, data: *const c_long, timestamp: f64, pushthrough: i32) -> i32;
    fn lsl_push_sample_stp(out: lsl_outlet, data: *const i16, timestamp: f64, pushthrough: i32) -> i32;
    fn lsl_remove_child(e: lsl_xml_ptr, e2: lsl_xml_ptr);
    fn lsl_remove_child_n(e: lsl_xml_ptr, name: *const c_char);
    fn lsl_resolve_all(buffer: *mut lsl_streaminfo, buffer_elements: u32, wait_time: f64) -> i32;
    fn lsl_resolve_bypred(buffer: *mut lsl_streaminfo, buffer_elements: u32, pred: *const c_char, minimum: i32, timeout: f64) -> i32;
    fn lsl_resolve_byprop(buffer: *mut lsl_streaminfo, buffer_elements: u32, prop: *const c_char, value: *const c_char, minimum: i32, timeout: f64) -> i32;
    fn lsl_resolver_results(res: lsl_continuous_resolver, buffer: *mut lsl_streaminfo, buffer_elements: u32) -> i32;
    fn lsl_samples_available(in_: lsl_inlet) -> u32;
    fn lsl_set_child_value(e: lsl_xml_ptr, name: *const c_char, value: *const c_char) -> i32;
    fn lsl_set_name(e: lsl_xml_ptr, rhs: *const c_char) -> i32;
    fn lsl_set_postprocessing(in_: lsl_inlet, flags: u32) -> i32;
    fn lsl_set_value(e: lsl_xml_ptr, rhs: *const c_char) -> i32;
    fn lsl_smoothing_halftime(in_: lsl_inlet, value: f32) -> i32;
    fn lsl_stream_info_matches_query(info: lsl_streaminfo, query: *const c_char) -> i32;
    fn lsl_streaminfo_from_xml(xml: *const c_char) -> lsl_streaminfo;
    fn lsl_time_correction(in_: lsl_inlet, timeout: f64, ec: *mut i32) -> f64;
    fn lsl_time_correction_ex(in_: lsl_inlet, remote_time: *mut f64, uncertainty: *mut f64, timeout: f64, ec: *mut i32) -> f64;
    fn lsl_value(e: lsl_xml_ptr) -> *const c_char;
    fn lsl_wait_for_consumers(out: lsl_outlet, timeout: f64) -> i32;
    fn lsl_was_clock_reset(in_: lsl_inlet) -> u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_liblsl_is_refused_by_name() {
        let missing = load(Path::new("/nonexistent/liblsl.so"));
        assert!(missing.is_err_and(|e| e.to_string().starts_with("cannot load /nonexistent/liblsl.so: ")));
        let other = load(Path::new("libc.so.6"));
        assert!(other.is_err_and(|e| e.to_string().contains("libc.so.6 is not liblsl")));
        assert!(loaded().is_none());
    }
}

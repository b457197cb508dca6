//! How does a network run? ONNX Runtime, loaded at run time, one session an encoder.
//!
//! [`Runtime::load`] opens `libonnxruntime.so` once a process. A [`Network`] is one session over bytes that
//! [`inspect`] has passed: built from memory, so the runtime never opens a file, on the CPU, with as
//! many threads as asked for (one makes results repeat bit for bit).
//!
//! **Invariants.** No session sees bytes that were not inspected. A missing or unfit library is an error, never a panic.
//!
//! ```
//! use neurod::encoders::Runtime;
//! let error = Runtime::load(Some("/nowhere/libonnxruntime.so".as_ref())).unwrap_err();
//! assert!(error.to_string().contains("make assets"));
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{Outlet, TensorElementType};

use super::image::Layout;
use super::inspect::inspect;
use super::manifest::{Manifest, ModelFiles, Pooling};
use super::{EncodeError, EncoderError};

/// The file name that the system's own loader is asked for when no path is given.
const LIBRARY: &str = "libonnxruntime.so";

/// ONNX Runtime, loaded. Cheap to clone; there is one a process.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
    library: Arc<Path>,
}

static LOADED: OnceLock<Runtime> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

impl Runtime {
    /// Opens the library at `path`, or the one that the system's loader knows. Once one is open it stays for the life
    /// of the process, and every later call returns it, whatever `path` says.
    ///
    /// # Errors
    /// No library there, not ONNX Runtime, or one older than this build speaks.
    pub fn load(path: Option<&Path>) -> Result<Self, EncoderError> {
        let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = LOADED.get() {
            return Ok(runtime.clone());
        }
        let library = path.unwrap_or(LIBRARY.as_ref());
        let failed = |problem: String| EncoderError::Library { path: library.into(), problem };
        let absolute = match path {
            // The binding resolves a relative path against the executable; ours are the user's.
            Some(path) => std::path::absolute(path).map_err(|error| failed(error.to_string()))?,
            None if std::env::current_exe().is_ok() => PathBuf::from(LIBRARY),
            None => return Err(failed("cannot be looked for: give its path".into())),
        };
        if path.is_some() && !absolute.is_file() {
            return Err(failed("there is no such file".into()));
        }
        let builder = ort::init_from(&absolute).map_err(|error| failed(explain(&error)))?;
        let logger = Arc::new(|level: LogLevel, _: &str, _: &str, place: &str, message: &str| match level {
            LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "neurod::onnxruntime", place, "{message}"),
            _ => tracing::debug!(target: "neurod::onnxruntime", place, "{message}"),
        });
        let builder = builder.with_name("neurod").with_telemetry(false).with_logger(logger);
        let environment = builder.build().map_err(|error| failed(error.to_string()))?;
        environment.set_log_level(LogLevel::Warning);
        let runtime = Self { environment, library: absolute.into() };
        Ok(LOADED.get_or_init(|| runtime).clone())
    }

    /// The library that is open.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The environment that sessions are made in. A process has one: whoever needs a session of their own beside the
    /// encoders' makes it here.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What the library says it is: version, commit and build flags.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }
}

fn explain(error: &ort::LoadDynamicError) -> String {
    use ort::LoadDynamicError::{BadVersion, Dlopen, InvalidVersionString, MissingApi};
    match error {
        // What the loader said is one level down.
        Dlopen { error, .. } => std::error::Error::source(error).map_or_else(|| error.to_string(), |e| e.to_string()),
        MissingApi { .. } | InvalidVersionString => "it is not ONNX Runtime".into(),
        BadVersion { version_str, .. } => {
            format!("it is version {version_str}; 1.{} or newer is needed", ort::MINOR_VERSION)
        }
    }
}

/// What one element of the output `[1, …, dims]` is taken from.
#[derive(Clone, Copy, Debug)]
enum Take {
    /// `[1, dims]` as it is.
    All,
    /// One row of `[1, layers, dims]`.
    Row(usize),
    /// The mean over the rows of `[1, …, dims]`.
    Mean,
    /// The mean over the columns of `[1, dims, …]`.
    MeanOfColumns,
}

/// One input as an encoder will give it: name, element type and shape, `None` where a length varies.
pub type InputShape<'a> = (&'a str, TensorElementType, &'a [Option<usize>]);

/// One part of the feature.
struct Part {
    output: String,
    take: Take,
    dims: usize,
}

/// One session and the outputs that are wanted of it.
pub struct Network {
    session: Session,
    options: RunOptions<HasSelectedOutputs>,
    model: Arc<str>,
    order: Vec<usize>,
    parts: Vec<Part>,
    /// Whether every input has a first axis of any length.
    batches: bool,
}

impl Network {
    /// Builds a session for the model in `files` that takes `inputs` and gives the manifest's output, or the layers that
    /// were chosen. `threads` is how many compute one pass.
    ///
    /// # Errors
    /// A model that must not run, that the runtime refuses, or that is not what its manifest says.
    pub fn load(
        runtime: &Runtime,
        files: &ModelFiles,
        inputs: &[InputShape<'_>],
        threads: usize,
    ) -> Result<Self, EncoderError> {
        let path = files.folder.join("model.onnx");
        inspect(&files.model).map_err(|refusal| EncoderError::Refused { path: path.clone(), refusal })?;
        let failed = |error: ort::Error| EncoderError::Session { path: path.clone(), problem: error.to_string() };
        let session = builder(runtime, threads).and_then(|mut b| b.commit_from_memory(&files.model)).map_err(failed)?;
        let mismatch = |problem| EncoderError::Mismatch { path: path.clone(), problem };
        let order = order(session.inputs(), inputs).map_err(mismatch)?;
        let any_length =
            |input: &Outlet| input.dtype().tensor_shape().is_some_and(|s| s.first().is_some_and(|d| *d < 0));
        let batches = session.inputs().iter().all(any_length);
        let mut wanted = OutputSelector::no_default();
        let mut parts: Vec<Part> = Vec::new();
        for manifest in files.parts() {
            let take = take(session.outputs(), &manifest).map_err(mismatch)?;
            if parts.iter().all(|part| part.output != manifest.output) {
                wanted = wanted.with(&manifest.output);
            }
            parts.push(Part { output: manifest.output, take, dims: manifest.dims });
        }
        let options = RunOptions::new().map_err(failed)?.with_outputs(wanted);
        Ok(Self { session, options, model: files.manifest.name.as_str().into(), order, parts, batches })
    }

    /// Whether the model says that it takes several inputs in one pass.
    pub fn batches(&self) -> bool {
        self.batches
    }

    /// For each input in the session's own order, which one of those declared at load it is.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// The model's name.
    pub fn model(&self) -> &Arc<str> {
        &self.model
    }

    /// One pass: `inputs` in the session's [`order`](Self::order), the feature into `out`, which is cleared first.
    ///
    /// # Errors
    /// The runtime refuses, or the feature has another length or is not finite; then `out` means nothing.
    pub fn run(&mut self, inputs: &[SessionInputValue<'_>], out: &mut Vec<f32>) -> Result<(), EncodeError> {
        self.pass(inputs, &[], std::slice::from_mut(out))?;
        self.finite(out)
    }

    /// One pass over `count` inputs, which lie one after another on the first axis; their features in order. Of an output
    /// of many vectors the first `tokens` of each input count, where that is given: what follows is padding.
    ///
    /// # Errors
    /// For all: the runtime refuses, or the features have another length. For one: it is not finite.
    pub fn run_batch(
        &mut self,
        inputs: &[SessionInputValue<'_>],
        count: usize,
        tokens: &[usize],
    ) -> Result<Vec<Result<Vec<f32>, EncodeError>>, EncodeError> {
        let mut features = vec![Vec::new(); count];
        self.pass(inputs, tokens, &mut features)?;
        Ok(features.into_iter().map(|feature| self.finite(&feature).map(|()| feature)).collect())
    }

    /// What an output of float64 gives that depends on no input, row-major; `inputs` are in the session's
    /// [`order`](Self::order).
    ///
    /// # Errors
    /// There is no such output, or it is of another type.
    pub fn constant(&mut self, inputs: &[SessionInputValue<'_>], output: &str) -> Result<Vec<f64>, EncodeError> {
        let model = &self.model;
        let failed = |error: ort::Error| EncodeError::Run { model: Arc::clone(model), problem: error.to_string() };
        let options = RunOptions::new().map_err(failed)?.with_outputs(OutputSelector::no_default().with(output));
        let outputs = self.session.run_with_options(inputs, &options).map_err(failed)?;
        let missing = || EncodeError::Length { model: Arc::clone(model), expected: 1, got: 0 };
        let (_, values) = outputs.get(output).ok_or_else(missing)?.try_extract_tensor::<f64>().map_err(failed)?;
        Ok(values.to_vec())
    }

    fn pass(
        &mut self,
        inputs: &[SessionInputValue<'_>],
        tokens: &[usize],
        features: &mut [Vec<f32>],
    ) -> Result<(), EncodeError> {
        let model = &self.model;
        let failed = |error: ort::Error| EncodeError::Run { model: Arc::clone(model), problem: error.to_string() };
        features.iter_mut().for_each(Vec::clear);
        let outputs = self.session.run_with_options(inputs, &self.options).map_err(failed)?;
        for Part { output, take, dims } in &self.parts {
            let wrong = |got| EncodeError::Length { model: Arc::clone(model), expected: *dims, got };
            let (_, data) = outputs.get(output).ok_or_else(|| wrong(0))?.try_extract_tensor::<f32>().map_err(failed)?;
            let size = data.len() / features.len().max(1);
            for (i, feature) in features.iter_mut().enumerate() {
                let data = data.get(i * size..(i + 1) * size).unwrap_or_default();
                let before = feature.len();
                match *take {
                    Take::All => feature.extend_from_slice(data),
                    Take::Row(row) => {
                        feature.extend_from_slice(data.get(row * dims..(row + 1) * dims).unwrap_or_default())
                    }
                    Take::Mean => {
                        let counted = tokens.get(i).and_then(|tokens| data.get(..tokens * dims));
                        mean_of_rows(counted.unwrap_or(data), *dims, feature);
                    }
                    Take::MeanOfColumns => mean_of_columns(data, *dims, feature),
                }
                if feature.len() != before + dims {
                    return Err(wrong(data.len()));
                }
            }
        }
        Ok(())
    }

    fn finite(&self, feature: &[f32]) -> Result<(), EncodeError> {
        match feature.iter().filter(|v| !v.is_finite()).count() {
            0 => Ok(()),
            count => Err(EncodeError::NonFinite { model: Arc::clone(&self.model), count }),
        }
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("model", &self.model).finish_non_exhaustive()
    }
}

fn builder(runtime: &Runtime, threads: usize) -> Result<SessionBuilder, ort::Error> {
    Ok(Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        // A spinning worker would take a core from the lanes between passes.
        .with_intra_op_spinning(false)?
        // Only the format that was inspected.
        .with_config_entry("session.load_model_format", "ONNX")?)
}

/// Finds each input of the session among those declared, and checks its type and shape.
fn order(have: &[Outlet], declared: &[InputShape<'_>]) -> Result<Vec<usize>, String> {
    if let Some((name, ..)) = declared.iter().find(|(name, ..)| have.iter().all(|input| input.name() != *name)) {
        return Err(format!("it has no input \"{name}\"; it has: {}", list(have)));
    }
    let mut order = Vec::with_capacity(have.len());
    for input in have {
        let Some(place) = declared.iter().position(|(name, ..)| *name == input.name()) else {
            return Err(format!("it has an input \"{}\" that the manifest does not name", input.name()));
        };
        if let Some((name, kind, shape)) = declared.get(place) {
            let fits = input.dtype().tensor_type() == Some(*kind)
                && input.dtype().tensor_shape().is_some_and(|found| {
                    found.len() == shape.len() && found.iter().zip(*shape).all(|(found, given)| fits(*found, *given))
                });
            if !fits {
                let given: Vec<String> =
                    shape.iter().map(|d| d.map_or("any length".into(), |d: usize| d.to_string())).collect();
                let given = given.join(", ");
                return Err(format!("input \"{name}\" is {}, but it would be given {kind} [{given}]", input.dtype()));
            }
        }
        order.push(place);
    }
    Ok(order)
}

/// Whether a dimension of the model, negative where it varies, takes the length that it is given.
fn fits(found: i64, given: Option<usize>) -> bool {
    found < 0 || given.is_some_and(|given| usize::try_from(found) == Ok(given))
}

/// What of the manifest's output is the feature; checks the output's type and shape.
fn take(have: &[Outlet], manifest: &Manifest) -> Result<Take, String> {
    let name = &manifest.output;
    let Some(output) = have.iter().find(|output| output.name() == name) else {
        return Err(format!("it has no output \"{name}\"; it has: {}", list(have)));
    };
    let (kind, shape) = (output.dtype().tensor_type(), output.dtype().tensor_shape());
    let shape = shape.filter(|_| kind == Some(TensorElementType::Float32));
    let shape = shape.ok_or_else(|| format!("output \"{name}\" is {}, not float32", output.dtype()))?;
    let channels_first =
        manifest.pooling == Some(Pooling::Spatial) && manifest.image.as_ref().is_some_and(|i| i.layout == Layout::Nchw);
    let dims = if channels_first { shape.get(1) } else { shape.last() };
    let dims_fit = dims.is_some_and(|dims| fits(*dims, Some(manifest.dims)));
    let take = match (shape.len(), manifest.layer, manifest.pooling) {
        (2, None, None) => Some(Take::All),
        (3, Some(layer), None) if shape.get(1).is_some_and(|rows| *rows < 0 || (layer as i64) < *rows) => {
            Some(Take::Row(layer))
        }
        (3, None, Some(Pooling::First)) => Some(Take::Row(0)),
        (3, None, Some(Pooling::Mean)) => Some(Take::Mean),
        (4, None, Some(Pooling::Spatial)) => Some(if channels_first { Take::MeanOfColumns } else { Take::Mean }),
        _ => None,
    };
    take.filter(|_| dims_fit).ok_or_else(|| {
        format!(
            "output \"{name}\" is {}; for dims = {} that must be [1, dims], or [1, layers, dims] with layer in the \
             manifest, or [1, tokens, dims] with pooling, or [1, dims, height, width] (nhwc: [1, height, width, dims]) \
             with pooling = \"spatial\"",
            output.dtype(),
            manifest.dims
        )
    })
}

fn list(outlets: &[Outlet]) -> String {
    outlets.iter().map(|outlet| outlet.name()).collect::<Vec<_>>().join(", ")
}

/// The mean over the rows of `data`, rows × dims, appended to `out`; nothing where there is not one whole row.
fn mean_of_rows(data: &[f32], dims: usize, out: &mut Vec<f32>) {
    let rows = data.len() / dims.max(1);
    if rows == 0 {
        return;
    }
    for column in 0..dims {
        let sum: f64 = data.iter().skip(column).step_by(dims).map(|v| f64::from(*v)).sum();
        out.push((sum / rows as f64) as f32);
    }
}

/// The mean over the columns of `data`, dims × columns, appended to `out`; nothing where there is not one whole column.
fn mean_of_columns(data: &[f32], dims: usize, out: &mut Vec<f32>) {
    let columns = data.len() / dims.max(1);
    if columns == 0 {
        return;
    }
    let mean = |row: &[f32]| (row.iter().map(|v| f64::from(*v)).sum::<f64>() / columns as f64) as f32;
    out.extend(data.chunks_exact(columns).map(mean));
}

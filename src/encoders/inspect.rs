//! May ONNX Runtime see this file? A walk over the protobuf that refuses what a model has no business to hold.
//!
//! A model file comes from somewhere else. ONNX lets a tensor live in another file (`external_data`), and the path
//! checks of the runtime have been got round more than once (CVE-2022-25882, CVE-2024-27318 and later), so a model that
//! asks for any other file is refused before the runtime parses it. So are operators outside the standard domains,
//! tensors that declare more elements than they hold, and files beyond a size, a number of nodes or a depth.
//!
//! **Invariants.** Nothing here allocates by what the file says; every length is checked against the message around it;
//! a field that a message repeats is checked each time, as protobuf would merge them.
//!
//! ```
//! let refusal = neurod::encoders::inspect(b"\x08\x08 not a model").unwrap_err();
//! assert!(refusal.to_string().starts_with("not an ONNX file"));
//! ```

use thiserror::Error;

/// The largest model file, in bytes. Every text and image encoder of base size fits (BERT-base takes 0.44 GB).
pub const MAX_MODEL_BYTES: u64 = 1 << 30;
/// The most nodes of a model, those of subgraphs and functions included. BERT-base has about a thousand.
pub const MAX_NODES: usize = 100_000;
/// The deepest nesting of messages: a subgraph within a node takes three.
const MAX_DEPTH: usize = 48;
/// The operator sets that ONNX Runtime itself implements.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];
/// The densest packing of elements: four of two bits in a byte.
const ELEMENTS_PER_BYTE: u64 = 4;

/// What a model that passed holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Nodes, those of subgraphs and functions included.
    pub nodes: usize,
    /// Constant tensors.
    pub tensors: usize,
}

/// Why a model file is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are no ONNX model, or not all of one.
    #[error("not an ONNX file, or a damaged one: {problem} at byte {at:#x} (fetch or export it again)")]
    Malformed {
        /// The offset of what is wrong.
        at: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A tensor's data lie in another file.
    #[error("tensor \"{tensor}\" has its data in another file (save the model with its weights inside)")]
    ExternalData {
        /// The tensor's name.
        tensor: String,
    },
    /// An operator that does not belong to a known domain.
    #[error(
        "operator {op} is of domain \"{domain}\"; only ai.onnx, ai.onnx.ml and com.microsoft are run (export without custom operators)"
    )]
    Domain {
        /// The operator.
        op: String,
        /// Its domain.
        domain: String,
    },
    /// An operator that loads a compiled blob.
    #[error("operator {op} runs a compiled blob, which cannot be checked (export the network itself)")]
    Opaque {
        /// The operator.
        op: String,
    },
    /// A tensor of huge shape with little data.
    #[error("tensor \"{tensor}\" declares {elements} elements and holds {bytes} bytes")]
    Inflated {
        /// The tensor's name.
        tensor: String,
        /// The product of its dimensions.
        elements: u64,
        /// The bytes of data in it.
        bytes: u64,
    },
    /// More nodes than [`MAX_NODES`].
    #[error("more than {limit} nodes")]
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
}

/// The messages of onnx.proto that lead to a node or a tensor.
#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    Training,
}

impl Message {
    /// The message in `field` of this one, if it is one to walk.
    fn child(self, field: u64) -> Option<Message> {
        use Message::*;
        Some(match (self, field) {
            (Model, 7) | (Attribute, 6 | 11) | (Training, 1 | 2) => Graph,
            (Model, 20) => Training,
            (Model, 25) => Function,
            (Graph, 1) | (Function, 7) => Node,
            (Graph, 5) | (Attribute, 5 | 10) | (SparseTensor, 1 | 2) => Tensor,
            (Graph, 15) | (Attribute, 22 | 23) => SparseTensor,
            (Node, 5) | (Function, 11) => Attribute,
            _ => return None,
        })
    }
}

/// Checks a whole model file, as read from disk.
///
/// # Errors
/// Why it must not be run; see [`Refusal`].
pub fn inspect(bytes: &[u8]) -> Result<Contents, Refusal> {
    if bytes.get(4..8) == Some(b"ORTM") {
        return Err(Refusal::Malformed { at: 4, problem: "this is ONNX Runtime's own format" });
    }
    let mut walk = Walk { bytes, contents: Contents::default(), graphs: 0 };
    walk.message(Message::Model, 0, bytes.len(), 0)?;
    if walk.graphs == 0 {
        return Err(Refusal::Malformed { at: 0, problem: "no graph" });
    }
    Ok(walk.contents)
}

struct Walk<'a> {
    bytes: &'a [u8],
    contents: Contents,
    graphs: usize,
}

/// What one field of a message holds: a number, or the range of its bytes.
enum Value {
    Number(u64),
    Fixed,
    Bytes(usize, usize),
}

/// What is gathered about a node, a function or a tensor while its fields pass by.
#[derive(Default)]
struct Seen<'a> {
    name: &'a [u8],
    op: &'a [u8],
    domain: &'a [u8],
    elements: u64,
    data: u64,
    dims: bool,
}

impl<'a> Walk<'a> {
    /// Walks the message in `start..end` and everything in it.
    fn message(&mut self, kind: Message, start: usize, end: usize, depth: usize) -> Result<(), Refusal> {
        if depth > MAX_DEPTH {
            return Err(Refusal::Malformed { at: start, problem: "messages nested too deeply" });
        }
        self.graphs += usize::from(kind == Message::Graph);
        let mut seen = Seen { elements: 1, ..Seen::default() };
        let mut at = start;
        while at < end {
            let (field, value, next) = self.field(at, end)?;
            match (kind.child(field), &value) {
                (Some(child), Value::Bytes(from, to)) => self.message(child, *from, *to, depth + 1)?,
                (Some(_), _) => return Err(Refusal::Malformed { at, problem: "a number where a message belongs" }),
                (None, _) => self.note(kind, field, &value, at, &mut seen)?,
            }
            at = next;
        }
        match kind {
            Message::Node | Message::Function => self.check_operator(kind, &seen),
            Message::Tensor => self.check_tensor(&seen),
            _ => Ok(()),
        }
    }

    /// Takes note of what a field of a node, function or tensor says.
    fn note(&self, kind: Message, field: u64, value: &Value, at: usize, seen: &mut Seen<'a>) -> Result<(), Refusal> {
        use Message::{Function, Node, Tensor};
        match (kind, field, value) {
            (Node, 3, Value::Bytes(from, to))
            | (Function, 1, Value::Bytes(from, to))
            | (Tensor, 8, Value::Bytes(from, to)) => {
                seen.name = self.slice(*from, *to);
            }
            (Node, 4, Value::Bytes(from, to)) => seen.op = self.slice(*from, *to),
            (Node, 7, Value::Bytes(from, to)) | (Function, 10, Value::Bytes(from, to)) => {
                // Checked at once: were a second domain to follow, protobuf would keep that one.
                seen.domain = self.slice(*from, *to);
                self.check_domain(kind, seen)?;
            }
            (Tensor, 1, Value::Number(dim)) => {
                seen.dims = true;
                seen.elements = seen.elements.saturating_mul(*dim);
            }
            (Tensor, 1, Value::Bytes(from, to)) => {
                seen.dims = true;
                let mut at = *from;
                while at < *to {
                    let (dim, next) = self.varint(at, *to)?;
                    seen.elements = seen.elements.saturating_mul(dim);
                    at = next;
                }
            }
            // Data: packed or one element a field; a field of its own takes at least its tag.
            (Tensor, 4..=7 | 9..=11, Value::Bytes(from, to)) => seen.data += (to - from) as u64 + 1,
            (Tensor, 4..=7 | 9..=11, _) => seen.data += 1,
            (Tensor, 13, _) => return Err(self.external(seen)),
            (Tensor, 14, Value::Number(0)) => {}
            (Tensor, 14, _) => return Err(self.external(seen)),
            (Node, 3 | 4 | 7, _) | (Function, 1 | 10, _) | (Tensor, 1 | 8, _) => {
                return Err(Refusal::Malformed { at, problem: "a field of the wrong type" });
            }
            _ => {}
        }
        Ok(())
    }

    fn check_domain(&self, kind: Message, seen: &Seen) -> Result<(), Refusal> {
        if DOMAINS.iter().any(|known| known.as_bytes() == seen.domain) {
            return Ok(());
        }
        let op = text(if kind == Message::Node && !seen.op.is_empty() { seen.op } else { seen.name });
        Err(Refusal::Domain { op, domain: text(seen.domain) })
    }

    fn check_operator(&mut self, kind: Message, seen: &Seen) -> Result<(), Refusal> {
        if kind == Message::Function {
            return Ok(());
        }
        self.contents.nodes += 1;
        if self.contents.nodes > MAX_NODES {
            return Err(Refusal::TooManyNodes { limit: MAX_NODES });
        }
        if seen.op == b"EPContext" {
            return Err(Refusal::Opaque { op: text(seen.op) });
        }
        Ok(())
    }

    fn check_tensor(&mut self, seen: &Seen) -> Result<(), Refusal> {
        self.contents.tensors += 1;
        if seen.dims && seen.elements > seen.data.saturating_mul(ELEMENTS_PER_BYTE) {
            return Err(Refusal::Inflated { tensor: text(seen.name), elements: seen.elements, bytes: seen.data });
        }
        Ok(())
    }

    fn external(&self, seen: &Seen) -> Refusal {
        Refusal::ExternalData { tensor: text(seen.name) }
    }

    /// The field at `at`: its number, its value, and where the next begins.
    fn field(&self, at: usize, end: usize) -> Result<(u64, Value, usize), Refusal> {
        let (tag, after) = self.varint(at, end)?;
        let skip = |bytes: usize| {
            let next = after.checked_add(bytes).filter(|next| *next <= end);
            next.ok_or(Refusal::Malformed { at, problem: "a field runs past its end" })
        };
        let (value, next) = match tag & 7 {
            0 => {
                let (number, next) = self.varint(after, end)?;
                (Value::Number(number), next)
            }
            1 => (Value::Fixed, skip(8)?),
            2 => {
                let (length, from) = self.varint(after, end)?;
                let to = usize::try_from(length).ok().and_then(|length| from.checked_add(length));
                let to = to.filter(|to| *to <= end);
                let to = to.ok_or(Refusal::Malformed { at, problem: "a field runs past its end" })?;
                (Value::Bytes(from, to), to)
            }
            5 => (Value::Fixed, skip(4)?),
            _ => return Err(Refusal::Malformed { at, problem: "an unknown kind of field" }),
        };
        if tag >> 3 == 0 {
            return Err(Refusal::Malformed { at, problem: "a field without a number" });
        }
        Ok((tag >> 3, value, next))
    }

    /// The varint at `at` and where the next byte is.
    fn varint(&self, at: usize, end: usize) -> Result<(u64, usize), Refusal> {
        let mut value = 0u64;
        for (i, byte) in self.slice(at, end).iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7F) << (7 * i);
            if byte & 0x80 == 0 {
                return Ok((value, at + i + 1));
            }
        }
        Err(Refusal::Malformed { at, problem: "a number without an end" })
    }

    fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }
}

/// A name from the file, fit for a message: at most 80 characters, no control characters.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(320)).unwrap_or_default())
        .chars()
        .take(80)
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

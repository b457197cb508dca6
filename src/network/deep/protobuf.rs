//! How is an ONNX file written? As protocol buffers, of which a model needs four wire types and eight messages.
//!
//! Source: onnx.proto of ONNX 1.14 (IR version 8), and the protocol buffers encoding guide.

/// The operator set that the nodes are of.
pub const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
const FLOAT: i64 = 1;
const INT64: i64 = 7;
const DOUBLE: i64 = 11;

/// A message under way.
#[derive(Clone, Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn all<T>(self, field: u64, values: &[T], bytes: impl Fn(&T) -> Vec<u8>) -> Self {
        values.iter().fold(self, |message, value| message.bytes(field, &bytes(value)))
    }
}

/// What a node's attribute is.
#[derive(Clone, Debug)]
pub enum Attribute {
    /// One whole number.
    Int(i64),
    /// Several.
    Ints(Vec<i64>),
    /// A number.
    Float(f32),
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is done: `MatMul`, `Add`, ….
    pub op: &'static str,
    /// Names of what it takes.
    pub inputs: Vec<String>,
    /// Names of what it gives.
    pub outputs: Vec<String>,
    /// Its settings.
    pub attributes: Vec<(&'static str, Attribute)>,
}

impl Node {
    fn encode(&self) -> Vec<u8> {
        let message = Message::default()
            .all(1, &self.inputs, |name| name.clone().into_bytes())
            .all(2, &self.outputs, |name| name.clone().into_bytes())
            .bytes(3, self.outputs.first().map_or("", String::as_str).as_bytes())
            .bytes(4, self.op.as_bytes());
        message
            .all(5, &self.attributes, |(name, value)| {
                let message = Message::default().bytes(1, name.as_bytes());
                match value {
                    Attribute::Float(value) => message.float(2, *value).int(20, 1),
                    Attribute::Int(value) => message.int(3, *value).int(20, 2),
                    Attribute::Ints(values) => values.iter().fold(message, |m, v| m.int(8, *v)).int(20, 7),
                }
                .0
            })
            .0
    }
}

/// Numbers that are part of the model.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// float32
    Floats(Vec<f32>),
    /// int64
    Ints(Vec<i64>),
    /// float64
    Doubles(Vec<f64>),
}

/// An initialiser.
#[derive(Clone, Debug)]
pub struct Initialiser {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Row-major.
    pub numbers: Numbers,
}

impl Initialiser {
    fn encode(&self) -> Vec<u8> {
        let message = self.shape.iter().fold(Message::default(), |message, size| message.int(1, *size as i64));
        let (kind, bytes): (i64, Vec<u8>) = match &self.numbers {
            Numbers::Floats(values) => (FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Numbers::Ints(values) => (INT64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Numbers::Doubles(values) => (DOUBLE, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        };
        message.int(2, kind).bytes(8, self.name.as_bytes()).bytes(9, &bytes).0
    }
}

/// An input or output.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its shape; `None` is the batch.
    pub shape: Vec<Option<usize>>,
}

impl Port {
    fn encode(&self) -> Vec<u8> {
        self.encode_as(FLOAT)
    }

    fn encode_as(&self, kind: i64) -> Vec<u8> {
        let shape = Message::default().all(1, &self.shape, |size| match size {
            Some(size) => Message::default().int(1, *size as i64).0,
            None => Message::default().bytes(2, b"batch").0,
        });
        let tensor = Message::default().int(1, kind).bytes(2, &shape.0);
        let kind = Message::default().bytes(1, &tensor.0);
        Message::default().bytes(1, self.name.as_bytes()).bytes(2, &kind.0).0
    }
}

/// The bytes of a model.
pub fn model(name: &str, nodes: &[Node], initialisers: &[Initialiser], inputs: &[Port], outputs: &[Port]) -> Vec<u8> {
    let graph = Message::default()
        .all(1, nodes, Node::encode)
        .bytes(2, name.as_bytes())
        .all(5, initialisers, Initialiser::encode)
        .all(11, inputs, Port::encode)
        .all(12, outputs, Port::encode);
    let opset = Message::default().bytes(1, b"").int(2, OPSET);
    let message =
        Message::default().int(1, IR_VERSION).bytes(2, b"neurod").bytes(3, env!("CARGO_PKG_VERSION").as_bytes());
    message.bytes(7, &graph.0).bytes(8, &opset.0).0
}

/// `model` with one output more, float64, which is always these `values` (row-major, of this `shape`).
///
/// One message after another of the same kind is both merged into one, as the encoding guide has it: the graph that is added joins
/// the one that is there.
pub fn with_constant(model: &[u8], name: &str, shape: &[usize], values: &[f64]) -> Vec<u8> {
    let held = format!("{name}.value");
    let node = Node { op: "Identity", inputs: vec![held.clone()], outputs: vec![name.into()], attributes: Vec::new() };
    let value = Initialiser { name: held, shape: shape.to_vec(), numbers: Numbers::Doubles(values.to_vec()) };
    let port = Port { name: name.into(), shape: shape.iter().copied().map(Some).collect() };
    let graph =
        Message::default().bytes(1, &node.encode()).bytes(5, &value.encode()).bytes(12, &port.encode_as(DOUBLE));
    [model, &Message::default().bytes(7, &graph.0).0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_encoding_guide_has_them() {
        // The guide's own examples: field 1 = 150, field 2 = "testing"; a negative int64 takes ten bytes.
        assert_eq!(Message::default().int(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().bytes(2, b"testing").0, b"\x12\x07testing");
        assert_eq!(Message::default().int(3, -1).0, [&[0x18][..], &[0xff; 9], &[0x01]].concat());
        assert_eq!(Message::default().float(2, 1.0).0, [0x15, 0, 0, 0x80, 0x3f]);
    }
}

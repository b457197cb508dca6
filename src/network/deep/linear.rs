//! How does a linear model of edges become an ONNX model? One product of all entries of a network with a weight each.

use super::algebra::{Algebra, Binary};
use super::{CONNECTIVITY, Failure, Graph, LOGITS, PROBABILITIES, Parameters, Precision, VALUE};

/// The graph of `entries · weights + intercept`, where `weights` are N·N × outputs, row-major, of networks as they stand in memory.
/// With several outputs they are the logits of as many classes, whose probabilities at this `temperature` are given as well; one is
/// a number.
///
/// # Errors
/// Weights that are not N·N × outputs.
pub fn linear_model(
    name: &str,
    nodes: usize,
    weights: &[f64],
    intercept: &[f64],
    temperature: f64,
) -> Result<Vec<u8>, Failure> {
    let outputs = intercept.len();
    let parameters = Parameters::new(Precision::Single, 0);
    let graph = Graph::new(&parameters);
    let entries = graph.reshape(&graph.input(CONNECTIVITY, &[nodes, nodes]), &[0, (nodes * nodes) as isize])?;
    let product = graph.matmul(&entries, &graph.constant(weights, &[nodes * nodes, outputs])?)?;
    let sums = graph.binary(Binary::Add, &product, &graph.constant(intercept, &[outputs])?)?;
    match outputs {
        1 => graph.output(VALUE, &sums),
        _ => {
            graph.output(LOGITS, &sums);
            graph.output(PROBABILITIES, &graph.softmax(&graph.affine(&sums, 1.0 / temperature, 0.0)?)?);
        }
    }
    Ok(graph.model(name))
}

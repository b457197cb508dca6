//! How is a sum of matrix products computed with the fewest products? What a layer does to nodes is affine up to its
//! activation, so the weights meet each other before they meet the nodes, where that is cheaper.
//!
//! A convolution followed by a linear layer costs B·N·(F·H + H·H + H·H) products if each weight is applied to all nodes in turn,
//! and B·N·F·H + 2·F·H·H if the weights are multiplied first: with B·N = 2000 nodes a batch a third of it. The numbers are
//! the same but for rounding.

use super::{Algebra, Failure};

/// The batch that costs are estimated for.
const NOMINAL_BATCH: usize = 16;

/// `operator · left · weights[0] · weights[1] · …`: `left` is batch × N × F, batch × 1 × F or 1 × F, `operator` batch × N × N.
#[derive(Clone, Debug)]
pub(super) struct Term<T> {
    pub operator: Option<T>,
    pub left: T,
    pub weights: Vec<T>,
}

impl<T: Clone> Term<T> {
    pub(super) fn new(left: &T, weights: &[&T]) -> Self {
        Self { operator: None, left: left.clone(), weights: weights.iter().map(|w| (*w).clone()).collect() }
    }

    pub(super) fn under(operator: &T, left: &T, weights: &[&T]) -> Self {
        Self { operator: Some(operator.clone()), ..Self::new(left, weights) }
    }

    fn rows<A: Algebra<Tensor = T>>(&self, a: &A) -> Result<usize, Failure> {
        a.size(self.operator.as_ref().unwrap_or(&self.left), -2)
    }

    fn product<A: Algebra<Tensor = T>>(&self, a: &A) -> Result<T, Failure> {
        let rows = NOMINAL_BATCH * a.size(&self.left, -2)?;
        let mut sizes = vec![a.size(&self.left, -1)?];
        for weight in &self.weights {
            sizes.push(a.size(weight, -1)?);
        }
        let (first, last) = (sizes.first().copied().unwrap_or(1), sizes.last().copied().unwrap_or(1));
        let pairs = || sizes.iter().zip(sizes.iter().skip(1)).map(|(a, b)| a * b);
        let one_by_one: usize = pairs().map(|cost| rows * cost).sum();
        let weights_first = pairs().skip(1).map(|cost| first * cost).sum::<usize>() + rows * first * last;
        let before = self.operator.as_ref().filter(|_| first <= last);
        let mut out = match before {
            Some(operator) => a.matmul(operator, &self.left)?,
            None => self.left.clone(),
        };
        if weights_first < one_by_one {
            let mut weights = self.weights.iter();
            let mut product = weights.next().cloned();
            for weight in weights {
                product = product.map(|product| a.matmul(&product, weight)).transpose()?;
            }
            if let Some(product) = product {
                out = a.matmul(&out, &product)?;
            }
        } else {
            for weight in &self.weights {
                out = a.matmul(&out, weight)?;
            }
        }
        match self.operator.as_ref().filter(|_| before.is_none()) {
            Some(operator) => a.matmul(operator, &out),
            None => Ok(out),
        }
    }
}

/// The sum of all terms; those of one row first, so that nodes are walked as seldom as possible.
pub(super) fn sum<A: Algebra>(a: &A, terms: &[Term<A::Tensor>]) -> Result<A::Tensor, Failure> {
    let mut sized = Vec::with_capacity(terms.len());
    for term in terms {
        sized.push((term.rows(a)?, term));
    }
    sized.sort_by_key(|(rows, _)| *rows);
    let mut total = None;
    for (_, term) in sized {
        let product = term.product(a)?;
        total = Some(match total {
            Some(total) => a.add(&total, &product)?,
            None => product,
        });
    }
    total.ok_or_else(|| Failure::Settings("a layer without terms".into()))
}

//! Related words: the tokens whose embeddings point the same way. A language model has learnt that "oldest" is near
//! "earliest"; BM25 has not.

use crate::{Engine, Error, Result, forward::Model};
use compute::{Ops, Rows};

/// Cosine below which two words have nothing to do with each other in SmolLM2's embedding.
const LEAST_COSINE: f32 = 0.4;
/// Squared length of a centred row, in squared lengths of the mean, below which its direction is not known.
const LEAST_SQUARE: f32 = 0.05;
/// Rows of the embedding dequantised at a time.
const CHUNK: usize = 2_048;

/// What centring the embedding needs: most of a row is what all rows share.
pub struct Centred {
    /// `[dim]`
    mean: Vec<f32>,
    /// Squared lengths before centring, `[vocab]`.
    squares: Vec<f32>,
}

impl<O: Ops> Model<O> {
    fn centred(&self, embedding: &O::Matrix) -> &Centred {
        self.centred.get_or_init(|| {
            let (dim, vocab) = (self.config.dim, self.config.vocab);
            let (mut mean, mut squares) = (vec![0.0f32; dim], Vec::with_capacity(vocab));
            let mut rows = Rows::default();
            let ids: Vec<u32> = (0..vocab as u32).collect();
            for ids in ids.chunks(CHUNK) {
                self.ops.embed(embedding, ids, &mut rows);
                for row in rows.as_slice().chunks_exact(dim) {
                    mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x);
                    squares.push(row.iter().map(|x| x * x).sum());
                }
            }
            mean.iter_mut().for_each(|x| *x /= vocab as f32);
            Centred { mean, squares }
        })
    }

    /// Cosines between the centred embeddings of `ids` and of every token, `[ids.len(), vocab]`.
    pub(crate) fn embedding_cosines(&self, ids: &[u32]) -> Result<Rows> {
        let embedding = self.weights.embedding(&self.ops)?;
        let Centred { mean, squares } = self.centred(embedding);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let mut asked = Rows::default();
        self.ops.embed(embedding, ids, &mut asked);
        let mut directions = mean.clone();
        for row in asked.as_slice().chunks_exact(mean.len()) {
            directions.extend(row.iter().zip(mean).map(|(x, mean)| x - mean));
        }
        let directions = Rows::from_vec(directions, mean.len());
        let (mut acts, mut products) = (O::Acts::default(), Rows::default());
        self.ops.activations(&directions, &mut acts);
        self.ops.matmul(&acts, embedding, &mut products);
        let of_mean = dot(mean, mean);
        let mut cosines = Rows::zeros(ids.len(), squares.len());
        for i in 0..ids.len() {
            let direction = directions.row(i + 1);
            let (own, shared) = (dot(direction, direction).sqrt(), dot(mean, direction));
            for (j, cosine) in cosines.row_mut(i).iter_mut().enumerate() {
                let square = squares[j] - 2.0 * products.row(0)[j] + of_mean;
                // Products are rounded to int8: of a token next to the mean, one never trained, little is left but noise.
                let known = square > LEAST_SQUARE * of_mean && own > 0.0;
                *cosine = match known {
                    true => ((products.row(i + 1)[j] - shared) / (own * square.sqrt())).clamp(-1.0, 1.0),
                    false => 0.0,
                };
            }
        }
        Ok(cosines)
    }
}

impl Engine {
    /// For each word the at most `k` nearest tokens that begin a word, with their cosines, nearest first. Empty for a word
    /// that is not one token.
    pub fn related(&self, words: &[&str], k: usize) -> Result<Vec<Vec<(String, f32)>>> {
        let in_model = |source| Error::Tokenizer { model: self.name().to_owned(), source: Box::new(source) };
        let mut asked = Vec::new();
        for (at, word) in words.iter().enumerate() {
            if let [id] = self.tokenizer().encode_document(&format!(" {word}")).map_err(in_model)?.ids[..] {
                asked.push((at, id));
            }
        }
        let mut related = vec![Vec::new(); words.len()];
        if asked.is_empty() {
            return Ok(related);
        }
        let cosines = self.run().embedding_cosines(&asked.iter().map(|(_, id)| *id).collect::<Vec<_>>())?;
        for (row, (at, own)) in asked.into_iter().enumerate() {
            let mut near: Vec<(u32, f32)> = (0..).zip(cosines.row(row).iter().copied()).collect();
            near.retain(|&(id, cosine)| id != own && cosine >= LEAST_COSINE);
            near.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            for (id, cosine) in near {
                let text = self.tokenizer().decode(&[id]).map_err(in_model)?;
                if let Some(word) =
                    text.strip_prefix(' ').filter(|word| word.chars().all(char::is_alphabetic))
                {
                    related[at].push((word.to_owned(), cosine));
                }
                if related[at].len() == k {
                    break;
                }
            }
        }
        Ok(related)
    }
}

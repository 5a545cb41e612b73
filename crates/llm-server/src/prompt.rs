//! A prompt as the cache sees it: blocks in the order tools, system, messages, each known by everything before it, to the byte.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use crate::tokens::tokens_of;

/// How long a cache entry lives after it was last used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    FiveMinutes,
    Hour,
}

impl Lifetime {
    pub(crate) fn span(self) -> TimeDelta {
        match self {
            Self::FiveMinutes => TimeDelta::minutes(5),
            Self::Hour => TimeDelta::hours(1),
        }
    }
}

/// Names a prefix.
pub(crate) type PrefixKey = [u8; 32];

/// The end of a block.
#[derive(Debug, Clone)]
pub(crate) struct BlockEnd {
    /// Names everything up to here.
    pub(crate) key: PrefixKey,
    /// Tokens up to here. The estimate is taken of all bytes up to here, so that the parts add up to the whole.
    pub(crate) tokens: u64,
    /// The request marks it with `cache_control`.
    pub(crate) mark: Option<Lifetime>,
}

/// A prompt, block by block.
#[derive(Clone)]
pub(crate) struct Prompt {
    pub(crate) blocks: Vec<BlockEnd>,
    digest: Sha256,
    bytes: usize,
}

impl Prompt {
    /// An empty one. `apart` tells prompts apart that have nothing to do with each other: keys, models.
    pub(crate) fn new(apart: &[&str]) -> Self {
        let mut prompt = Self { blocks: Vec::new(), digest: Sha256::new(), bytes: 0 };
        for words in apart {
            prompt.mix(words);
        }
        prompt
    }

    /// Makes what follows another prompt than after other words. Takes no tokens.
    pub(crate) fn mix(&mut self, words: &str) {
        // The length first: two words never look like one.
        self.digest.update((words.len() as u64).to_le_bytes());
        self.digest.update(words);
    }

    /// Text that stands before all blocks and is part of each prefix, such as the schema of the answer.
    pub(crate) fn preface(&mut self, text: &str) {
        self.mix(text);
        self.bytes += text.len();
    }

    /// The next block. `place` is what it is; only the text counts as tokens.
    pub(crate) fn add(&mut self, place: &str, text: &str, mark: Option<Lifetime>) {
        self.mix(place);
        self.mix(text);
        self.bytes += text.len();
        let key = self.digest.clone().finalize().into();
        self.blocks.push(BlockEnd { key, tokens: tokens_of(self.bytes), mark });
    }

    /// Marks the last block, unless it is marked.
    pub(crate) fn mark_last(&mut self, lifetime: Lifetime) {
        if let Some(last) = self.blocks.last_mut() {
            last.mark.get_or_insert(lifetime);
        }
    }

    /// Tokens of the whole.
    pub(crate) fn tokens(&self) -> u64 {
        tokens_of(self.bytes)
    }

    /// The marks, in order.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Lifetime> {
        self.blocks.iter().filter_map(|block| block.mark)
    }
}

//! The prompt cache and its accounting, by the published rules (`reference/claude.md`, §4).

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::ledger::Usage;
use crate::prompt::{BlockEnd, Lifetime, PrefixKey, Prompt};

/// A mark looks for an entry at its own block and at so many before it, together.
const LOOKED_AT: usize = 20;

/// Entries from which on those that have expired are cleared away.
const FEW: usize = 1_024;

struct Entry {
    lifetime: Lifetime,
    expires: DateTime<Utc>,
}

/// What is cached. An entry is there from the moment the answer that made it starts: [`Cache::keep`].
#[derive(Default)]
pub(crate) struct Cache {
    entries: HashMap<PrefixKey, Entry>,
    clear_at: usize,
}

impl Cache {
    /// What of a prompt is read, written and neither. Under the model's minimum nothing is cached, and nobody is told.
    pub(crate) fn look(&self, prompt: &Prompt, minimum: u64, now: DateTime<Utc>) -> Usage {
        let blocks = &prompt.blocks;
        let marks: Vec<(usize, Lifetime)> = blocks
            .iter()
            .enumerate()
            .filter(|(_, block)| block.tokens >= minimum)
            .filter_map(|(at, block)| Some((at, block.mark?)))
            .collect();
        // From the last mark backwards, so that the first entry found is the longest.
        let hit = marks.iter().rev().find_map(|(mark, _)| {
            let first = (mark + 1).saturating_sub(LOOKED_AT);
            (first..=*mark).rev().find(|at| self.is_live(&blocks[*at], now))
        });
        let tokens_to = |block: Option<usize>| block.map_or(0, |at| blocks[at].tokens);
        let beyond = |at: usize| hit.is_none_or(|hit| at > hit);
        let hour = marks.iter().rev().find(|(at, lifetime)| *lifetime == Lifetime::Hour && beyond(*at));
        let last = marks.last().map(|(at, _)| *at).filter(|at| beyond(*at));
        let read = tokens_to(hit);
        let to_hour = hour.map_or(read, |(at, _)| blocks[*at].tokens);
        let to_last = last.map_or(read, |at| blocks[at].tokens);
        Usage {
            input: prompt.tokens() - to_last,
            cache_read: read,
            cache_write_1h: to_hour - read,
            cache_write_5m: to_last - to_hour,
            ..Usage::default()
        }
    }

    /// The answer to a prompt starts: what it marked can be read from now on, and what it read lives on.
    pub(crate) fn keep(&mut self, prompt: &Prompt, minimum: u64, now: DateTime<Utc>) {
        let last = prompt.blocks.iter().rposition(|block| block.mark.is_some());
        for block in prompt.blocks.iter().take(last.map_or(0, |at| at + 1)) {
            match self.entries.get_mut(&block.key).filter(|entry| now < entry.expires) {
                Some(entry) => entry.expires = entry.expires.max(now + entry.lifetime.span()),
                None => self.write(block, minimum, now),
            }
        }
        if self.entries.len() >= self.clear_at.max(FEW) {
            self.entries.retain(|_, entry| now < entry.expires);
            self.clear_at = self.entries.len() * 2;
        }
    }

    fn write(&mut self, block: &BlockEnd, minimum: u64, now: DateTime<Utc>) {
        if let Some(lifetime) = block.mark.filter(|_| block.tokens >= minimum) {
            self.entries.insert(block.key, Entry { lifetime, expires: now + lifetime.span() });
        }
    }

    fn is_live(&self, block: &BlockEnd, now: DateTime<Utc>) -> bool {
        self.entries.get(&block.key).is_some_and(|entry| now < entry.expires)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const FIVE: Option<Lifetime> = Some(Lifetime::FiveMinutes);
    const HOUR: Option<Lifetime> = Some(Lifetime::Hour);

    fn prompt(blocks: &[(usize, char, Option<Lifetime>)]) -> Prompt {
        let mut prompt = Prompt::new(&["key", "model"]);
        for (tokens, letter, mark) in blocks {
            prompt.add("system", &letter.to_string().repeat(tokens * 7 / 2), *mark);
        }
        prompt
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn told(usage: Usage) -> [u64; 4] {
        [usage.cache_read, usage.cache_write_1h, usage.cache_write_5m, usage.input]
    }

    /// Looks and keeps, as a request that is answered at once does.
    fn ask(cache: &mut Cache, prompt: &Prompt, seconds: i64) -> [u64; 4] {
        let usage = cache.look(prompt, 512, at(seconds));
        cache.keep(prompt, 512, at(seconds));
        told(usage)
    }

    #[test]
    fn written_once_then_read_until_it_expires() {
        let mut cache = Cache::default();
        let with = |letter| prompt(&[(600, 's', FIVE), (100, letter, None)]);
        assert_eq!(ask(&mut cache, &with('a'), 0), [0, 0, 600, 100]);
        assert_eq!(ask(&mut cache, &with('b'), 299), [600, 0, 0, 100], "another question, the same prefix");
        assert_eq!(
            ask(&mut cache, &with('c'), 598),
            [600, 0, 0, 100],
            "every hit starts the five minutes anew"
        );
        assert_eq!(ask(&mut cache, &with('d'), 898), [0, 0, 600, 100], "expired to the second");
    }

    #[test]
    fn only_readable_once_the_first_answer_starts() {
        let mut cache = Cache::default();
        let prompt = prompt(&[(600, 's', FIVE)]);
        assert_eq!(told(cache.look(&prompt, 512, at(0))), [0, 0, 600, 0]);
        assert_eq!(told(cache.look(&prompt, 512, at(1))), [0, 0, 600, 0], "sent beside the first");
        cache.keep(&prompt, 512, at(2));
        assert_eq!(told(cache.look(&prompt, 512, at(2))), [600, 0, 0, 0]);
    }

    #[test]
    fn under_the_minimum_nothing_happens() {
        let mut cache = Cache::default();
        let short = prompt(&[(511, 's', FIVE)]);
        assert_eq!(ask(&mut cache, &short, 0), [0, 0, 0, 511]);
        assert_eq!(ask(&mut cache, &short, 1), [0, 0, 0, 511]);
        let enough = prompt(&[(512, 's', FIVE)]);
        assert_eq!(ask(&mut cache, &enough, 2), [0, 0, 512, 0]);
    }

    #[test]
    fn one_byte_makes_another_prefix() {
        let mut cache = Cache::default();
        assert_eq!(ask(&mut cache, &prompt(&[(600, 's', FIVE)]), 0), [0, 0, 600, 0]);
        let mut other = Prompt::new(&["key", "model"]);
        other.add("system", &format!("{}t", "s".repeat(2_099)), FIVE);
        assert_eq!(ask(&mut cache, &other, 1), [0, 0, 600, 0]);
        let mut elsewhere = Prompt::new(&["key", "other model"]);
        elsewhere.add("system", &"s".repeat(2_100), FIVE);
        assert_eq!(ask(&mut cache, &elsewhere, 1), [0, 0, 600, 0]);
    }

    #[test]
    fn two_lifetimes_are_billed_apart() {
        let mut cache = Cache::default();
        let both = |letter| prompt(&[(600, 's', HOUR), (200, letter, FIVE), (50, 'q', None)]);
        assert_eq!(ask(&mut cache, &both('a'), 0), [0, 600, 200, 50]);
        assert_eq!(ask(&mut cache, &both('a'), 10), [800, 0, 0, 50]);
        assert_eq!(ask(&mut cache, &both('b'), 20), [600, 0, 200, 50], "the longest prefix that is there");
        assert_eq!(
            ask(&mut cache, &both('a'), 1_000),
            [600, 0, 200, 50],
            "the hour outlives the five minutes"
        );
    }

    #[test]
    fn a_mark_looks_back_twenty_blocks_and_no_further() {
        let blocks = |behind: usize| {
            let mut all = vec![(600, 's', FIVE)];
            all.extend((0..behind).map(|_| (10, 'm', None)));
            if let Some(last) = all.last_mut() {
                last.2 = FIVE;
            }
            prompt(&all)
        };
        let mut cache = Cache::default();
        ask(&mut cache, &prompt(&[(600, 's', FIVE)]), 0);
        // The first block is marked no longer: the last mark has to find it.
        let moved = |behind: usize| {
            let mut prompt = blocks(behind);
            prompt.blocks[0].mark = None;
            prompt
        };
        assert_eq!(told(cache.look(&moved(19), 512, at(1))), [600, 0, 190, 0]);
        assert_eq!(told(cache.look(&moved(20), 512, at(1))), [0, 0, 800, 0]);
        assert_eq!(told(cache.look(&blocks(20), 512, at(1))), [600, 0, 200, 0], "its own mark finds it");
    }

    #[test]
    fn what_has_expired_is_cleared_away() {
        let mut cache = Cache::default();
        for n in 0..5_000_i64 {
            let mut prompt = Prompt::new(&[]);
            prompt.add("system", &format!("{n}{}", "s".repeat(2_100)), FIVE);
            cache.keep(&prompt, 512, at(n));
        }
        assert!(cache.entries.len() <= 2 * FEW, "{}", cache.entries.len());
    }
}

//! A small cache whose entries expire.
//!
//! Time is handed in, so that tests need not wait.

#![deny(missing_docs)]

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

/// How long an entry lives when nothing else is said.
pub const DEFAULT_TTL: Duration = Duration::from_secs(60);

pub struct Marker;

/// One value and when it dies.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<V> {
    /// The value.
    pub value: V,
    deadline: Instant,
}

/// Why a lookup gave nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum Miss {
    /// It was never there.
    Absent,
    /// It was, until then.
    Expired(Instant),
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Miss::Absent => f.write_str("absent"),
            Miss::Expired(at) => write!(f, "expired at {at:?}"),
        }
    }
}

/// Where entries can be looked up.
pub trait Lookup {
    /// What is found.
    type Value;

    /// Finds an entry.
    fn find(&self, key: &str, now: Instant) -> Result<&Self::Value, Miss>;

    /// Whether there is one.
    fn has(&self, key: &str, now: Instant) -> bool {
        self.find(key, now).is_ok()
    }
}

#[derive(Default)]
pub struct Cache<V> {
    entries: HashMap<String, Entry<V>>,
}

impl<V: Clone> Cache<V>
where
    V: fmt::Debug,
{
    const INITIAL: usize = 64;

    /// Creates an empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: HashMap::with_capacity(Self::INITIAL),
        }
    }

    /// Puts a value, replacing what was there.
    #[inline]
    #[cfg_attr(feature = "tracing",
               tracing::instrument)]
    pub fn put(&mut self, key: impl Into<String>, value: V, now: Instant) {
        let deadline = now + DEFAULT_TTL;
        self.entries.insert(key.into(), Entry { value, deadline });
    }
}

impl<'a, V> IntoIterator for &'a Cache<V> {
    type Item = (&'a String, &'a Entry<V>);
    type IntoIter = std::collections::hash_map::Iter<'a, String, Entry<V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

/// Builds a cache from pairs.
#[macro_export]
macro_rules! cache {
    ($($key:expr => $value:expr),* $(,)?) => {{
        let mut cache = Cache::new();
        $(cache.put($key, $value, Instant::now());)*
        cache
    }};
}

pub(crate) async unsafe fn purge(cache: &mut Cache<String>) {
    cache.entries.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cache_has_nothing() {
        assert!(Cache::<u8>::new().entries.is_empty());
    }
}

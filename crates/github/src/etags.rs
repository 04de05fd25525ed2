//! Answers that GitHub need not send again. A 304 costs nothing of the primary limit, so lists that rarely change are asked for
//! with the tag of the last answer.

use std::collections::HashMap;

/// So many answers are kept: the lists of all repositories of a round of sweeps, most of which are short. Fewer than a round
/// asks for would be as good as none, because the oldest makes room.
const ANSWERS_MAX: usize = 4_096;
/// A larger answer is not kept.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// So many bytes of answers are kept.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The last answers to GETs, by whose limit pays and path: one path, such as an installation's repositories, may be many lists.
#[derive(Default)]
pub(crate) struct ETags {
    answers: HashMap<String, Kept>,
    /// How many bytes all kept bodies have.
    bytes: usize,
    used: u64,
}

struct Kept {
    etag: String,
    body: Vec<u8>,
    used: u64,
}

impl ETags {
    /// What to ask with.
    pub fn of(&self, path: &str) -> Option<String> {
        self.answers.get(path).map(|kept| kept.etag.clone())
    }

    /// GitHub says that nothing has changed: the answer of the last time.
    pub fn unchanged(&mut self, path: &str) -> Option<Vec<u8>> {
        self.used += 1;
        let kept = self.answers.get_mut(path)?;
        kept.used = self.used;
        Some(kept.body.clone())
    }

    /// Keeps an answer; those that were not used for the longest time make room.
    pub fn keep(&mut self, path: &str, etag: &str, body: &[u8]) {
        if body.len() > ANSWER_BYTES_MAX || etag.is_empty() || etag.len() > 256 {
            return;
        }
        self.used += 1;
        self.forget(path);
        self.bytes += body.len();
        self.answers.insert(path.to_owned(), Kept { etag: etag.to_owned(), body: body.to_vec(), used: self.used });
        while (self.answers.len() > ANSWERS_MAX || self.bytes > BYTES_MAX)
            && let Some(oldest) = self.answers.iter().min_by_key(|(_, kept)| kept.used).map(|(path, _)| path.clone())
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, path: &str) {
        if let Some(kept) = self.answers.remove(path) {
            self.bytes -= kept.body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_that_was_not_used_for_the_longest_time_makes_room() {
        let mut etags = ETags::default();
        for n in 0..ANSWERS_MAX {
            etags.keep(&n.to_string(), "\"e\"", b"body");
        }
        assert_eq!(etags.unchanged("0").as_deref(), Some(b"body".as_slice()));
        etags.keep("more", "\"e\"", b"body");
        assert!(etags.of("0").is_some() && etags.of("1").is_none() && etags.of("more").is_some());
        etags.keep("large", "\"e\"", &vec![0; ANSWER_BYTES_MAX + 1]);
        assert!(etags.of("large").is_none());
    }

    #[test]
    fn large_answers_make_room_for_each_other() {
        let mut etags = ETags::default();
        let (large, count) = (vec![0; ANSWER_BYTES_MAX], BYTES_MAX / ANSWER_BYTES_MAX);
        for n in 0..count {
            etags.keep(&n.to_string(), "\"e\"", &large);
            etags.keep(&n.to_string(), "\"f\"", &large);
        }
        assert!((0..count).all(|n| etags.of(&n.to_string()).is_some()), "an answer that is replaced counts once");
        etags.keep("more", "\"e\"", b"body");
        assert!(etags.of("0").is_none() && etags.of("1").is_some() && etags.of("more").is_some());
        assert!(etags.bytes <= BYTES_MAX);
        etags.keep("1", "\"e\"", b"short");
        assert_eq!(etags.bytes, (count - 2) * ANSWER_BYTES_MAX + "body".len() + "short".len());
    }
}

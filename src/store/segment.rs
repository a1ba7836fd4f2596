//! The parts of a sparse file that hold data; what lies between them is a hole and reads as zeros.
//!
//! In the archive such a file has the form "PAX sparse 1.0" of GNU tar: the list of its segments in
//! decimal numbers, filled up to a whole block, and then their bytes one after the other.

use super::entry::filling;
use serde::{Deserialize, Serialize};

/// More than any file needs whose holes are worth the trouble.
const MOST: usize = 100_000;

/// A part of a file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes, at least 1.
    pub length: u64,
}

impl Segment {
    /// Where it ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// Bytes of all segments.
pub(crate) fn stored_bytes(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| segment.length).fold(0, u64::saturating_add)
}

/// Whether segments follow each other and lie in a file of this size.
pub(crate) fn are_sound(segments: &[Segment], size: u64) -> bool {
    let mut end = 0;
    let in_order = segments.iter().all(|segment| {
        let sound = segment.offset >= end && segment.length > 0;
        end = segment.end();
        sound
    });
    in_order && end <= size && segments.len() <= MOST
}

/// The list as it stands before the bytes.
pub(crate) fn map(segments: &[Segment], size: u64) -> Vec<u8> {
    let mut all: Vec<(u64, u64)> = segments.iter().map(|it| (it.offset, it.length)).collect();
    // Nothing at the end says how long the file is that ends with a hole.
    if segments.last().is_none_or(|last| last.end() < size) {
        all.push((size, 0));
    }
    let mut text = format!("{}\n", all.len());
    for (offset, length) in all {
        text.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(filling(bytes.len() as u64));
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Segment, are_sound, map};

    fn segments(all: &[(u64, u64)]) -> Vec<Segment> {
        all.iter().map(|&(offset, length)| Segment { offset, length }).collect()
    }

    #[test]
    fn only_segments_in_order_are_sound() {
        for (all, sound) in [
            (&[][..], true),
            (&[(0, 100)], true),
            (&[(0, 101)], false),
            (&[(0, 10), (10, 5), (90, 10)], true),
            (&[(0, 10), (9, 5)], false),
            (&[(5, 0)], false),
            (&[(u64::MAX, 5)], false),
        ] {
            assert_eq!(are_sound(&segments(all), 100), sound, "{all:?}");
        }
    }

    #[test]
    fn the_list_ends_with_the_size() {
        let text = |all: &[(u64, u64)]| {
            let bytes = map(&segments(all), 100);
            assert_eq!(bytes.len(), 512);
            String::from_utf8(bytes).unwrap().trim_end_matches('\0').to_string()
        };
        assert_eq!(text(&[]), "1\n100\n0\n");
        assert_eq!(text(&[(10, 20)]), "2\n10\n20\n100\n0\n");
        assert_eq!(text(&[(10, 90)]), "1\n10\n90\n");
    }
}

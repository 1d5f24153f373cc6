//! Texts of guests, as long as a line or a report can bear.

/// The longest beginning of `text` of at most `limit` bytes that is whole characters.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_is_the_longest_beginning_that_fits(text in any::<String>(), limit in 0_usize..100) {
            let short = cut(&text, limit);
            prop_assert!(text.starts_with(short) && short.len() <= limit);
            let next = text[short.len()..].chars().next();
            prop_assert!(next.is_none_or(|next| short.len() + next.len_utf8() > limit));
        }
    }
}

//! Licence expressions: `(MIT OR Apache-2.0) AND Unicode-3.0`.

/// Whether an expression can be met with the licences that `allowed` accepts; `None` if it is not
/// a licence expression. A licence with an exception (`X WITH Y`) is asked for as that whole text.
pub(super) fn satisfied(expression: &str, allowed: impl Fn(&str) -> bool) -> Option<bool> {
    // Before SPDX expressions, crates wrote `MIT/Apache-2.0` for a choice.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut reader = Reader { words: spaced.split_whitespace().peekable(), allowed: &allowed };
    let value = reader.choice()?;
    reader.words.next().is_none().then_some(value)
}

/// `AND` binds more tightly than `OR`, `WITH` more tightly than both.
struct Reader<'a, W: Iterator<Item = &'a str>> {
    words: std::iter::Peekable<W>,
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a, W: Iterator<Item = &'a str>> Reader<'a, W> {
    fn choice(&mut self) -> Option<bool> {
        let mut value = self.combination()?;
        while self.words.next_if_eq(&"OR").is_some() {
            value |= self.combination()?;
        }
        Some(value)
    }

    fn combination(&mut self) -> Option<bool> {
        let mut value = self.single()?;
        while self.words.next_if_eq(&"AND").is_some() {
            value &= self.single()?;
        }
        Some(value)
    }

    fn single(&mut self) -> Option<bool> {
        let word = self.words.next()?;
        if word == "(" {
            let value = self.choice()?;
            return self.words.next_if_eq(&")").map(|_| value);
        }
        if !is_name(word) {
            return None;
        }
        if self.words.next_if_eq(&"WITH").is_some() {
            let exception = self.words.next().filter(|exception| is_name(exception))?;
            return Some((self.allowed)(&format!("{word} WITH {exception}")));
        }
        Some((self.allowed)(word))
    }
}

fn is_name(word: &str) -> bool {
    !matches!(word, "AND" | "OR" | "WITH" | ")")
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "-.+:".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(expression: &str, allowed: &[&str]) -> Option<bool> {
        satisfied(expression, |one| allowed.contains(&one))
    }

    #[test]
    fn one_side_of_or_is_enough() {
        assert_eq!(with("MIT OR GPL-3.0-only", &["MIT"]), Some(true));
        assert_eq!(with("GPL-3.0-only OR MIT", &["MIT"]), Some(true));
        assert_eq!(with("GPL-3.0-only", &["MIT"]), Some(false));
    }

    #[test]
    fn both_sides_of_and_are_needed() {
        assert_eq!(with("Apache-2.0 AND ISC", &["Apache-2.0"]), Some(false));
        assert_eq!(with("Apache-2.0 AND ISC", &["Apache-2.0", "ISC"]), Some(true));
    }

    #[test]
    fn and_binds_more_tightly_than_or() {
        assert_eq!(with("MIT OR A AND B", &["MIT"]), Some(true));
        assert_eq!(with("A AND B OR MIT", &["MIT"]), Some(true));
        assert_eq!(with("A AND (B OR MIT)", &["MIT"]), Some(false));
    }

    #[test]
    fn parentheses_nest() {
        assert_eq!(
            with("(MIT OR Apache-2.0) AND Unicode-3.0", &["MIT", "Unicode-3.0"]),
            Some(true)
        );
        assert_eq!(with("((A))AND(B)", &["A", "B"]), Some(true));
    }

    #[test]
    fn an_exception_makes_another_licence() {
        let expression = "Apache-2.0 WITH LLVM-exception";
        assert_eq!(with(expression, &["Apache-2.0"]), Some(false));
        assert_eq!(with(expression, &[expression]), Some(true));
        assert_eq!(with("Apache-2.0 WITH LLVM-exception OR MIT", &["MIT"]), Some(true));
    }

    #[test]
    fn the_old_slash_is_a_choice() {
        assert_eq!(with("MIT/Apache-2.0", &["Apache-2.0"]), Some(true));
        assert_eq!(with("Apache-2.0 / MIT", &["MIT"]), Some(true));
    }

    #[test]
    fn what_is_no_expression_is_not_guessed() {
        for expression in ["", "MIT OR", "(MIT", "MIT)", "MIT Apache-2.0", "AND", "see LICENSE!"] {
            assert_eq!(with(expression, &["MIT"]), None, "{expression}");
        }
    }
}

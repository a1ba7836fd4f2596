//! A statement that copies rows from one table to another, taken apart: which item goes to which
//! column. Pure text; what a name means is for the reader to look up.
//!
//! It reads one form alone, `INSERT INTO t [(…)] SELECT … FROM …` and `CREATE TABLE t AS SELECT …`;
//! any other form (a WITH, a UNION, a query in FROM) gives nothing rather than a guess.

use super::{
    class::{meaningful, qualified_name},
    names::fold,
    token::{Token, TokenKind},
};

/// A copy of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The folded table that is filled.
    pub target: String,
    /// The folded columns that are named behind it; none where there is no list.
    pub columns: Option<Vec<String>>,
    /// What is selected.
    pub items: Vec<Item>,
    /// The tables that are read, in their order.
    pub sources: Vec<Source>,
    /// The query.
    pub query: String,
    /// Whether a row that breaks a constraint is left out or replaces another one.
    pub resolves_conflicts: bool,
}

/// A table that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its folded name.
    pub table: String,
    /// Its folded alias.
    pub alias: Option<String>,
}

/// One item of a SELECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `*`, or `t.*` with the folded name before the dot.
    All(Option<String>),
    /// A bare name, with the folded name before its dot.
    Column(Option<String>, String),
    /// Anything else, with the folded names in it.
    Expression(Vec<String>),
}

/// Reads a copy.
#[must_use]
pub fn read(text: &str) -> Option<Copy> {
    let all: Vec<Token> =
        meaningful(text).into_iter().filter(|token| token.kind != TokenKind::Semicolon).collect();
    let reader = Reader { text, all: &all };
    let (target, columns, select) = reader.head()?;
    reader.query(target, columns, select)
}

struct Reader<'a> {
    text: &'a str,
    all: &'a [Token],
}

impl Reader<'_> {
    fn word(&self, at: usize, word: &str) -> bool {
        self.all.get(at).is_some_and(|token| token.is_word(self.text, word))
    }

    fn any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.word(at, word))
    }

    fn name(&self, at: usize) -> Option<String> {
        let token = self.all.get(at).filter(|token| token.kind != TokenKind::Text)?;
        token.name(self.text).map(|name| fold(&name))
    }

    fn kind(&self, at: usize) -> Option<TokenKind> {
        self.all.get(at).map(|token| token.kind)
    }

    /// The table's name at a place, and the place behind it.
    fn table(&self, at: usize) -> Option<(String, usize)> {
        let name = qualified_name(self.text, self.all, at)?;
        let qualified = self.kind(at + 1) == Some(TokenKind::Dot);
        Some((name, at + if qualified { 3 } else { 1 }))
    }

    /// The table that is filled, its columns, and where the SELECT is.
    fn head(&self) -> Option<(String, Option<Vec<String>>, usize)> {
        if self.word(0, "create") {
            let mut at = (1..4).find(|&at| self.word(at, "table"))? + 1;
            while self.any(at, &["if", "not", "exists"]) {
                at += 1;
            }
            let (target, at) = self.table(at)?;
            return (self.word(at, "as") && self.word(at + 1, "select")).then_some((
                target,
                None,
                at + 1,
            ));
        }
        if !self.any(0, &["insert", "replace"]) {
            return None;
        }
        let into = (1..4).find(|&at| self.word(at, "into"))?;
        let (target, mut at) = self.table(into + 1)?;
        if self.word(at, "as") {
            at += 2;
        }
        let mut columns = None;
        if self.kind(at) == Some(TokenKind::Open) {
            let mut names = Vec::new();
            at += 1;
            while self.kind(at)? != TokenKind::Close {
                if self.kind(at) != Some(TokenKind::Comma) {
                    names.push(fold(&self.all[at].name(self.text)?));
                }
                at += 1;
            }
            columns = Some(names);
            at += 1;
        }
        self.word(at, "select").then_some((target, columns, at))
    }

    fn query(&self, target: String, columns: Option<Vec<String>>, select: usize) -> Option<Copy> {
        let mut start = select + 1;
        if self.any(start, &["all", "distinct"]) {
            start += 1;
        }
        let (mut from, mut end, mut last) = (None, self.all.len(), self.all.len());
        let mut depth = 0_usize;
        for at in start..self.all.len() {
            match self.all[at].kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.checked_sub(1)?,
                _ if depth > 0 => {}
                _ if self.any(at, &["union", "intersect", "except"]) => return None,
                _ if self.word(at, "from") && from.is_none() => from = Some(at),
                _ if self.any(at, &["where", "group", "having", "window", "order", "limit"]) => {
                    end = end.min(at);
                }
                _ if self.any(at, &["returning"])
                    || (self.word(at, "on") && self.word(at + 1, "conflict")) =>
                {
                    end = end.min(at);
                    last = last.min(at);
                }
                _ => {}
            }
        }
        let items = self.items(start, from.unwrap_or(end))?;
        let sources = match from {
            Some(from) => self.sources(from + 1, end)?,
            None => Vec::new(),
        };
        let query = &self.text[self.all[select].span.start..self.all[last - 1].span.end];
        let resolves = self.word(0, "replace") || self.word(1, "or") || last < self.all.len();
        let query = query.to_string();
        Some(Copy { target, columns, items, sources, query, resolves_conflicts: resolves })
    }

    fn items(&self, start: usize, end: usize) -> Option<Vec<Item>> {
        let (mut items, mut depth, mut first) = (Vec::new(), 0_usize, start);
        for at in start..=end {
            match self.kind(at).filter(|_| at < end) {
                Some(TokenKind::Open) => depth += 1,
                Some(TokenKind::Close) => depth = depth.checked_sub(1)?,
                Some(TokenKind::Comma) | None if depth == 0 => {
                    items.push(self.item(first, at));
                    first = at + 1;
                }
                _ => {}
            }
        }
        Some(items)
    }

    fn item(&self, start: usize, mut end: usize) -> Item {
        if end >= start + 3 && self.word(end - 2, "as") {
            end -= 2;
        }
        let is_star =
            |at: usize| self.all.get(at).is_some_and(|token| &self.text[token.span.clone()] == "*");
        let dotted = self.kind(start + 1) == Some(TokenKind::Dot);
        match end - start {
            1 if is_star(start) => return Item::All(None),
            3 if dotted && is_star(start + 2) => return Item::All(self.name(start)),
            1 => {
                if let Some(name) = self.name(start) {
                    return Item::Column(None, name);
                }
            }
            3 if dotted => {
                if let Some(name) = self.name(start + 2) {
                    return Item::Column(self.name(start), name);
                }
            }
            _ => {}
        }
        Item::Expression((start..end).filter_map(|at| self.name(at)).collect())
    }

    fn sources(&self, start: usize, end: usize) -> Option<Vec<Source>> {
        const NOT_AN_ALIAS: [&str; 12] = [
            "join", "left", "right", "full", "inner", "outer", "cross", "natural", "on", "using",
            "indexed", "not",
        ];
        let (mut sources, mut at) = (Vec::new(), start);
        loop {
            let (table, mut behind) = self.table(at)?;
            if self.kind(behind) == Some(TokenKind::Open) && behind < end {
                // A table-valued function.
                return None;
            }
            let mut alias = None;
            if self.word(behind, "as") {
                behind += 1;
            }
            if behind < end && !self.any(behind, &NOT_AN_ALIAS) {
                alias = self.name(behind);
            }
            sources.push(Source { table, alias });
            let mut depth = 0_usize;
            let next = (behind..end).find(|&at| {
                match self.all[at].kind {
                    TokenKind::Open => depth += 1,
                    TokenKind::Close => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && (self.all[at].kind == TokenKind::Comma || self.word(at, "join"))
            });
            match next {
                Some(next) => at = next + 1,
                None => return Some(sources),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let copy = read(text)?;
        let items: Vec<String> = copy
            .items
            .iter()
            .map(|item| match item {
                Item::All(None) => "*".into(),
                Item::All(Some(of)) => format!("{of}.*"),
                Item::Column(None, name) => name.clone(),
                Item::Column(Some(of), name) => format!("{of}.{name}"),
                Item::Expression(names) => format!("f[{}]", names.join(" ")),
            })
            .collect();
        let sources: Vec<String> = copy
            .sources
            .iter()
            .map(|source| match &source.alias {
                Some(alias) => format!("{}={alias}", source.table),
                None => source.table.clone(),
            })
            .collect();
        let columns =
            copy.columns.map_or_else(String::new, |names| format!("({})", names.join(",")));
        let mark = if copy.resolves_conflicts { "!" } else { "" };
        Some(format!(
            "{}{columns}{mark} <- {} <- {}",
            copy.target,
            items.join(","),
            sources.join(",")
        ))
    }

    #[test]
    fn forms() {
        let cases = [
            ("INSERT INTO n SELECT * FROM t;", "n <- * <- t"),
            (
                "insert into main.\"N\" (A, [b]) select x.a, \"b\" from t as x where a > (1, 2)",
                "n(a,b) <- x.a,b <- t=x",
            ),
            (
                "INSERT INTO n SELECT id, coalesce(a, 'x, y') AS a, 'b', NULL FROM t LEFT JOIN u z ON z.id = t.id, v",
                "n <- id,f[coalesce a],f[],null <- t,u=z,v",
            ),
            (
                "CREATE TEMP TABLE k AS SELECT DISTINCT t.*, 1 one FROM t ORDER BY a",
                "k <- t.*,f[one] <- t",
            ),
            ("INSERT OR IGNORE INTO n SELECT a FROM t", "n! <- a <- t"),
            ("INSERT INTO n SELECT a FROM t WHERE 1 ON CONFLICT DO NOTHING", "n! <- a <- t"),
            ("INSERT INTO n SELECT 1", "n <- f[] <- "),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "INSERT INTO n VALUES (1)",
            "INSERT INTO n SELECT a FROM t UNION SELECT a FROM u",
            "INSERT INTO n SELECT a FROM (SELECT 1 AS a)",
            "INSERT INTO n SELECT value FROM json_each('[]')",
            "WITH x AS (SELECT 1) INSERT INTO n SELECT * FROM x",
            "UPDATE n SET a = (SELECT 1)",
            "CREATE TABLE n (a)",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn the_query_ends_before_the_conflict_clause() {
        let copy =
            read("INSERT INTO n SELECT a FROM t WHERE true ON CONFLICT DO NOTHING;").unwrap();
        assert_eq!(copy.query, "SELECT a FROM t WHERE true");
    }
}

//! Text to filter and order: recursive descent over tokens, at most 16 parentheses deep.

use super::check::{check_field, nearest};
use super::lex::{Token, tokens};
use super::print::RESERVED;
use super::{Comparison, Field, Filter, FilterError, Node};
use crate::types::order::OrderBy;
use crate::types::query::SessionQuery;
use crate::types::value::Value;

pub(super) fn filter(text: &str) -> Result<Filter, FilterError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, tests: 0 };
    if parser.peek() == &Token::End {
        return Ok(Filter::all());
    }
    let node = parser.any(0)?;
    if parser.peek() != &Token::End {
        return Err(parser.unexpected_after_filter());
    }
    let filter = Filter(node);
    filter.check().map_err(|error| FilterError::new(1, error.to_string()))?;
    Ok(filter)
}

/// One order key.
pub(in crate::types) fn order_key(text: &str) -> Result<OrderBy, FilterError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, tests: 0 };
    let key = parser.order_key()?;
    if parser.peek() == &Token::End { Ok(key) } else { Err(parser.error("expected the end")) }
}

/// Order keys with commas between them; none in an empty text.
pub(in crate::types) fn order_list(text: &str) -> Result<Vec<OrderBy>, FilterError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, tests: 0 };
    let mut order = Vec::new();
    if parser.peek() == &Token::End {
        return Ok(order);
    }
    loop {
        if order.len() == SessionQuery::MAX_ORDER {
            return Err(parser.error("at most 4 order keys fit"));
        }
        order.push(parser.order_key()?);
        if !parser.accept_symbol(",") {
            break;
        }
    }
    if parser.peek() == &Token::End { Ok(order) } else { Err(parser.error("expected `,` or the end")) }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    tests: usize,
}

const OPERATORS: [&str; 6] = ["in", "not", "contains", "prefix", "exists", "missing"];

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn column(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, column)| *column)
    }

    fn error(&self, message: impl Into<String>) -> FilterError {
        FilterError::new(self.column(), message)
    }

    fn accept_symbol(&mut self, symbol: &str) -> bool {
        let there = matches!(self.peek(), Token::Symbol(s) if *s == symbol);
        self.at += usize::from(there);
        there
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Token::Word(w) if w == word);
        self.at += usize::from(there);
        there
    }

    fn any(&mut self, nesting: usize) -> Result<Node, FilterError> {
        let mut nodes = vec![self.all(nesting)?];
        while self.accept_word("or") || self.accept_symbol("||") {
            nodes.push(self.all(nesting)?);
        }
        Ok(Node::any_of(nodes))
    }

    fn all(&mut self, nesting: usize) -> Result<Node, FilterError> {
        let mut nodes = vec![self.negation(nesting)?];
        while self.accept_word("and") || self.accept_symbol("&&") {
            nodes.push(self.negation(nesting)?);
        }
        Ok(Node::all_of(nodes))
    }

    fn negation(&mut self, nesting: usize) -> Result<Node, FilterError> {
        let mut negated = false;
        while self.accept_word("not") || self.accept_symbol("!") {
            negated = !negated;
        }
        let node = self.atom(nesting)?;
        Ok(if negated { node.negated() } else { node })
    }

    fn atom(&mut self, nesting: usize) -> Result<Node, FilterError> {
        let start = self.column();
        if !self.accept_symbol("(") {
            return self.test();
        }
        if nesting == Filter::MAX_DEPTH {
            return Err(FilterError::new(start, "parentheses are more than 16 deep here"));
        }
        if self.accept_symbol(")") {
            return Ok(Node::And(Vec::new()));
        }
        let node = self.any(nesting + 1)?;
        if self.peek() == &Token::End {
            return Err(FilterError::new(start, "this `(` has no `)`"));
        }
        if !self.accept_symbol(")") {
            return Err(self.unexpected_after_filter());
        }
        if node.depth() > Filter::MAX_DEPTH {
            return Err(FilterError::new(start, "the filter is more than 16 deep here"));
        }
        Ok(node)
    }

    fn unexpected_after_filter(&self) -> FilterError {
        self.error(match self.peek() {
            Token::Symbol(")") => "this `)` closes nothing".to_owned(),
            Token::Word(word) => match nearest(word, &["and", "or"]) {
                Some(meant) => format!("expected `and`, `or` or the end: did you mean `{meant}`?"),
                None => "expected `and`, `or` or the end".to_owned(),
            },
            Token::Symbol("==" | "!=" | "<" | "<=" | ">" | ">=") => {
                "comparisons do not chain: write `a < x and x < b` as two, joined by `and`".to_owned()
            }
            _ => "expected `and`, `or` or the end".to_owned(),
        })
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        let column = self.column();
        let field = match self.peek() {
            Token::Name(name) => Field::from(name.as_str()),
            Token::Word(word) if !RESERVED.contains(&word.as_str()) => Field::from(word.as_str()),
            Token::Word(word) => {
                return Err(
                    self.error(format!("`{word}` is a word of the language: a field of this name goes in backticks"))
                );
            }
            Token::End => return Err(self.error("expected a field, and the text ends")),
            Token::Text(_) | Token::Int(_) | Token::Float(_) | Token::Bytes(_) => {
                return Err(self.error("expected a field: it stands left, the value right of the comparison"));
            }
            Token::Symbol(symbol) => return Err(self.error(format!("expected a field, not `{symbol}`"))),
        };
        self.at += 1;
        check_field(&field).map_err(|error| FilterError::new(column, error.to_string()))?;
        Ok(field)
    }

    fn test(&mut self) -> Result<Node, FilterError> {
        let column = self.column();
        let field = self.field()?;
        self.tests += 1;
        if self.tests > Filter::MAX_TESTS {
            return Err(FilterError::new(column, "this is the 65th comparison, at most 64 fit"));
        }
        let test = match self.peek().clone() {
            Token::Symbol("==") => Comparison::Eq(self.right()?),
            Token::Symbol("!=") => Comparison::Ne(self.right()?),
            Token::Symbol("<") => Comparison::Lt(self.right()?),
            Token::Symbol("<=") => Comparison::Le(self.right()?),
            Token::Symbol(">") => Comparison::Gt(self.right()?),
            Token::Symbol(">=") => Comparison::Ge(self.right()?),
            Token::Word(word) => self.word_test(&word)?,
            _ => return Err(self.error(format!("expected a comparison after {field}, like `==` or `in`"))),
        };
        Ok(Node::Test { field, test })
    }

    fn word_test(&mut self, word: &str) -> Result<Comparison, FilterError> {
        match word {
            "in" => {
                self.at += 1;
                self.list().map(Comparison::In)
            }
            "not" => {
                self.at += 1;
                if self.accept_word("in") {
                    self.list().map(Comparison::NotIn)
                } else {
                    Err(self.error("expected `in` after `not`: to negate a comparison put `not` before the field"))
                }
            }
            "contains" => {
                let column = self.column_of_next();
                match self.right()? {
                    part @ (Value::String(_) | Value::Bytes(_)) => Ok(Comparison::Contains(part)),
                    _ => Err(FilterError::new(column, "`contains` takes a text or bytes")),
                }
            }
            "prefix" => {
                let column = self.column_of_next();
                match self.right()? {
                    Value::String(start) => Ok(Comparison::Prefix(start)),
                    _ => Err(FilterError::new(column, "`prefix` takes a text")),
                }
            }
            "exists" | "missing" => {
                self.at += 1;
                Ok(if word == "exists" { Comparison::Exists } else { Comparison::Missing })
            }
            other => Err(self.error(match (other, nearest(other, &OPERATORS)) {
                ("is" | "eq" | "equals", _) => format!("`{other}` is no comparison: write `==`"),
                ("near", _) => {
                    "`near` orders and does not filter: it belongs in the order, as `skill:near 1200`".to_owned()
                }
                (_, Some(meant)) => format!("`{other}` is no comparison: did you mean `{meant}`?"),
                _ => format!("`{other}` is no comparison: expected one like `==` or `in`"),
            })),
        }
    }

    fn column_of_next(&self) -> usize {
        self.tokens.get(self.at + 1).or(self.tokens.last()).map_or(1, |(_, column)| *column)
    }

    /// The value right of the operator that stands here.
    fn right(&mut self) -> Result<Value, FilterError> {
        self.at += 1;
        self.value()
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        let value = match self.peek().clone() {
            Token::Text(text) => Value::String(text),
            Token::Int(int) => Value::Int(int),
            Token::Float(float) => Value::Float(float),
            Token::Bytes(bytes) => Value::Bytes(bytes),
            Token::Word(word) if word == "true" => Value::Bool(true),
            Token::Word(word) if word == "false" => Value::Bool(false),
            Token::Symbol("[") => return self.list_of_texts().map(Value::List),
            Token::Word(word) if matches!(word.to_ascii_lowercase().as_str(), "true" | "false") => {
                let meant = word.to_ascii_lowercase();
                return Err(self.error(format!("words are lower case: write `{meant}`")));
            }
            Token::Word(word) | Token::Name(word) => {
                return Err(self.error(format!("expected a value: text goes in quotes, `\"{word}\"`")));
            }
            Token::End => return Err(self.error("expected a value, and the text ends")),
            Token::Symbol(symbol) => return Err(self.error(format!("expected a value, not `{symbol}`"))),
        };
        self.at += 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Vec<Value>, FilterError> {
        self.bracketed(Self::value)
    }

    fn list_of_texts(&mut self) -> Result<Vec<String>, FilterError> {
        self.bracketed(|parser| match parser.peek().clone() {
            Token::Text(text) => {
                parser.at += 1;
                Ok(text)
            }
            _ => Err(parser.error("a list that is a value holds texts only")),
        })
    }

    fn bracketed<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, FilterError>,
    ) -> Result<Vec<T>, FilterError> {
        let start = self.column();
        if !self.accept_symbol("[") {
            return Err(self.error("expected a list in `[` and `]`"));
        }
        let mut items = Vec::new();
        if self.accept_symbol("]") {
            return Ok(items);
        }
        loop {
            if items.len() == Filter::MAX_VALUES {
                return Err(self.error("this is the 33rd value of the list, at most 32 fit"));
            }
            items.push(item(self)?);
            if self.accept_symbol("]") {
                return Ok(items);
            }
            if self.peek() == &Token::End {
                return Err(FilterError::new(start, "this `[` has no `]`"));
            }
            if !self.accept_symbol(",") {
                return Err(self.error("expected `,` or `]`"));
            }
        }
    }

    fn order_key(&mut self) -> Result<OrderBy, FilterError> {
        let field = self.field()?;
        if !self.accept_symbol(":") {
            return Ok(OrderBy::ascending(field));
        }
        if self.accept_word("asc") {
            return Ok(OrderBy::ascending(field));
        }
        if self.accept_word("desc") {
            return Ok(OrderBy::descending(field));
        }
        if !self.accept_word("near") {
            return Err(self.error("expected `asc`, `desc` or `near` and a number"));
        }
        let target = match self.peek() {
            Token::Int(int) => *int as f64,
            Token::Float(float) if float.is_finite() => *float,
            Token::Float(_) => return Err(self.error("nothing is near to infinity")),
            _ => return Err(self.error("expected a number after `near`")),
        };
        self.at += 1;
        Ok(OrderBy::near(field, target))
    }
}

//! A filter's or an order's text as tokens with columns.

use super::print::{continues_name, starts_name};
use super::{Filter, FilterError};
use crate::types::text::is_displayable;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A bare word: a reserved one or a name.
    Word(String),
    /// A name that cannot be a reserved word: with `@`, or in backticks.
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Bytes(Vec<u8>),
    Symbol(&'static str),
    End,
}

/// Tokens with the column of their first character; the last is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, FilterError> {
    if text.len() > Filter::MAX_TEXT {
        let column = text.char_indices().take_while(|(at, _)| *at < Filter::MAX_TEXT).count() + 1;
        return Err(FilterError::new(column, format!("the text has {} bytes, at most 1024 fit", text.len())));
    }
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0 };
    let mut tokens = Vec::new();
    loop {
        while lexer.peek().is_some_and(char::is_whitespace) {
            lexer.at += 1;
        }
        let column = lexer.at + 1;
        let token = lexer.token(column)?;
        let end = token == Token::End;
        tokens.push((token, column));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

/// Longer ones before those they begin with.
const SYMBOLS: [&str; 15] = ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", ":"];

/// What others write, and what is meant.
const MISTAKES: [(&str, &str); 7] = [
    ("<>", "`<>` is no comparison: write `!=`"),
    ("=<", "`=<` is no comparison: write `<=`"),
    ("=>", "`=>` is no comparison: write `>=`"),
    ("=~", "`=~` is no comparison: there are `contains` and `prefix`"),
    ("===", "`===` is no comparison: write `==`"),
    ("!==", "`!==` is no comparison: write `!=`"),
    ("~=", "`~=` is no comparison: write `!=`"),
];

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn accept(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    fn stands(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(at, c)| self.chars.get(self.at + at) == Some(&c))
    }

    fn while_any(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek().filter(|c| belongs(*c)) {
            text.push(c);
            self.at += 1;
        }
        text
    }

    fn token(&mut self, column: usize) -> Result<Token, FilterError> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        if let Some((_, message)) = MISTAKES.iter().find(|(wrong, _)| self.stands(wrong)) {
            return Err(FilterError::new(column, *message));
        }
        if let Some(&symbol) = SYMBOLS.iter().find(|symbol| self.stands(symbol)) {
            self.at += symbol.len();
            return Ok(Token::Symbol(symbol));
        }
        match first {
            c if starts_name(c) => Ok(Token::Word(self.while_any(continues_name))),
            c if c == '-' || c.is_ascii_digit() => self.number(column),
            '"' | '\'' => self.text(first, column),
            '`' => self.backticks(column),
            '@' => {
                self.at += 1;
                let name = self.while_any(continues_name);
                if name.starts_with(starts_name) {
                    Ok(Token::Name(format!("@{name}")))
                } else {
                    Err(FilterError::new(column, "a built-in field's name follows `@`, like `@open_slots`"))
                }
            }
            '=' => Err(FilterError::new(column, "`=` alone is no comparison: write `==`")),
            '&' => Err(FilterError::new(column, "`&` alone joins nothing: write `and` or `&&`")),
            '|' => Err(FilterError::new(column, "`|` alone joins nothing: write `or` or `||`")),
            '{' | '}' => Err(FilterError::new(column, "lists stand in `[` and `]`, groups in `(` and `)`")),
            '+' => Err(FilterError::new(column, "a number has no `+` before it")),
            '.' => Err(FilterError::new(column, "a number begins with a digit: write `0.5`")),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2018}' | '\u{2019}' => {
                Err(FilterError::new(column, "text stands in straight quotes: `\"` or `'`"))
            }
            c if c.is_alphabetic() => Err(FilterError::new(
                column,
                "bare names are ASCII: a field's name with other letters goes in backticks, text in quotes",
            )),
            c => Err(FilterError::new(column, format!("{c:?} has no meaning here"))),
        }
    }

    fn number(&mut self, column: usize) -> Result<Token, FilterError> {
        if self.stands("0x") {
            self.at += 2;
            return self.bytes(column);
        }
        let mut text = String::new();
        if self.accept('-') {
            text.push('-');
        }
        self.digits(&mut text, "a number has a digit after `-`")?;
        let mut float = false;
        if self.accept('.') {
            float = true;
            text.push('.');
            self.digits(&mut text, "a float has a digit after the point: write `1.0`")?;
        }
        if let Some(e) = self.peek().filter(|c| matches!(c, 'e' | 'E')) {
            float = true;
            self.at += 1;
            text.push(e);
            if let Some(sign) = self.peek().filter(|c| matches!(c, '+' | '-')) {
                self.at += 1;
                text.push(sign);
            }
            self.digits(&mut text, "an exponent has a digit after `e`")?;
        }
        if self.peek().is_some_and(|c| continues_name(c) || c.is_alphanumeric()) {
            let message =
                "a number ends here: a field's name that begins with a digit goes in backticks, text in quotes";
            return Err(FilterError::new(self.at + 1, message));
        }
        if float {
            text.parse().map(Token::Float).map_err(|_| FilterError::new(column, "this is no float"))
        } else {
            text.parse().map(Token::Int).map_err(|_| {
                FilterError::new(column, format!("{text} does not fit 64 bits: `{text}.0` compares as a float"))
            })
        }
    }

    fn digits(&mut self, text: &mut String, missing: &str) -> Result<(), FilterError> {
        let digits = self.while_any(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(FilterError::new(self.at + 1, missing));
        }
        text.push_str(&digits);
        Ok(())
    }

    fn bytes(&mut self, column: usize) -> Result<Token, FilterError> {
        let mut bytes = Vec::new();
        let mut high = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(16)).and_then(|digit| u8::try_from(digit).ok()) {
            self.at += 1;
            high = match high {
                None => Some(digit << 4),
                Some(high) => {
                    bytes.push(high | digit);
                    None
                }
            };
        }
        if self.peek().is_some_and(|c| continues_name(c) || c.is_alphanumeric()) {
            return Err(FilterError::new(self.at + 1, "bytes are written in hex digits: `0xc0de`"));
        }
        if high.is_some() {
            return Err(FilterError::new(column, "bytes are written in pairs of hex digits, this number is odd"));
        }
        Ok(Token::Bytes(bytes))
    }

    fn text(&mut self, quote: char, column: usize) -> Result<Token, FilterError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let here = self.at + 1;
            let c = match self.next() {
                None => {
                    return Err(FilterError::new(
                        column,
                        format!("the text that begins here has no `{quote}` at its end"),
                    ));
                }
                Some(c) if c == quote => return Ok(Token::Text(text)),
                Some('\\') => self.escape(here)?,
                Some(c) => c,
            };
            if !is_displayable(c.encode_utf8(&mut [0; 4])) {
                return Err(FilterError::new(here, "no attribute holds a control or text-direction character"));
            }
            text.push(c);
        }
    }

    fn escape(&mut self, column: usize) -> Result<char, FilterError> {
        let wrong = || FilterError::new(column, r#"the escapes are \" \' \\ \n \t and \u{1f3ae}"#);
        match self.next() {
            Some(c @ ('"' | '\'' | '\\')) => Ok(c),
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('u') if self.accept('{') => {
                let hex = self.while_any(|c| c.is_ascii_hexdigit());
                let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                if self.accept('}') { code.ok_or_else(wrong) } else { Err(wrong()) }
            }
            _ => Err(wrong()),
        }
    }

    fn backticks(&mut self, column: usize) -> Result<Token, FilterError> {
        self.at += 1;
        let mut name = String::new();
        loop {
            match self.next() {
                None => return Err(FilterError::new(column, "the name that begins here has no backtick at its end")),
                Some('`') if !self.accept('`') => return Ok(Token::Name(name)),
                Some(c) => name.push(c),
            }
        }
    }
}

//! The words of a command line; no parser crate for a dozen flags.

use std::collections::VecDeque;
use std::str::FromStr;

use super::Failure;

/// Words that are taken one by one; what is left over at the end is an error.
pub(crate) struct Args(VecDeque<String>);

impl Args {
    /// The program's own words.
    pub(crate) fn from_env() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// The next word, where it is no flag.
    pub(crate) fn word(&mut self) -> Option<String> {
        if self.0.front()?.starts_with("--") { None } else { self.0.pop_front() }
    }

    /// Whether the flag is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|word| word == name);
        at.and_then(|at| self.0.remove(at)).is_some()
    }

    /// The flag's value, where it is there.
    pub(crate) fn one(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let Some(at) = self.0.iter().position(|word| word == name) else { return Ok(None) };
        self.0.remove(at);
        match self.0.remove(at) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("{name} needs a value").into()),
        }
    }

    /// The values of a flag that may come several times.
    pub(crate) fn all(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        let mut values = Vec::new();
        while let Some(value) = self.one(name)? {
            values.push(value);
        }
        Ok(values)
    }

    /// The flag's value.
    pub(crate) fn required(&mut self, name: &str) -> Result<String, Failure> {
        self.one(name)?.ok_or_else(|| format!("{name} is missing").into())
    }

    /// The flag's value, which stays for whoever takes it.
    pub(crate) fn peek(&self, name: &str) -> Result<String, Failure> {
        let at = self.0.iter().position(|word| word == name);
        let value = at.and_then(|at| self.0.get(at + 1)).cloned();
        value.ok_or_else(|| format!("{name} is missing").into())
    }

    /// The flag's value as a number, an address, an id.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Failure>
    where
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.one(name)? else { return Ok(None) };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(format!("{name} {text:?}: {error}").into()),
        }
    }

    /// Nothing may be left.
    pub(crate) fn done(self) -> Result<(), Failure> {
        match self.0.front() {
            None => Ok(()),
            Some(word) => Err(format!("unknown word {word:?}").into()),
        }
    }
}

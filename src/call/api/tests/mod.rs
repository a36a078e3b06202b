//! Requests of every kind, against a table of what they come to.

mod paths;
mod rules;

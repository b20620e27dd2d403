//! The command line, run as its users run it.

mod demo;
mod import;
mod sign;
mod story;
mod support;

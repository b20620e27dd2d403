//! Markets, looked at from outside: their files.

mod attacks;
mod document;
mod honest;
mod properties;
mod same;
mod support;

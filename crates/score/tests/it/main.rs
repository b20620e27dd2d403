//! Tests of the crate from outside: evidence, policy, score.

#[cfg(test)]
mod common;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod score;
#[cfg(test)]
mod vectors;

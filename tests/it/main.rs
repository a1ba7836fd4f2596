//! Integration tests.

mod cells;
mod engine;
mod fixtures;
mod judge;
mod laws;
mod seeds;

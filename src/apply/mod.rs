//! Carries out a plan: one transaction per database where it can be, and says what it committed.
//!
//! A migration and its ledger row are both there or both absent. What was committed before a
//! failure is not taken back here: the caller restores the run's backup.

mod account;
mod alone;
mod diagnose;
mod foreign_keys;
mod form;
mod image;
pub mod operation;
pub(crate) mod record;
mod run;
pub mod script;
mod sound;
mod stage;
mod statements;
mod tally;
mod watch;

pub use run::{Done, Failure, Lasting, Outcome, Purpose, Run, carry_out};
pub use tally::{Answer, RowChange};

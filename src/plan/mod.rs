//! The planner: decides from ledger, schema and declared guards what each migration needs.
//!
//! `status`, `plan`, `up --dry-run`, `check`, `rehearse` and `up` all call it. It returns data and
//! changes nothing; the scratch database in which a history is replayed is in memory.

mod access;
mod adoption;
mod analysis;
mod assess;
mod base;
mod chain;
mod check;
mod column_order;
mod data;
mod draft;
mod edited;
mod evidence;
mod finding;
mod literal_rows;
mod live_rows;
mod model;
mod net;
mod order;
mod own;
mod partition;
mod pieces;
mod planner;
mod policy;
mod reach;
mod renumbered;
mod repeat;
mod replay;
mod scatter;
mod scratch;
mod settled;
mod text_only;
mod timeline;
mod trace;
mod trial;

pub use adoption::{Missing, missing};
pub use analysis::{HouseRule, Rules};
pub use check::check;
pub use data::{is_true, truth};
pub use finding::{Finding, Severity};
pub use model::{Action, Assessment, DatabasePlan, Image, PlannedStatement, Position, State};
pub use net::net_effect;
pub use order::Unit;
pub use planner::{Healing, OutOfOrder, Request, Settings, plan_database, position_of};
pub use policy::{CODES, Level, Policy};
pub use renumbered::renumbered;
pub use settled::Settled;

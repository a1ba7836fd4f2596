//! The way for many databases of one history: what is the same for all of them is planned once.
//!
//! With thousands of databases, no rows of their ledgers are kept and the results are shared. Only
//! what follows from ledger and schema is shared. What depends on rows is asked in each database:
//! states, actions and findings.

use super::{
    assess::Newness,
    model::{Action, Assessment, DatabasePlan, Position, State},
    planner::{Replayed, Request, replay_pending},
};
use crate::{
    Result, database,
    history::Migration,
    ledger::{self, Witness},
    schema::schema_hash,
};
use rusqlite::Connection;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// What the plans of all settled databases of one history share.
#[derive(Default)]
pub struct Settled {
    assessments: OnceLock<Arc<[Assessment]>>,
    /// By the number of migrations that ran and the hash of the schema.
    onward: Mutex<HashMap<(usize, String), Arc<Onward>>>,
}

/// What the databases share that have the same ledger and schema, and pending migrations.
struct Onward {
    replayed: Replayed,
    /// What is to be done in the first of them, without the rows of its ledger.
    assessments: Arc<[Assessment]>,
}

impl Settled {
    /// The plan of a database whose ledger has the first files or all of them, with their checksums,
    /// as run by piton in the order of the files, and whose schema's text is that which the last run
    /// left; none where that is not so, or where the whole history has to be asked.
    ///
    /// # Errors
    /// SQLite's, with the database's path.
    pub fn plan(
        &self,
        request: &Request<'_>,
        connection: &Connection,
    ) -> Result<Option<DatabasePlan>> {
        let failed = |error| database::failed("read", request.path)(error);
        let transaction = connection.unchecked_transaction().map_err(failed)?;
        let Some((done, left)) = ledger::settled_hash(connection, request.migrations)
            .map_err(ledger::failed("read the ledger of", request.path))?
        else {
            return Ok(None);
        };
        let found = schema_hash(connection).map_err(failed)?;
        if left != found {
            return Ok(None);
        }
        if done < request.migrations.len() {
            // Still in the transaction: rows and schema are of the same moment.
            return self.onward(request, connection, done, found);
        }
        transaction.finish().map_err(failed)?;
        let assessments = self.assessments.get_or_init(|| applied(request.migrations));
        Ok(Some(DatabasePlan {
            target: request.target.into(),
            database: PathBuf::from(request.database),
            path: PathBuf::from(request.path),
            exists: true,
            position: Position {
                version: request.migrations.last().map(|last| last.version.clone()),
                known_by: "ledger",
            },
            assessments: assessments.clone(),
            findings: Vec::new(),
            schema_hash: found,
            base: None,
            image: None,
        }))
    }

    /// The plan of a database that has pending migrations; their replay is that of another database
    /// with the same ledger and schema.
    fn onward(
        &self,
        request: &Request<'_>,
        connection: &Connection,
        done: usize,
        hash: String,
    ) -> Result<Option<DatabasePlan>> {
        let all = || self.onward.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (done, hash);
        let known = all().get(&key).cloned();
        if let Some(onward) = known {
            return Ok(Some(onward.plan(request, connection)));
        }
        let brief = ledger::read_brief(connection)
            .map_err(ledger::failed("read the ledger of", request.path))?;
        let Some(replayed) = replay_pending(request, connection, &brief, &key.1)? else {
            return Ok(None);
        };
        let mut plan = replayed.plan(request, connection, Newness::Used);
        plan.assessments = without_entries(&plan.assessments);
        let onward = Onward { replayed, assessments: plan.assessments.clone() };
        all().insert(key, Arc::new(onward));
        Ok(Some(plan))
    }
}

impl Onward {
    fn plan(&self, request: &Request<'_>, connection: &Connection) -> DatabasePlan {
        let mut plan = self.replayed.plan(request, connection, Newness::Used);
        let shared = &self.assessments;
        let same = plan.assessments.len() == shared.len()
            && plan.assessments.iter().zip(&**shared).all(|(one, other)| is_same(one, other));
        plan.assessments = if same { shared.clone() } else { without_entries(&plan.assessments) };
        plan
    }
}

/// Whether the same is to be done about a migration, which is the same file.
fn is_same(one: &Assessment, other: &Assessment) -> bool {
    let action = match (&one.action, &other.action) {
        (Action::None, Action::None) | (Action::Script, Action::Script) => true,
        (Action::Record(one), Action::Record(other)) => one == other,
        (Action::Statements(one), Action::Statements(other)) => {
            let (one, other) = (one.iter(), other.iter());
            one.map(|statement| statement.index).eq(other.map(|statement| statement.index))
        }
        _ => false,
    };
    action
        && one.version == other.version
        && one.state == other.state
        && one.witness == other.witness
}

/// The rows of one database's ledger are not those of the others.
fn without_entries(assessments: &[Assessment]) -> Arc<[Assessment]> {
    assessments.iter().map(|found| Assessment { entry: None, ..found.clone() }).collect()
}

fn applied(migrations: &[Arc<Migration>]) -> Arc<[Assessment]> {
    migrations
        .iter()
        .map(|migration| Assessment {
            version: migration.version.clone(),
            title: migration.title(),
            migration: Some(migration.clone()),
            state: State::Applied,
            witness: Some(Witness::Run),
            action: Action::None,
            entry: None,
        })
        .collect()
}

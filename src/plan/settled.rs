//! The way for many databases of one history: what is the same for all of them is planned once.
//!
//! With thousands of databases, no rows of their ledgers are kept and the results are shared. A
//! plan is shared only where it follows from ledger and schema alone, which are the same then.

use super::{
    model::{Action, Assessment, DatabasePlan, Position, State},
    planner::{Request, plan_database},
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
    onward: Mutex<HashMap<(usize, String), DatabasePlan>>,
}

impl Settled {
    /// The plan of a database whose ledger has the first files or all of them, with their checksums,
    /// as run by piton in the order of the files, and whose schema's text is that which the last run
    /// left; none where that is not so, or where the rest depends on rows.
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
        transaction.finish().map_err(failed)?;
        if left != found {
            return Ok(None);
        }
        if done < request.migrations.len() {
            return self.onward(request, connection, done, found);
        }
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

    /// The plan of a database that has pending migrations, as that of another one with the same
    /// ledger and schema.
    fn onward(
        &self,
        request: &Request<'_>,
        connection: &Connection,
        done: usize,
        hash: String,
    ) -> Result<Option<DatabasePlan>> {
        let pending = &request.migrations[done..];
        // A declared query may ask about rows.
        if pending.iter().any(|migration| migration.header.queries().next().is_some()) {
            return Ok(None);
        }
        let plans = || self.onward.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (done, hash);
        if let Some(plan) = plans().get(&key) {
            return Ok(Some(DatabasePlan {
                database: PathBuf::from(request.database),
                path: PathBuf::from(request.path),
                ..plan.clone()
            }));
        }
        let mut plan = plan_database(request, Some(connection))?;
        let is_plain = plan.assessments.iter().enumerate().all(|(at, found)| match found.state {
            State::Applied => at < done,
            State::Pending => at >= done,
            _ => false,
        });
        if !is_plain {
            return Ok(Some(plan));
        }
        // The rows of this database's ledger are not those of the others.
        plan.assessments = plan
            .assessments
            .iter()
            .map(|found| Assessment { entry: None, ..found.clone() })
            .collect();
        plans().insert(key, plan.clone());
        Ok(Some(plan))
    }
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

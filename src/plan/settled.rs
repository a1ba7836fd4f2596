//! The way for databases on which nothing changed: no replay, no rows kept, one shared result.
//!
//! With thousands of databases of one history, what a plan of "everything applied" holds is the
//! same for all of them.

use super::{
    model::{Action, Assessment, DatabasePlan, Position, State},
    planner::Request,
};
use crate::{
    Result, database,
    history::Migration,
    ledger::{self, Witness},
    schema::schema_hash,
};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

/// What the plans of all settled databases of one history share.
#[derive(Default)]
pub struct Settled {
    assessments: OnceLock<Arc<[Assessment]>>,
}

impl Settled {
    /// The plan of a database whose ledger has every file, with its checksum, as run by piton in
    /// the order of the files, and whose schema's text is that which the last run left; none where
    /// that is not so.
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
        let Some(left) = ledger::settled_hash(connection, request.migrations)
            .map_err(ledger::failed("read the ledger of", request.path))?
        else {
            return Ok(None);
        };
        let found = schema_hash(connection).map_err(failed)?;
        transaction.finish().map_err(failed)?;
        if left != found {
            return Ok(None);
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
            image: None,
        }))
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

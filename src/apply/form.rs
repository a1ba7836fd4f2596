//! What a new database is as a file: its encoding, its page size, whether it shrinks by itself.

use super::{run::Runner, stage::Item};
use crate::{Result, plan::Action, sql::Class};
use rusqlite::Connection;

impl Runner<'_> {
    /// Sets what a new database is as a file, as its first file says before anything else: later, and that
    /// is after the ledger was made, these settings do nothing.
    pub(super) fn set_form(&self, connection: &Connection, stage: &[Item<'_>]) -> Result<()> {
        let Some((assessment, migration)) = stage.first().filter(|_| !self.run.plan.exists) else {
            return Ok(());
        };
        let Action::Statements(statements) = &assessment.action else { return Ok(()) };
        let is_setting =
            |class: &Class| matches!(class, Class::Pragma { .. } | Class::TransactionControl);
        for planned in statements.iter().take_while(|it| is_setting(&it.class)) {
            if planned.class.sets_form() {
                let text = migration.statements()[planned.index].text(&migration.text);
                connection.execute_batch(text).map_err(self.failed("make"))?;
            }
        }
        Ok(())
    }
}

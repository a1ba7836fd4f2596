//! Ledgers of other tools: the tables in which they note what they ran.
//!
//! Names clash, so that a table is recognised by its columns and their types as well. Nothing here
//! writes, and nothing decides by it: it is what a person should know who sees such a database.

use rusqlite::{Connection, Result};
use serde::Serialize;

/// The ledger of another tool in a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForeignLedger {
    /// Its table.
    pub table: String,
    /// The tools that make such a table.
    pub tool: &'static str,
    /// How many rows it has.
    pub rows: u64,
}

/// A table with its columns, each as `name` or as `name type` where the type tells tools apart.
struct Shape {
    tool: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
}

const fn shape(tool: &'static str, table: &'static str, columns: &'static [&'static str]) -> Shape {
    Shape { tool, table, columns }
}

/// The first that matches counts: the narrower shapes of a name come first.
const SHAPES: [Shape; 33] = [
    shape("sqlx", "_sqlx_migrations", &["version", "description", "success", "checksum blob"]),
    shape("refinery", "refinery_schema_history", &["version", "name", "applied_on", "checksum"]),
    shape("diesel", "__diesel_schema_migrations", &["version", "run_on"]),
    shape("golang-migrate", "schema_migrations", &["version uint64", "dirty"]),
    shape("Ecto", "schema_migrations", &["version integer", "inserted_at"]),
    shape("dbmate", "schema_migrations", &["version varchar(128)"]),
    shape("Rails or geni", "schema_migrations", &["version varchar"]),
    shape("goose", "goose_db_version", &["version_id", "is_applied", "tstamp"]),
    shape("sql-migrate", "gorp_migrations", &["id", "applied_at"]),
    shape("Flyway", "flyway_schema_history", &["installed_rank", "version", "script", "checksum"]),
    shape("Drizzle", "__drizzle_migrations", &["hash", "created_at"]),
    shape("Prisma", "_prisma_migrations", &["migration_name", "checksum", "finished_at"]),
    shape("Prisma", "_prisma_ledger", &[]),
    shape("yoyo", "_yoyo_migration", &["migration_hash", "migration_id"]),
    shape("Alembic", "alembic_version", &["version_num"]),
    shape("Django", "django_migrations", &["app", "name", "applied"]),
    shape("Laravel", "migrations", &["migration", "batch"]),
    shape("TypeORM", "migrations", &["timestamp bigint", "name"]),
    shape("EF Core", "__EFMigrationsHistory", &["MigrationId", "ProductVersion"]),
    shape("Knex", "knex_migrations", &["name", "batch", "migration_time"]),
    shape("Kysely", "kysely_migration", &["name", "timestamp"]),
    shape("Sequelize", "SequelizeMeta", &["name"]),
    shape("MikroORM", "mikro_orm_migrations", &["name", "executed_at"]),
    shape("SeaORM", "seaql_migrations", &["version", "applied_at"]),
    shape("GRDB", "grdb_migrations", &["identifier"]),
    shape("peewee", "schema_migration", &["name", "applied"]),
    shape("Tortoise", "tortoise_migrations", &["app", "name", "applied_at"]),
    shape("Aerich", "aerich", &["version", "app", "content"]),
    shape("sqlite-utils", "_sqlite_migrations", &["migration_set", "name", "applied_at"]),
    shape("PocketBase", "_migrations", &["file", "applied"]),
    shape("Atlas", "atlas_schema_revisions", &["version", "hash"]),
    shape("Liquibase", "DATABASECHANGELOG", &["ID", "AUTHOR", "FILENAME"]),
    shape("Room", "room_master_table", &["identity_hash"]),
];

/// The ledgers of other tools, in the order of the list above.
///
/// # Errors
/// SQLite's.
pub fn foreign(connection: &Connection) -> Result<Vec<ForeignLedger>> {
    let mut found: Vec<ForeignLedger> = Vec::new();
    for shape in &SHAPES {
        let is_known = |ledger: &ForeignLedger| ledger.table.eq_ignore_ascii_case(shape.table);
        if !found.iter().any(is_known)
            && let Some(ledger) = matching(connection, shape)?
        {
            found.push(ledger);
        }
    }
    Ok(found)
}

fn matching(connection: &Connection, shape: &Shape) -> Result<Option<ForeignLedger>> {
    let query = "SELECT lower(name), lower(type) FROM pragma_table_info(?1)
        WHERE EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE)";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([shape.table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let columns: Vec<(String, String)> = rows.collect::<Result<_>>()?;
    let has = |wanted: &&str| {
        let (name, kind) = wanted.split_once(' ').unwrap_or((wanted, ""));
        columns.iter().any(|(column, of)| {
            column.eq_ignore_ascii_case(name) && (kind.is_empty() || of.starts_with(kind))
        })
    };
    if columns.is_empty() || !shape.columns.iter().all(has) {
        return Ok(None);
    }
    let count = format!("SELECT count(*) FROM main.{}", crate::sql::quote(shape.table));
    let rows: i64 = connection.query_row(&count, [], |row| row.get(0))?;
    let (table, rows) = (shape.table.to_string(), u64::try_from(rows).unwrap_or(0));
    Ok(Some(ForeignLedger { table, tool: shape.tool, rows }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_columns_and_types() {
        for (sql, tool) in [
            ("schema_migrations (version uint64, dirty bool)", "golang-migrate"),
            ("schema_migrations (version varchar(128) primary key)", "dbmate"),
            ("schema_migrations (version varchar NOT NULL PRIMARY KEY)", "Rails or geni"),
            ("schema_migrations (version INTEGER PRIMARY KEY, inserted_at TEXT)", "Ecto"),
            ("migrations (id integer, migration varchar, batch integer)", "Laravel"),
            ("migrations (id integer, timestamp bigint NOT NULL, name varchar)", "TypeORM"),
            ("alembic_version (version_num VARCHAR(32) NOT NULL)", "Alembic"),
            (
                "_sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT, success BOOLEAN, checksum BLOB)",
                "sqlx",
            ),
        ] {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(&format!("CREATE TABLE {sql}")).unwrap();
            let found = foreign(&connection).unwrap();
            assert_eq!(found.iter().map(|it| it.tool).collect::<Vec<_>>(), [tool], "{sql}");
        }
    }

    #[test]
    fn tables_of_the_application() {
        let connection = Connection::open_in_memory().unwrap();
        let own =
            "CREATE TABLE migrations (id, species, route); CREATE TABLE schema_migrations (v);
            CREATE VIEW alembic_version AS SELECT 1 AS version_num";
        connection.execute_batch(own).unwrap();
        assert_eq!(foreign(&connection).unwrap(), []);
    }
}

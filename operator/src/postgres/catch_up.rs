//! The last part of a tenant's copy, made while nothing can be written: what was written since the copy began is copied once
//! more, and what was deleted since is deleted.
//!
//! Postgres notes in each row the transaction that wrote it. A row that the copy missed was written by one that had not ended
//! when the copy began, none of which is older than the oldest that ran then; so the rows from that transaction on are all that
//! can differ, and a few more, which does no harm. No trigger, no replication slot and no right beyond the tenant's own is
//! needed, and whether it came out right is seen by comparing, which follows.
//!
//! In the copy it is one transaction. Rows are deleted and inserted rather than updated, so that values that were exchanged
//! between rows don't collide; foreign keys are dropped before and added after, lest they delete what did not change, and
//! triggers do not act.

use std::fmt::Write;

use easycode_contract::database::Identifier;
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, PgConnection, raw_sql};

use super::{
    Database, Error,
    relocation::{NOTATION, Sequence, acting, sequences},
    statements::literal,
};

/// Ordinary tables of a schema: name, that of the table it is a part of, all columns that are stored as given, and those of the
/// primary key.
const TABLES: &str = "
    SELECT format('%I.%I', n.nspname, c.relname) AS name,
        coalesce(pg_partition_root(c.oid), c.oid)::regclass::text AS root,
        (SELECT coalesce(array_agg(quote_ident(a.attname) ORDER BY a.attnum), '{}') FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns,
        (SELECT coalesce(array_agg(quote_ident(a.attname) ORDER BY a.attnum), '{}') FROM pg_constraint k
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
         WHERE k.conrelid = c.oid AND k.contype = 'p') AS key
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1";

/// Foreign keys of a schema: the two tables, and how each is dropped and added.
const FOREIGN_KEYS: &str = "
    SELECT coalesce(pg_partition_root(c.conrelid), c.conrelid)::regclass::text AS owner,
        coalesce(pg_partition_root(c.confrelid), c.confrelid)::regclass::text AS other,
        format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname) AS drop,
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)) AS add
    FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE n.nspname = $1 AND c.contype = 'f' AND c.conparentid = 0";

/// Triggers of a schema that act, and how each is disabled and enabled.
const TRIGGERS: &str = "
    SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname) AS disable,
        format('ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::regclass,
            CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname) AS enable
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D'";

/// Views that keep what they show.
const MATERIALIZED: &str = "
    SELECT format('REFRESH MATERIALIZED VIEW %I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'm' ORDER BY c.oid";

/// So that a server notices when the operator is gone: what it has begun holds locks.
const WATCHFUL: &str = "SET LOCAL tcp_keepalives_idle = 10; SET LOCAL tcp_keepalives_interval = 5;
    SET LOCAL tcp_keepalives_count = 3; SET LOCAL idle_in_transaction_session_timeout = '10min'";

#[derive(PartialEq, Eq, sqlx::FromRow)]
struct Table {
    name: String,
    root: String,
    columns: Vec<String>,
    key: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct ForeignKey {
    owner: String,
    other: String,
    drop: String,
    add: String,
}

/// Where a table's rows wait in the copy until all are there.
struct Staged<'a> {
    table: &'a Table,
    /// Table of the rows that were written.
    fresh: String,
    /// How many.
    rows: i64,
    /// Table of the keys of all rows, if some were deleted.
    kept: Option<String>,
}

impl Database {
    /// The oldest transaction that has not ended: whoever begins to read from now on misses nothing of what was written by an
    /// older one.
    pub async fn oldest_transaction(&self) -> Result<u64, Error> {
        let oldest: String =
            sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text").fetch_one(&self.admin).await?;
        oldest.parse().map_err(|_| Error::Refused(format!("a transaction's number is {oldest}")))
    }
}

/// Brings the copy of a service's data up to date with what was written from the transaction `since` on. Nothing may be written to
/// the original meanwhile. Returns how many rows were copied; repeated, it does the same.
pub async fn catch_up(
    source: &Database,
    target: &Database,
    service: &str,
    role: &Identifier,
    since: u64,
) -> Result<i64, Error> {
    let mut original = acting(source.service(service)?, role).await?;
    let mut copy = acting(target.service(service)?, role).await?;
    for side in [&mut original, &mut copy] {
        execute(side, &format!("SET LOCAL search_path = ''; {WATCHFUL}; {NOTATION}")).await?;
    }
    let tables = tables(&mut copy, role).await?;
    // What a server says of its tables becomes part of statements on the other, where it must not be anything else. One of the two
    // is the operator's own, and its answer is quoted.
    if self::tables(&mut original, role).await? != tables {
        return Err(Error::Refused(format!("the tables of {service} are not the same in the two homes")));
    }
    let mut staged = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        staged.extend(stage(&mut original, &mut copy, role, table, number, since).await?);
    }
    let mut rows = 0;
    if !staged.is_empty() {
        let keys: Vec<ForeignKey> = sqlx::query_as(FOREIGN_KEYS).bind(role.as_str()).fetch_all(&mut *copy).await?;
        let changed = |name: &String| staged.iter().any(|one| one.table.root == *name);
        let keys: Vec<_> = keys.iter().filter(|key| changed(&key.owner) || changed(&key.other)).collect();
        let triggers: Vec<(String, String)> =
            sqlx::query_as(TRIGGERS).bind(role.as_str()).fetch_all(&mut *copy).await?;
        let before = keys.iter().map(|key| &key.drop).chain(triggers.iter().map(|(disable, _)| disable));
        execute(&mut copy, &joined(before)).await?;
        for one in &staged {
            rows += one.rows;
            execute(&mut copy, &replace(one)).await?;
        }
        let after = triggers.iter().map(|(_, enable)| enable).chain(keys.iter().map(|key| &key.add));
        execute(&mut copy, &joined(after)).await?;
    }
    for Sequence { name, number, given_out, .. } in sequences(&mut original, role).await? {
        execute(&mut copy, &format!("SELECT setval({}, {number}, {given_out})", literal(&name))).await?;
    }
    if rows > 0 {
        let views: Vec<String> = sqlx::query_scalar(MATERIALIZED).bind(role.as_str()).fetch_all(&mut *copy).await?;
        execute(&mut copy, &joined(views.iter())).await?;
    }
    target.count_write();
    copy.commit().await?;
    Ok(rows)
}

async fn tables(connection: &mut PgConnection, role: &Identifier) -> Result<Vec<Table>, Error> {
    Ok(sqlx::query_as(TABLES).bind(role.as_str()).fetch_all(connection).await?)
}

/// Brings to the copy what the table needs, if it needs anything.
async fn stage<'a>(
    original: &mut PgConnection,
    copy: &mut PgConnection,
    role: &Identifier,
    table: &'a Table,
    number: usize,
    since: u64,
) -> Result<Option<Staged<'a>>, Error> {
    let Table { name, columns, key, .. } = table;
    let (columns, keys) = (columns.join(", "), key.join(", "));
    let fresh = format!("{role}.easycode_fresh_{number}");
    // Rows that can't be told apart are all copied again.
    let since = if key.is_empty() { 0 } else { since };
    // The numbers in rows wrap around; no row is older than half of them, and none is newer than now.
    let written = format!("age(xmin) <= age('{since}'::xid8::xid)");
    execute(copy, &format!("CREATE UNLOGGED TABLE {fresh} AS SELECT {columns} FROM {name} WITH NO DATA")).await?;
    let select = format!("SELECT {columns} FROM {name} WHERE {written}");
    let rows = transfer(original, &select, copy, &fresh).await?;
    let total = count(original, &format!("SELECT count(*) FROM {name}")).await?;
    let others = if key.is_empty() {
        0
    } else {
        execute(copy, &format!("ANALYZE {fresh}")).await?;
        let same = equal("there", "fresh", key);
        let others =
            format!("SELECT count(*) FROM {name} there WHERE NOT EXISTS (SELECT FROM {fresh} fresh WHERE {same})");
        count(copy, &others).await?
    };
    let gone = !key.is_empty() && others != total - rows;
    let kept = if gone {
        let kept = format!("{role}.easycode_kept_{number}");
        execute(copy, &format!("CREATE UNLOGGED TABLE {kept} AS SELECT {keys} FROM {name} WITH NO DATA")).await?;
        transfer(original, &format!("SELECT {keys} FROM {name}"), copy, &kept).await?;
        execute(copy, &format!("ANALYZE {kept}")).await?;
        Some(kept)
    } else {
        None
    };
    // A table without a key may have lost all of its rows.
    if rows == 0 && kept.is_none() && !key.is_empty() {
        execute(copy, &format!("DROP TABLE {fresh}")).await?;
        return Ok(None);
    }
    Ok(Some(Staged { table, fresh, rows, kept }))
}

/// Puts the staged rows in their place.
fn replace(staged: &Staged<'_>) -> String {
    let Staged { table: Table { name, columns, key, .. }, fresh, kept, .. } = staged;
    let columns = columns.join(", ");
    let mut sql = String::new();
    // Writing to a String can't fail.
    let _ = if key.is_empty() {
        write!(sql, "DELETE FROM {name};")
    } else {
        write!(sql, "DELETE FROM {name} there USING {fresh} fresh WHERE {};", equal("there", "fresh", key))
    };
    if let Some(kept) = kept {
        let same = equal("there", "kept", key);
        let _ = write!(
            sql,
            "DELETE FROM {name} there WHERE NOT EXISTS (SELECT FROM {kept} kept WHERE {same}); DROP TABLE {kept};"
        );
    }
    let _ = write!(
        sql,
        "INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {fresh}; DROP TABLE {fresh}"
    );
    sql
}

fn equal(one: &str, other: &str, key: &[String]) -> String {
    key.iter().map(|column| format!("{one}.{column} = {other}.{column}")).collect::<Vec<_>>().join(" AND ")
}

/// Streams rows from one server to a table on the other; never more than a piece of them is in memory.
async fn transfer(from: &mut PgConnection, select: &str, to: &mut PgConnection, table: &str) -> Result<i64, Error> {
    let mut rows = from.copy_out_raw(&format!("COPY ({select}) TO STDOUT")).await?;
    let mut copy = to.copy_in_raw(&format!("COPY {table} FROM STDIN")).await?;
    while let Some(piece) = rows.try_next().await? {
        copy.send(piece).await?;
    }
    let count = copy.finish().await?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

async fn count(connection: &mut PgConnection, select: &str) -> Result<i64, Error> {
    Ok(sqlx::query_scalar(AssertSqlSafe(select.to_owned())).fetch_one(connection).await?)
}

async fn execute(connection: &mut PgConnection, sql: &str) -> Result<(), Error> {
    if sql.is_empty() {
        return Ok(());
    }
    raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await?;
    Ok(())
}

fn joined<'a>(statements: impl Iterator<Item = &'a String>) -> String {
    statements.map(String::as_str).collect::<Vec<_>>().join("; ")
}

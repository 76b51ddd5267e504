//! What is written while the data is being copied comes along, whatever it is.

use anyhow::ensure;
use easycode_crds::tenant::MovePhase;

use super::Mover;

/// Tables of every kind, as the tenant's own: parts of one another, with values made by Postgres, without a key, with triggers.
const TABLES: &str = "
    CREATE TABLE parent (id int PRIMARY KEY, code text UNIQUE, twice int GENERATED ALWAYS AS (id * 2) STORED);
    CREATE TABLE child (parent_id int REFERENCES parent ON DELETE CASCADE, line int, PRIMARY KEY (parent_id, line));
    CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
    CREATE TABLE keyless (note text);
    CREATE TABLE part (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE part_one PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE noted (what text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
        $$ BEGIN INSERT INTO noted VALUES (TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON parent FOR EACH ROW EXECUTE FUNCTION note();
    INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO child VALUES (1, 1), (2, 1), (2, 2), (3, 1);
    INSERT INTO numbered (note) VALUES ('one'), ('two');
    INSERT INTO keyless VALUES ('x'), ('x'), ('y');
    INSERT INTO part VALUES (1, '2026-05-01'), (2, '2026-06-01');";

/// Changes of every kind: values exchanged, a row deleted with what hangs on it, one of two equal ones, a key changed.
const CHANGES: &str = "
    UPDATE parent SET code = '-' WHERE id = 1; UPDATE parent SET code = 'a' WHERE id = 2; UPDATE parent SET code = 'b' WHERE id = 1;
    DELETE FROM parent WHERE id = 3;
    INSERT INTO parent VALUES (4, 'd');
    INSERT INTO child VALUES (4, 7);
    DELETE FROM numbered WHERE id = 1;
    INSERT INTO numbered (note) VALUES ('three');
    DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless WHERE note = 'x');
    UPDATE part SET id = 20 WHERE id = 2;
    DELETE FROM part WHERE id = 1;";

/// All of it as one text.
const ALL: &str = "
    SELECT (SELECT string_agg(p::text, ' ' ORDER BY id) FROM parent p) || ' | ' ||
        (SELECT string_agg(c::text, ' ' ORDER BY parent_id, line) FROM child c) || ' | ' ||
        (SELECT string_agg(n::text, ' ' ORDER BY id) FROM numbered n) || ' | ' ||
        (SELECT string_agg(note, ' ' ORDER BY note) FROM keyless) || ' | ' ||
        (SELECT string_agg(p::text, ' ' ORDER BY id) FROM part p) || ' | ' ||
        (SELECT string_agg(what, ' ' ORDER BY what) FROM noted)";

#[tokio::test]
async fn what_is_written_during_the_copy_comes_along() -> anyhow::Result<()> {
    let mover = Mover::create("during").await?;
    let (shared, own) = (mover.shared.platform.clone(), mover.own.platform.clone());
    let role = mover.shared.role();
    let as_tenant = |what: &str| format!("SET ROLE {role}; SET search_path = {role}; {what}");
    shared.sql("crm", &as_tenant(TABLES)).await?;
    let block = mover.go_as_far_as("Freezing").await?;
    shared.sql("crm", &as_tenant(CHANGES)).await?;
    let wanted = shared.sql("crm", &as_tenant(ALL)).await?;
    ensure!(
        wanted.starts_with("(1,b,2) (2,a,4) (4,d,8) | (1,1) (2,1) (2,2) (4,7) | (2,two) (3,three) | x y | (20,"),
        "{wanted}"
    );
    block.lift().await?;
    mover.arrives(&own.home).await?;
    let relocation = mover.reaches(MovePhase::Done).await;
    ensure!(relocation.rows_caught_up.is_some_and(|rows| rows >= 6), "{relocation:?}");
    let found = own.sql("crm", &as_tenant(ALL)).await?;
    ensure!(found == wanted, "{found} and not {wanted}");

    // What keeps the data in order is there, and works as before.
    let number = own.sql("crm", &as_tenant("INSERT INTO numbered (note) VALUES ('four') RETURNING id")).await?;
    ensure!(number == "4", "the next number is {number}");
    let orphan = own.sql("crm", &as_tenant("INSERT INTO child VALUES (99, 1)")).await;
    ensure!(orphan.is_err_and(|error| error.to_string().contains("child_parent_id_fkey")), "a foreign key is gone");
    let fired = own
        .sql("crm", &as_tenant("DELETE FROM parent WHERE id = 4; SELECT count(*) FROM noted WHERE what = 'DELETE'"))
        .await?;
    ensure!(fired == "2", "the trigger has noted {fired} deletions");
    let tools = own
        .sql(
            "crm",
            &format!("SELECT count(*) FROM pg_tables WHERE schemaname = '{role}' AND tablename LIKE 'easycode%'"),
        )
        .await?;
    ensure!(tools == "0", "{tools} tables of the move are left");
    mover.remove().await
}

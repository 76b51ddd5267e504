//! What tests rely on of their servers.

use std::time::Duration;

use easycode_test_postgres::PostgresServer;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

fn operator_of(server: &PostgresServer) -> PgConnectOptions {
    let login = server.operator();
    PgConnectOptions::new_without_pgpass()
        .host(&login.host)
        .port(login.port)
        .username(&login.user)
        .password(&login.password)
        .database(&login.database)
}

#[tokio::test]
async fn the_operator_logs_in_and_is_no_superuser() -> anyhow::Result<()> {
    let server = PostgresServer::start().await?;
    let mut session = PgConnection::connect_with(&operator_of(&server)).await?;
    let rights: (bool, bool, bool) =
        sqlx::query_as("SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user")
            .fetch_one(&mut session)
            .await?;
    assert_eq!(rights, (false, true, true));
    let wrong = operator_of(&server).password("wrong");
    assert!(PgConnection::connect_with(&wrong).await.is_err());
    Ok(())
}

#[tokio::test]
async fn what_is_prepared_once_is_there_for_each_and_nobody_sees_anothers_changes() -> anyhow::Result<()> {
    let prepare = async |server: &PostgresServer| {
        server.sql("easycode", "CREATE TABLE prepared AS SELECT 1 AS number").await.map(drop)
    };
    let key = "postgres-tests";
    let (first, second) =
        (PostgresServer::start_prepared(key, prepare).await?, PostgresServer::start_prepared(key, prepare).await?);
    first.sql("easycode", "INSERT INTO prepared VALUES (2)").await?;
    assert_eq!(first.sql("easycode", "SELECT count(*), max(number) FROM prepared").await?, "2|2");
    assert_eq!(second.sql("easycode", "SELECT count(*), max(number) FROM prepared").await?, "1|1");
    Ok(())
}

#[tokio::test]
async fn a_server_comes_back_after_a_kill_and_hangs_while_it_is_paused() -> anyhow::Result<()> {
    let mut server = PostgresServer::start().await?;
    server.sql("easycode", "CREATE TABLE kept AS SELECT 1 AS number").await?;
    server.kill().await?;
    assert!(server.sql("easycode", "SELECT 1").await.is_err(), "it is gone");
    server.start_again().await?;
    assert_eq!(server.sql("easycode", "SELECT * FROM kept").await?, "1");

    let mut session = PgConnection::connect_with(&operator_of(&server)).await?;
    server.pause()?;
    let asking = sqlx::query("SELECT 1").execute(&mut session);
    assert!(tokio::time::timeout(Duration::from_millis(300), asking).await.is_err(), "it answers while it is paused");
    server.resume()?;
    assert_eq!(server.sql("easycode", "SELECT * FROM kept").await?, "1");
    Ok(())
}

//! Requests that are begun and never finished, before anyone has shown who they are: half a head, a slow body, an answer that is not
//! read. They cost bounded memory, end in time, and keep nobody from being served.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use easycode_listener::Limits;
use easycode_testing::{Platform, TestTenant, until};
use futures::future::try_join_all;
use reqwest::Url;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// As in a cluster, but for the times.
const LIMITS: Limits = Limits {
    connections: 128,
    connections_per_peer: 64,
    head_bytes: 16 << 10,
    head_time: Duration::from_secs(4),
    body_time: Duration::from_secs(4),
    idle_time: Duration::from_secs(75),
    write_time: Duration::from_secs(4),
};
const TIMEOUT: Duration = Duration::from_secs(20);

struct Attack {
    tenant: TestTenant,
    service: SocketAddr,
}

impl Attack {
    async fn on(service: &str) -> anyhow::Result<Self> {
        let platform = Platform::start_with(LIMITS).await?;
        let url = Url::parse(&platform.service(service).await?)?;
        let tenant = TestTenant::create(&platform, "honest", json!({})).await?;
        Ok(Self { tenant, service: SocketAddr::from((Ipv4Addr::LOCALHOST, url.port().context("no port")?)) })
    }

    /// Begins requests from another address than the honest have.
    async fn begin(&self, number: usize, bytes: &[u8]) -> anyhow::Result<Vec<TcpStream>> {
        try_join_all((0..number).map(|_| async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)))?;
            let mut stream = socket.connect(self.service).await?;
            // One that makes room for another is closed meanwhile.
            let _ = stream.write_all(bytes).await;
            Ok(stream)
        }))
        .await
    }

    async fn is_served(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let answer = self.tenant.read("/contacts").await?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
        Ok(())
    }
}

fn resident_kib() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// What the server has sent by the time that it closes the connection.
async fn rest(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut text = Vec::new();
    // A reset ends it just as well.
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut text)).await.context("the connection is kept")?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn half_sent_heads_take_little_memory_and_end_and_nobody_waits_for_them() -> anyhow::Result<()> {
    let attack = Attack::on("crm").await?;
    attack.is_served().await?;
    let before = resident_kib()?;
    let head = format!("GET /crm/v1/contacts HTTP/1.1\r\nhost: x\r\nx-filler: {}", "x".repeat(15 << 10));
    let mut begun = Vec::new();
    for _ in 0..4 {
        begun.extend(attack.begin(150, head.as_bytes()).await?);
        attack.is_served().await?;
    }
    let grown = resident_kib()?.saturating_sub(before);
    ensure!(grown < 32 << 10, "600 half-sent heads took {grown} KiB");
    let begun_at = Instant::now();
    let answers = try_join_all(begun.iter_mut().map(rest)).await?;
    ensure!(answers.iter().all(String::is_empty), "one was answered");
    ensure!(
        begun_at.elapsed() < LIMITS.head_time + Duration::from_secs(4),
        "they ended after {:?}",
        begun_at.elapsed()
    );
    attack.is_served().await
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() -> anyhow::Result<()> {
    let attack = Attack::on("crm").await?;
    let head = format!("GET /crm/v1/contacts HTTP/1.1\r\nhost: x\r\nx-filler: {}\r\n\r\n", "x".repeat(20 << 10));
    let mut begun = attack.begin(1, head.as_bytes()).await?;
    let answer = rest(&mut begun[0]).await?;
    ensure!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
    attack.is_served().await
}

#[tokio::test]
async fn slow_bodies_of_strangers_end_in_time_and_people_sign_in_meanwhile() -> anyhow::Result<()> {
    let attack = Attack::on("user-service").await?;
    let head = "POST /user/v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10000\r\n\r\n{";
    let mut begun = attack.begin(60, head.as_bytes()).await?;
    let wrong = json!({ "tenant": attack.tenant.name, "email": "ada@example.com", "password": "wrong" });
    let url = format!("http://{}/user/v1/sessions", attack.service);
    let refused = easycode_kit::http::client().post(url).json(&wrong).timeout(Duration::from_secs(3)).send().await?;
    ensure!(refused.status() == 401, "{refused:?}");
    for answer in try_join_all(begun.iter_mut().map(rest)).await? {
        ensure!(answer.starts_with("HTTP/1.1 408") && answer.contains("request-timeout"), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn who_reads_no_answer_is_disconnected() -> anyhow::Result<()> {
    let attack = Attack::on("crm").await?;
    // One that goes on asking, and never reads.
    let asked = "GET /crm/v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(300);
    let mut begun = attack.begin(1, asked.as_bytes()).await?;
    let stream = begun.pop().context("one")?;
    until("the connection is closed", TIMEOUT, async || {
        // Writing to a connection that the other side has closed fails.
        stream.writable().await?;
        match stream.try_write(b"x") {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Ok(()),
            outcome => anyhow::bail!("{outcome:?}"),
        }
    })
    .await;
    attack.is_served().await
}

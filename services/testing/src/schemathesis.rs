//! Schemathesis, which makes requests from a service's description and judges the answers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
};

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::process::Command;

/// The folder of the whole project.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// The usual seed: a failure is that of the change, not of the day.
const SEED: u64 = 20_261_126;
/// Longest end of a log that is shown.
const SHOWN: usize = 12_000;

/// Where Schemathesis is, which `tools.sh` knows.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let tools =
        std::process::Command::new(Path::new(CHECKOUT).join("e2e/tools.sh")).args(["--path", "schemathesis"]).output();
    PathBuf::from(tools.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default())
});

/// A service, and as whom it is asked.
pub struct Target<'a> {
    /// Its name.
    pub name: &'a str,
    /// Base URL of its operations.
    pub base: &'a str,
    /// Whoever asks shows this.
    pub token: &'a str,
    /// Ids of what belongs to someone else, which are tried.
    pub ids: &'a [String],
    /// Texts of someone else's, which are never to be shown.
    pub secrets: Vec<&'a str>,
    /// Paths that are left out, as one regular expression, since of several the last alone counts.
    pub without: Option<&'a str>,
}

/// How much is sent, and by which seed.
pub struct Fuzzer {
    examples: u32,
    phases: &'static str,
    seed: u64,
}

impl Fuzzer {
    /// All that Schemathesis does, with as many cases an operation as the environment asks for.
    pub fn thorough(usual: u32) -> anyhow::Result<Self> {
        Self::of(given("EASYCODE_FUZZ_EXAMPLES")?.unwrap_or(usual), "examples,coverage,fuzzing,stateful")
    }

    /// A few cases an operation.
    pub fn brief(examples: u32) -> anyhow::Result<Self> {
        Self::of(examples, "fuzzing")
    }

    fn of(examples: u32, phases: &'static str) -> anyhow::Result<Self> {
        ensure!(PROGRAM.exists(), "Schemathesis is missing; run `e2e/tools.sh fuzz`");
        Ok(Self { examples, phases, seed: given("EASYCODE_FUZZ_SEED")?.unwrap_or(SEED) })
    }

    /// Fuzzes a service. Tells what was found, if anything.
    pub async fn run(&self, target: &Target<'_>, way: &str) -> anyhow::Result<Option<String>> {
        let folder = Path::new(CHECKOUT).join("target/fuzz").join(target.name);
        fs::create_dir_all(&folder)?;
        let known = folder.join(format!("{way}-other.json"));
        fs::write(&known, serde_json::to_vec(&json!({ "ids": target.ids, "secrets": target.secrets }))?)?;
        let log = folder.join(format!("{way}.log"));
        let output = fs::File::create(&log)?;
        println!("{} {way}: {} cases an operation, seed {}", target.name, self.examples, self.seed);
        let status = Command::new(&*PROGRAM)
            .current_dir(Path::new(CHECKOUT).join("e2e/fuzz"))
            .args(["--config-file", "schemathesis.toml", "run", &format!("{}/openapi.json", target.base)])
            .args(["--url", target.base, "--no-color", "--phases", self.phases])
            .args(["--max-examples", &self.examples.to_string(), "--seed", &self.seed.to_string()])
            .args(target.without.map(|paths| ["--exclude-path-regex", paths]).into_iter().flatten())
            .args(["--report", "junit,ndjson"])
            .arg("--report-junit-path")
            .arg(folder.join(format!("{way}.xml")))
            .arg("--report-ndjson-path")
            .arg(folder.join(format!("{way}.ndjson")))
            .env("EASYCODE_FUZZ_TOKEN", target.token)
            .env("EASYCODE_FUZZ_OTHER", &known)
            // Nothing is left in the checkout.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HYPOTHESIS_STORAGE_DIRECTORY", folder.join("hypothesis"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .status()
            .await?;
        if status.success() {
            return Ok(None);
        }
        let text = fs::read_to_string(&log)?;
        let from = text.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
        Ok(Some(format!("{} {way}, all of it in {}:\n{}", target.name, log.display(), &text[from..])))
    }
}

/// A number from the environment.
fn given<N: std::str::FromStr>(name: &str) -> anyhow::Result<Option<N>> {
    let Some(text) = std::env::var_os(name) else { return Ok(None) };
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.map(Some).with_context(|| format!("{name} must be a number"))
}

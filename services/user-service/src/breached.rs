//! Passwords that others know. The most common ones are refused as weak (see [`crate::strength`]); a folder with what was breached
//! anywhere is asked, too, where one is mounted: the ranges that "Have I Been Pwned" offers for download, a file for each first five
//! hexadecimal digits of the SHA-1, such as `0A1B2.txt`, with the rest of it and a count in each line. No password, and no hash of
//! one, leaves the process.

use std::{env, io, path::PathBuf};

use easycode_kit::Problem;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::{
    fs::File,
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
};

use crate::secret::Secret;

/// Environment variable with the folder.
pub const FOLDER: &str = "EASYCODE_BREACHED_PASSWORDS_DIR";
/// Most that is read of a file: those for download have some 50 KiB.
const LONGEST: u64 = 1 << 20;

/// What is known of breached passwords.
pub struct Breached(Option<PathBuf>);

impl Default for Breached {
    fn default() -> Self {
        Self(env::var_os(FOLDER).map(PathBuf::from))
    }
}

impl Breached {
    /// Whether others know it, as far as is known here. Without the file that would tell, nobody gets a new password.
    pub async fn knows(&self, password: &Secret) -> Result<bool, Problem> {
        self.find(password).await.map_err(|error| {
            tracing::error!(%error, "the folder of breached passwords can't be read");
            Problem::unavailable("it can't be checked whether others know the password; try again later")
        })
    }

    async fn find(&self, password: &Secret) -> io::Result<bool> {
        let Some(folder) = &self.0 else { return Ok(false) };
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.reveal().as_bytes());
        let hash = hash.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"));
        let (range, rest) = hash.split_at(5);
        let file = File::open(folder.join(format!("{range}.txt"))).await?;
        let mut lines = BufReader::new(file.take(LONGEST)).lines();
        while let Some(line) = lines.next_line().await? {
            if line.split(':').next().is_some_and(|known| known.trim().eq_ignore_ascii_case(rest)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_in_the_folder_is_known() {
        let folder = env::temp_dir().join(format!("easycode-breached-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // SHA-1 of "password": 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8
        let lines = "003D68EB55068C33ACE09247EE4C639306B:3\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824\r\n";
        std::fs::write(folder.join("5BAA6.txt"), lines).unwrap();
        let breached = Breached(Some(folder.clone()));
        assert!(breached.knows(&Secret::from("password".to_owned())).await.unwrap());
        assert!(breached.knows(&Secret::from("another".to_owned())).await.is_err(), "its range is not there");
        std::fs::write(folder.join("5BAA6.txt"), "003D68EB55068C33ACE09247EE4C639306B:3").unwrap();
        assert!(!breached.knows(&Secret::from("password".to_owned())).await.unwrap());
        assert!(!Breached(None).knows(&Secret::from("password".to_owned())).await.unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
